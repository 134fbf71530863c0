/* SHA-256 (FIPS 180-4), since a plugin links nothing but libc. */
#ifndef WORDNET_PERSONAS_SHA256_H
#define WORDNET_PERSONAS_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct sha256 {
    uint32_t state[8];
    uint64_t bytes; /* seen so far */
    uint8_t block[64];
} sha256;

void sha256_open(sha256 *h);
void sha256_add(sha256 *h, const void *data, size_t size);
void sha256_close(sha256 *h, uint8_t out[32]);

#endif
