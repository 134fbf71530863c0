/* Trust: which plugin files may be loaded at all, by the SHA-256 of their bytes. It is
 * asked before anything of a file runs. */
#ifndef IL_PLUGIN_TRUST_H
#define IL_PLUGIN_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include "base/hash.h"
#include "interloop/status.h"

typedef enum il_trust_mode {
    IL_TRUST_ANY,    /* every file that can be used */
    IL_TRUST_LOCKED, /* those that a lock lists */
    IL_TRUST_SIGNED  /* those of signed bundles, and those that came with the program */
} il_trust_mode;

typedef struct il_trust {
    il_trust_mode mode;
    char (*hashes)[IL_HASH_HEX]; /* malloc'ed */
    size_t count;
    char *source; /* where the hashes come from, for messages; malloc'ed */
} il_trust;

/* Adds a hash; false when memory is out. */
bool il_trust_add(il_trust *t, const char *sha256);
/* Reads a plugins.lock, a JSON object a line with "id" and "sha256". What is no such
 * line is IL_ERR_INPUT with its number. */
il_status il_trust_read_lock(il_trust *t, const char *path, il_error *err);
bool il_trust_has(const il_trust *t, const char *sha256);
void il_trust_free(il_trust *t); /* takes NULL */

#endif
