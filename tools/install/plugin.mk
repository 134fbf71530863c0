# Make rules for a plugin of Interloop. A plugin author's whole Makefile may be
#
#   all: my_probe.so
#   include $(shell pkg-config --variable=mk interloop-plugin)
#
# X.so is made from X.c, or from what `X.so: a.o b.o` lists, with the public headers alone and
# nothing to link but libc and libm. Then `interloop plugin stamp` writes the manifest into it.

INTERLOOP          ?= $(or $(wildcard $(shell pkg-config --variable=bindir interloop-plugin)/interloop),interloop)
INTERLOOP_CFLAGS   ?= -std=c11 -O2 -g -Wall -Wextra -fPIC -fvisibility=hidden -ffp-contract=off \
    -fno-math-errno -fno-trapping-math
INTERLOOP_INCLUDES ?= $(shell pkg-config --cflags interloop-plugin)

# Kept between runs, so that an unchanged plugin is not compiled again.
.PRECIOUS: %.o

%.o: %.c
	$(CC) $(INTERLOOP_CFLAGS) $(CFLAGS) $(INTERLOOP_INCLUDES) -MMD -MP -c -o $@ $<

# Stamped under another name first: a plugin that cannot be stamped never stands there as whole.
%.so: %.o
	$(CC) -shared -Wl,-z,defs $(LDFLAGS) -o $@.part $(filter %.o,$^) -lm
	$(INTERLOOP) plugin stamp $(abspath $@.part)
	mv $@.part $@

-include $(wildcard *.d)
