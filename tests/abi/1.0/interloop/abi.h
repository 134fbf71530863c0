/* The ABI's version and the rules by which its structs grow.
 *
 * Every table of functions and every struct that may grow begins with `struct_size`,
 * set by whoever fills it. Slots are only ever appended. A reader asks IL_HAS before it
 * uses a slot that a given minor version added; what is absent counts as NULL. */
#ifndef INTERLOOP_ABI_H
#define INTERLOOP_ABI_H

#include <stddef.h>
#include <stdint.h>

#define IL_ABI_MAJOR 1 /* differs: nothing fits */
#define IL_ABI_MINOR 0 /* grows when slots are appended */
#define IL_ABI_MINOR_HOST                                                              \
    0 /* the oldest host minor that a plugin built from here accepts */

/* Whether the struct at `s` is large enough to hold `member`, and has it set. */
#define IL_HAS(s, member)                                                              \
    ((s)->struct_size >= offsetof_end_(s, member) && (s)->member != NULL)
#define offsetof_end_(s, member)                                                       \
    ((size_t)((const char *)(&(s)->member + 1) - (const char *)(s)))

#endif
