/* A plugin's own calls of malloc and its kin, counted, watched and made to fail.
 *
 * The slots through which the loaded file reaches libc are pointed elsewhere; the rest
 * of the process keeps its malloc. What libc allocates for a plugin (a FILE) is not
 * seen. */
#ifndef IL_CHECK_HOOKS_H
#define IL_CHECK_HOOKS_H

#include <stdint.h>
#include "interloop/status.h"

/* From here on the calls of this dlopen handle are seen. For one plugin a process, and
 * one thread. */
il_status il_hooks_install(void *handle, il_error *err);
/* How many pieces it has allocated and not given back. */
int64_t il_hooks_live(void);
/* Has the n-th allocation from here on find no memory; 0: none. */
void il_hooks_fail(int64_t n);
/* Allocations since then. */
int64_t il_hooks_calls(void);

#endif
