/* Signatures in minisign's formats, which minisign itself makes and checks: Ed25519
 * over the BLAKE2b-512 hash of a text ("prehashed"), and a second one over that and a
 * trusted comment. The older kind, over the text itself, is refused.
 *
 * Formats: https://jedisct1.github.io/minisign/ ("Signature format", "Public key
 * format", "Secret key format"). Needs sodium_init, which each function calls. */
#ifndef IL_BUNDLE_MINISIGN_H
#define IL_BUNDLE_MINISIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"
#include "interloop/status.h"

enum { IL_MINISIGN_COMMENT = 512, IL_MINISIGN_KEYS = 256 };

typedef struct il_public_key {
    uint8_t id[8];
    uint8_t key[32];
} il_public_key;

typedef struct il_secret_key {
    uint8_t id[8];
    uint8_t key[64];
} il_secret_key;

typedef struct il_signature {
    uint8_t id[8]; /* of the key that made it */
    uint8_t signature[64];
    uint8_t global[64];                /* of the signature and the comment */
    char comment[IL_MINISIGN_COMMENT]; /* trusted once checked */
} il_signature;

/* "6E1A6E2B..." as minisign prints it. */
void il_key_name(const uint8_t id[8], char out[17]);

/* Reads every key of a text: base64 lines, between comments that are left out. At most
 * `room`; a line that is no key is IL_ERR_INPUT with its number. */
il_status il_public_keys_read(const char *text, const char *where, il_public_key *keys,
                              size_t room, size_t *count, il_error *err);
/* Adds a public key file's text, a comment and the key. */
void il_public_key_write(il_text *out, const il_public_key *key);
/* Reads a secret key file, encrypted by a password or not; `password` may be NULL. Wipe
 * the key with il_secret_key_wipe. */
il_status il_secret_key_read(const char *text, const char *where, const char *password,
                             il_secret_key *out, il_error *err);
void il_secret_key_wipe(il_secret_key *key);
/* The same for the text of a key's file or a password; takes NULL. */
void il_secret_text_wipe(char *text);
/* Reads a signature file. */
il_status il_signature_read(const char *text, const char *where, il_signature *out,
                            il_error *err);
/* Whether the key signed these bytes and the comment. */
bool il_signature_good(const il_signature *s, const il_public_key *key,
                       const void *data, size_t size);
/* A signature file's text, malloc'ed; `comment` is one line that becomes trusted. */
il_status il_signature_write(const il_secret_key *key, const void *data, size_t size,
                             const char *comment, char **text, il_error *err);
/* A new key pair as the texts of its two files, malloc'ed; the secret one is not
 * encrypted and says so. */
il_status il_key_make(char **public_text, char **secret_text, il_error *err);

#endif
