# Interloop's one Makefile. Everything it makes lies under build/ (build/asan and so on for a
# sanitizer), and `make -j` is always safe.
#
#   make            library, command and plugins
#   make demo       install what is missing, build, train, print the table and the report's path
#   make test       install what is missing, build and run the tests; T=part/of/a/path picks some
#   make bands      the long experiments against their bands     make interop  against Python
#   make bench      speed and memory                              make bless    rewrite golden files
#   make browser    the pages in a browser, which is installed if it is missing
#   make abi        how the plugin ABI has grown
#   make install    with PREFIX and DESTDIR                       make clean format lint
#   make dist       a tarball of what is committed                make deb      a Debian package
#   make wheel      the Python package, for CPython 3.9 and later
#
# V=1 shows the commands, WERROR=1 makes warnings errors, SAN=asan|ubsan|tsan picks a sanitizer,
# CC picks the compiler, PYTHON the interpreter of `make interop`. What should stay set goes into
# config.mak.

VERSION := $(shell sed -n 's/.define IL_VERSION "\(.*\)"/\1/p' core/base/version.h)
PREFIX   = /usr/local
PACKAGES = yaml-0.1 jansson libsodium zlib libpcre2-8 libutf8proc

-include config.mak

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:

B := build$(SAN:%=/%)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# --- flags -----------------------------------------------------------------------------------

SAN_asan  = -fsanitize=address -fno-omit-frame-pointer
SAN_ubsan = -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_tsan  = -fsanitize=thread -fno-omit-frame-pointer
ifneq ($(SAN),)
$(if $(SAN_$(SAN)),,$(error SAN=$(SAN): expected asan, ubsan or tsan))
endif
sanitize = $(SAN_$(SAN))

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
# Contraction would make results depend on the machine; the other two only let loops vectorize.
MATH = -ffp-contract=off -fno-math-errno -fno-trapping-math
OPT  = -O2
# Not CFLAGS alone: a user who sets CFLAGS adds to these and does not lose them.
flags   = -std=c11 -D_POSIX_C_SOURCE=200809L -g $(OPT) $(WARN) $(MATH) -fPIC $(sanitize) $(CFLAGS)
compile = $(CC) $(flags) $(if $(WERROR),-Werror) -MMD -MP
core_I  = -Iinclude -Icore $(DEPS_CFLAGS)
libs    = $(DEPS_LIBS) -lm -ldl -lpthread

# --- what there is ---------------------------------------------------------------------------

list = $(sort $(shell find $(1) -name $(2) 2>/dev/null))

core_c   := $(call list,core,'*.c')
tools_c  := $(wildcard tools/*.c)
templates := $(sort $(wildcard tools/templates/*/*.in))
test_c   := $(call list,tests,'test_*.c')
bench_c  := $(wildcard tools/bench/*.c)
plugin_d := $(patsubst %/,%,$(sort $(dir $(wildcard plugins/*/*/*.c))))

lib     := $B/libinterloop.a
command := $(if $(filter tools/main.c,$(tools_c)),$B/interloop)
plugins := $(foreach d,$(plugin_d),$B/plugins/$(notdir $d).so)
tests   := $(test_c:%.c=$B/%)
bench   := $(bench_c:tools/bench/%.c=$B/bench/%)
object   = $(1:%.c=$B/obj/%.o)

all: $(lib) $(command) $(plugins)

# --- dependencies ----------------------------------------------------------------------------

# The compiler's flags for the libraries, asked of pkg-config once the libraries are there. Make
# reads this file anew when it has changed, so a fresh machine needs no second call.
building := $(filter-out clean format lint abi dist,$(or $(MAKECMDGOALS),all))
running  := $(filter demo test bands interop bench bless wheel,$(MAKECMDGOALS))
ifneq ($(building),)
include $B/deps.mk
endif

$B/deps.mk: tools/deps.sh $(if $(running),FORCE)
	@$(if $(running),sh tools/deps.sh $(filter wheel,$(running)),pkg-config --exists $(PACKAGES) || { \
	    echo "a library is missing: sh tools/deps.sh installs what Interloop needs" >&2; \
	    exit 1; })
	@mkdir -p $(@D)
	@{ echo "DEPS_CFLAGS = $$(pkg-config --cflags $(PACKAGES))"; \
	   echo "DEPS_LIBS = $$(pkg-config --libs $(PACKAGES))"; \
	   echo "CHECK_CFLAGS = $$(pkg-config --cflags check 2>/dev/null)"; \
	   echo "CHECK_LIBS = $$(pkg-config --libs check 2>/dev/null)"; } >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Other flags or another compiler rebuild everything, a file added or gone rebuilds the library.
# WERROR is left out, since it changes no object.
remember = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || \
	printf '%s\n' '$(subst ','\'',$(1))' >$@
$B/flags: FORCE
	$(call remember,$(CC) $(flags) $(core_I) $(libs) $(LDFLAGS))
$B/sources: FORCE
	$(call remember,$(core_c) $(tools_c))
FORCE:

# --- library and command ---------------------------------------------------------------------

$B/obj/core/tensor/%.o: OPT = -O3
$B/obj/core/%.o: core/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) $(core_I) -c -o $@ $<

$B/obj/tools/%.o: tools/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) $(core_I) -Itools -c -o $@ $<

$(lib): $(call object,$(core_c)) $B/sources
	$(call say,AR,$@)
	@rm -f $@
	$Q$(AR) rcs $@ $(filter %.o,$^)

# What `interloop plugin new` writes is in the command itself.
$B/templates.c: tools/embed.sh $(templates)
	$(call say,EMBED,$@)
	@mkdir -p $(@D)
	@sh $^ >$@

$B/obj/templates.o: $B/templates.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) -Itools -c -o $@ $<

$B/interloop: $(call object,$(tools_c)) $B/obj/templates.o $(lib)
	$(call say,LINK,$@)
	$Q$(CC) $(sanitize) $(LDFLAGS) -o $@ $(filter %.o,$^) $(lib) $(libs)

# --- plugins: plugins/KIND/NAME/*.c -> NAME.so -----------------------------------------------

# A plugin sees the public headers alone and may need nothing but libc and libm. Linked, then
# stamped with its manifest, then moved into place, so that no half-made plugin is ever found.
# (A sanitizer's run time is found at load time with clang, hence no -z defs there.)
stamp := $(command)

$B/obj/plugins/%.o: plugins/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) -Iinclude -fvisibility=hidden -c -o $@ $<

define plugin
$B/plugins/$(notdir $(1)).so: $(call object,$(wildcard $(1)/*.c)) | $(stamp)
	$$(call say,PLUGIN,$$@)
	@mkdir -p $$(@D)
	$Q$$(CC) $$(sanitize) -shared $$(if $(SAN),,-Wl,-z,defs) $$(LDFLAGS) \
	    -o $B/obj/$(1).so $$(filter %.o,$$^) -lm
	$$(if $(stamp),$Q$(stamp) plugin stamp $B/obj/$(1).so)
	@mv $B/obj/$(1).so $$@
endef
$(foreach d,$(plugin_d),$(eval $(call plugin,$d)))

# --- tests and the other jobs ----------------------------------------------------------------

$B/obj/tests/%.o: tests/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) $(core_I) -Itests $(CHECK_CFLAGS) -c -o $@ $<

$B/tests/%: $B/obj/tests/%.o $(lib)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$Q$(CC) $(sanitize) $(LDFLAGS) -o $@ $< $(lib) $(CHECK_LIBS) $(libs)

$B/obj/tools/bench/%.o: tools/bench/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) $(core_I) -c -o $@ $<

$B/bench/%: $B/obj/tools/bench/%.o $(lib)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$Q$(CC) $(sanitize) $(LDFLAGS) -o $@ $< $(lib) $(libs)

env = INTERLOOP='$(abspath $B/interloop)' IL_BUILD='$(abspath $B)' IL_ROOT='$(CURDIR)' CC='$(CC)'

test: all $(tests)
	@$(env) sh tests/run.sh $(T)
bless: all $(tests)
	@$(env) IL_BLESS=1 sh tests/run.sh $(T)
demo: all
	@$B/interloop run configs/liar/demo.yaml
bands: all
	@$(env) bash tests/bands/run.sh
interop: all
	@$(env) bash tests/interop/run.sh
browser: all
	@WITH=chromium sh tools/deps.sh
	@$(env) IL_BROWSER='$(IL_BROWSER)' sh tests/run.sh tests/browser/
bench: all $(bench)
	@$(env) bash tools/bench/run.sh
abi:
	@CC='$(CC)' sh tools/abi/report.sh

# --- install ---------------------------------------------------------------------------------

to      = $(DESTDIR)$(PREFIX)
fill    = sed -e 's|@prefix@|$(PREFIX)|' -e 's|@version@|$(VERSION)|' -e 's|@packages@|$(PACKAGES)|'

install: all
	install -d '$(to)/bin' '$(to)/include/interloop' '$(to)/lib/pkgconfig' \
	    '$(to)/lib/interloop/plugins' '$(to)/share/interloop' \
	    '$(to)/share/bash-completion/completions' '$(to)/share/zsh/site-functions'
	$(if $(command),install -m 755 $(command) '$(to)/bin')
	install -m 644 include/interloop/*.h '$(to)/include/interloop'
	install -m 644 $(lib) '$(to)/lib'
	$(if $(plugins),install -m 755 $(plugins) '$(to)/lib/interloop/plugins')
	$(fill) tools/install/interloop.pc.in >'$(to)/lib/pkgconfig/interloop.pc'
	$(fill) tools/install/interloop-plugin.pc.in >'$(to)/lib/pkgconfig/interloop-plugin.pc'
	install -m 644 tools/install/plugin.mk '$(to)/share/interloop'
	$(if $(command),sh tools/docs/man.sh '$(abspath $(command))' '$(VERSION)' '$(to)/share/man')
	install -m 644 tools/install/completion.bash '$(to)/share/bash-completion/completions/interloop'
	install -m 644 tools/install/completion.zsh '$(to)/share/zsh/site-functions/_interloop'

# What is committed, as one file with its version.
dist:
	@mkdir -p build
	git archive --prefix=interloop-$(VERSION)/ -o build/interloop-$(VERSION).tar.gz HEAD
	@echo build/interloop-$(VERSION).tar.gz
deb: all
	@rm -rf $B/deb
	@$(MAKE) -s install DESTDIR='$(abspath $B/deb)' PREFIX=/usr
	@sh tools/install/deb.sh '$(abspath $B/deb)' '$(VERSION)' '$(abspath $B)'

# The Python package. Its extension is linked with the library itself and with CPython's limited
# API alone; what else it needs travels in the wheel, beside it.
PYTHON_I = $(shell python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
native_c := $(wildcard tools/python/native/*.c)
$B/obj/tools/python/%.o: tools/python/%.c $B/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(compile) $(core_I) -isystem '$(PYTHON_I)' -c -o $@ $<
$B/_native.abi3.so: $(call object,$(native_c)) $(lib)
	$(call say,LINK,$@)
	$Q$(CC) $(sanitize) -shared $(LDFLAGS) -Wl,-rpath,'$$ORIGIN/lib' \
	    -Wl,--exclude-libs,ALL $(if $(SAN),,-Wl,--strip-debug) -o $@ $(filter %.o,$^) $(lib) $(libs)
wheel: all $B/_native.abi3.so
	@mkdir -p $B/wheel
	@python3 tools/python/wheel.py '$(VERSION)' $B/_native.abi3.so $B/plugins $B/wheel

clean:
	rm -rf build

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

lint:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')
	shellcheck -S warning $$(git ls-files '*.sh') .ci/run

.PHONY: all test bless demo bands interop browser bench abi install dist deb wheel clean format lint FORCE

-include $B/obj/templates.d $(patsubst %.o,%.d,$(call object,$(core_c) $(tools_c) $(test_c) $(bench_c) \
    $(native_c) $(wildcard plugins/*/*/*.c)))
