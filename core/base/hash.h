/* SHA-256 (libsodium's) as lower-case hex, over bytes, files and streams of parts. A
 * part is hashed with its length before it, so that no two lists of parts run together.
 */
#ifndef IL_BASE_HASH_H
#define IL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

#define IL_HASH_HEX 65 /* 64 digits and a NUL */

typedef struct il_hash il_hash; /* a running hash */

il_hash *il_hash_create(void);
void il_hash_part(il_hash *h, const void *data, size_t size);
void il_hash_text(il_hash *h, const char *text);      /* NULL counts as "" */
void il_hash_done(il_hash *h, char hex[IL_HASH_HEX]); /* and frees it */
/* BLAKE2b of 32 bytes instead (Aumasson et al. 2013), several times as fast, for what may
 * be gigabytes and is compared with nothing but its like. */
void il_hash_bulk(const void *data, size_t size, char hex[IL_HASH_HEX]);
void il_hash_bytes(const void *data, size_t size,
                   char hex[IL_HASH_HEX]); /* plain SHA-256 */
il_status il_hash_file(const char *path, char hex[IL_HASH_HEX], il_error *err);

#endif
