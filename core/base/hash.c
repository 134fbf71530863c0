#include "base/hash.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct il_hash {
    crypto_hash_sha256_state state;
};

static void hash_hex(const unsigned char digest[crypto_hash_sha256_BYTES],
                     char hex[IL_HASH_HEX])
{
    sodium_bin2hex(hex, IL_HASH_HEX, digest, crypto_hash_sha256_BYTES);
}

/* SHA-256 needs no sodium_init: it neither draws random numbers nor picks an
 * implementation at run time. */
il_hash *il_hash_create(void)
{
    il_hash *h = malloc(sizeof *h);

    if (h != NULL) {
        (void)crypto_hash_sha256_init(&h->state);
    }
    return h;
}

void il_hash_part(il_hash *h, const void *data, size_t size)
{
    unsigned char length[8];

    for (int i = 0; i < 8; i++) {
        length[i] = (unsigned char)((uint64_t)size >> (8 * i));
    }
    (void)crypto_hash_sha256_update(&h->state, length, sizeof length);
    if (size > 0) {
        (void)crypto_hash_sha256_update(&h->state, data, size);
    }
}

void il_hash_text(il_hash *h, const char *text)
{
    il_hash_part(h, text, text != NULL ? strlen(text) : 0);
}

void il_hash_done(il_hash *h, char hex[IL_HASH_HEX])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256_final(&h->state, digest);
    hash_hex(digest, hex);
    free(h);
}

void il_hash_bytes(const void *data, size_t size, char hex[IL_HASH_HEX])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    (void)crypto_hash_sha256(digest, size > 0 ? data : digest, size);
    hash_hex(digest, hex);
}

il_status il_hash_file(const char *path, char hex[IL_HASH_HEX], il_error *err)
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    unsigned char piece[1 << 14];
    il_status status = IL_OK;
    size_t got;
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        return il_error_set(err, IL_ERR_IO, path, "cannot open: %s", strerror(errno));
    }
    (void)crypto_hash_sha256_init(&state);
    while ((got = fread(piece, 1, sizeof piece, f)) > 0) {
        (void)crypto_hash_sha256_update(&state, piece, got);
    }
    if (ferror(f)) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot read: %s", strerror(errno));
    } else {
        (void)crypto_hash_sha256_final(&state, digest);
        hash_hex(digest, hex);
    }
    (void)fclose(f);
    return status;
}

void il_hash_bulk(const void *data, size_t size, char hex[IL_HASH_HEX])
{
    unsigned char digest[32];

    if (sodium_init() < 0) {
        /* which picks the widest implementation; without, the plain one is there */
    }
    (void)crypto_generichash(digest, sizeof digest, size > 0 ? data : digest, size,
                             NULL, 0);
    hash_hex(digest, hex);
}
