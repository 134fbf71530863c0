#include "bundle/minisign.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the files hold before they are written in base64. */
enum {
    PUBLIC_BYTES = 2 + 8 + 32,
    SIGNATURE_BYTES = 2 + 8 + 64,
    SECRET_HEAD = 2 + 2 + 2 + 32 + 8 + 8, /* algorithms, salt, limits */
    SECRET_BODY = 8 + 64 + 32,            /* id, key, checksum */
    SECRET_BYTES = SECRET_HEAD + SECRET_BODY,
    BINARY_MAX = 256
};

static const char untrusted[] = "untrusted comment: ";
static const char trusted[] = "trusted comment: ";

void il_key_name(const uint8_t id[8], char out[17])
{
    for (int i = 0; i < 8; i++) {
        (void)snprintf(out + 2 * i, 3, "%02X", id[7 - i]);
    }
}

static il_status start(il_error *err)
{
    return sodium_init() >= 0 ? IL_OK
                              : il_error_set(err, IL_ERR_INTERNAL, "libsodium",
                                             "cannot be initialized");
}

/* One line of a text without its end; false when there is none left. A line of more
 * than `room` - 1 bytes is cut, which no good one is. */
static bool next_line(const char **text, char *line, size_t room)
{
    size_t size = strcspn(*text, "\n");
    size_t kept = size < room - 1 ? size : room - 1;

    if (**text == '\0') {
        return false;
    }
    memcpy(line, *text, kept);
    line[kept] = '\0';
    if (kept > 0 && line[kept - 1] == '\r') {
        line[kept - 1] = '\0';
    }
    *text += size + ((*text)[size] == '\n');
    return true;
}

/* Whether a line is the base64 of exactly `size` bytes. */
static bool decode(const char *line, uint8_t *out, size_t size)
{
    size_t have = 0;
    const char *end = NULL;

    return sodium_base642bin(out, BINARY_MAX, line, strlen(line), NULL, &have, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           have == size && end == line + strlen(line);
}

static void encode(il_text *out, const uint8_t *data, size_t size)
{
    char text[sodium_base64_ENCODED_LEN(BINARY_MAX, sodium_base64_VARIANT_ORIGINAL)];

    (void)sodium_bin2base64(text, sizeof text, data, size,
                            sodium_base64_VARIANT_ORIGINAL);
    il_text_add(out, text);
    il_text_add(out, "\n");
    sodium_memzero(text, sizeof text);
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

/* ---- keys ----------------------------------------------------------------------- */

void il_public_key_write(il_text *out, const il_public_key *key)
{
    uint8_t binary[PUBLIC_BYTES] = "Ed";
    char name[17];

    memcpy(binary + 2, key->id, 8);
    memcpy(binary + 10, key->key, 32);
    il_key_name(key->id, name);
    il_text_addf(out, "%sminisign public key %s\n", untrusted, name);
    encode(out, binary, sizeof binary);
}

il_status il_public_keys_read(const char *text, const char *where, il_public_key *keys,
                              size_t room, size_t *count, il_error *err)
{
    char line[1024];
    int number = 0;

    IL_TRY(start(err));
    *count = 0;
    while (next_line(&text, line, sizeof line)) {
        uint8_t binary[BINARY_MAX];

        number++;
        if (line[0] == '\0' || line[0] == '#' || begins(line, untrusted)) {
            continue;
        }
        if (!decode(line, binary, PUBLIC_BYTES) || memcmp(binary, "Ed", 2) != 0) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "line %d: expected a minisign public key, found "
                                "'%.40s'",
                                number, line);
        }
        if (*count == room) {
            return il_error_set(err, IL_ERR_INPUT, where, "more than %zu keys", room);
        }
        memcpy(keys[*count].id, binary + 2, 8);
        memcpy(keys[*count].key, binary + 10, 32);
        (*count)++;
    }
    return IL_OK;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t value = 0;

    for (int i = 7; i >= 0; i--) {
        value = value << 8 | p[i];
    }
    return value;
}

/* BLAKE2b-256 of what the key is, which a wrong password does not meet. */
static void checksum(const uint8_t *binary, uint8_t out[32])
{
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, 32);
    (void)crypto_generichash_update(&state, binary, 2);
    (void)crypto_generichash_update(&state, binary + SECRET_HEAD, 8 + 64);
    (void)crypto_generichash_final(&state, out, 32);
}

/* Takes the password's stream off the body. */
static il_status decrypt(uint8_t *binary, const char *where, const char *password,
                         il_error *err)
{
    uint8_t stream[SECRET_BODY];
    uint64_t operations = get64(binary + 38);
    uint64_t memory = get64(binary + 46);

    if (password == NULL) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "the key is encrypted: give its password");
    }
    if (memory > (uint64_t)2 << 30 || operations > (uint64_t)1 << 32 ||
        crypto_pwhash_scryptsalsa208sha256(stream, sizeof stream, password,
                                           strlen(password), binary + 6, operations,
                                           (size_t)memory) != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "its password takes more memory or time than this "
                            "program gives");
    }
    for (int i = 0; i < SECRET_BODY; i++) {
        binary[SECRET_HEAD + i] ^= stream[i];
    }
    sodium_memzero(stream, sizeof stream);
    return IL_OK;
}

/* Whether the second half of a secret key is the public key of the first. A key without
 * a password has no checksum. */
static bool is_pair(const uint8_t key[64])
{
    uint8_t pair[64];
    uint8_t public_key[32];
    bool good;

    (void)crypto_sign_seed_keypair(public_key, pair, key);
    good = sodium_memcmp(pair, key, sizeof pair) == 0;
    sodium_memzero(pair, sizeof pair);
    return good;
}

il_status il_secret_key_read(const char *text, const char *where, const char *password,
                             il_secret_key *out, il_error *err)
{
    uint8_t binary[BINARY_MAX];
    uint8_t sum[32];
    char line[1024] = ""; /* a text without lines holds no key either */
    il_status status = IL_OK;

    IL_TRY(start(err));
    while (next_line(&text, line, sizeof line) &&
           (line[0] == '\0' || begins(line, untrusted))) {
    }
    if (!decode(line, binary, SECRET_BYTES) || memcmp(binary, "Ed", 2) != 0 ||
        memcmp(binary + 4, "B2", 2) != 0) {
        status =
            il_error_set(err, IL_ERR_INPUT, where, "expected a minisign secret key");
    } else if (memcmp(binary + 2, "Sc", 2) == 0) {
        status = decrypt(binary, where, password, err);
    } else if (binary[2] != 0 || binary[3] != 0) {
        status =
            il_error_set(err, IL_ERR_INPUT, where, "encrypted by an unknown method");
    }
    if (status == IL_OK && binary[2] != 0) {
        checksum(binary, sum);
        if (sodium_memcmp(sum, binary + SECRET_HEAD + 72, 32) != 0) {
            status = il_error_set(err, IL_ERR_INPUT, where,
                                  "the password is wrong, or the key is damaged");
        }
    }
    if (status == IL_OK && !is_pair(binary + SECRET_HEAD + 8)) {
        status = il_error_set(err, IL_ERR_INPUT, where, "the key is damaged");
    }
    if (status == IL_OK) {
        memcpy(out->id, binary + SECRET_HEAD, 8);
        memcpy(out->key, binary + SECRET_HEAD + 8, 64);
    }
    sodium_memzero(binary, sizeof binary);
    sodium_memzero(line, sizeof line);
    return status;
}

void il_secret_key_wipe(il_secret_key *key)
{
    sodium_memzero(key, sizeof *key);
}

void il_secret_text_wipe(char *text)
{
    if (text != NULL) {
        sodium_memzero(text, strlen(text));
    }
}

il_status il_key_make(char **public_text, char **secret_text, il_error *err)
{
    il_public_key pair;
    uint8_t binary[SECRET_BYTES] = "Ed";
    il_text public_file = {0};
    il_text secret_file = {0};

    IL_TRY(start(err));
    memcpy(binary + 4, "B2", 2);
    randombytes_buf(binary + SECRET_HEAD, 8);
    (void)crypto_sign_keypair(pair.key, binary + SECRET_HEAD + 8);
    memcpy(pair.id, binary + SECRET_HEAD, 8);
    il_public_key_write(&public_file, &pair);
    il_text_addf(&secret_file, "%sminisign unencrypted secret key\n", untrusted);
    encode(&secret_file, binary, sizeof binary);
    sodium_memzero(binary, sizeof binary);
    if (public_file.failed || secret_file.failed) {
        il_text_free(&public_file);
        il_text_free(&secret_file);
        return il_error_set(err, IL_ERR_MEMORY, "key", "out of memory");
    }
    *public_text = public_file.data;
    *secret_text = secret_file.data;
    return IL_OK;
}

/* ---- signatures ----------------------------------------------------------------- */

static il_status no_signature(const char *where, const char *expected, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, where,
                        "expected a minisign signature: %s is missing or damaged",
                        expected);
}

il_status il_signature_read(const char *text, const char *where, il_signature *out,
                            il_error *err)
{
    uint8_t binary[BINARY_MAX];
    char line[1024];

    IL_TRY(start(err));
    memset(out, 0, sizeof *out);
    if (!next_line(&text, line, sizeof line) || !begins(line, untrusted)) {
        return no_signature(where, "the untrusted comment", err);
    }
    if (!next_line(&text, line, sizeof line) ||
        !decode(line, binary, SIGNATURE_BYTES)) {
        return no_signature(where, "the signature", err);
    }
    if (memcmp(binary, "ED", 2) != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "expected a prehashed signature, found %s: sign with "
                            "minisign 0.10 or newer, or with -H",
                            memcmp(binary, "Ed", 2) == 0 ? "the older kind"
                                                         : "an unknown kind");
    }
    memcpy(out->id, binary + 2, 8);
    memcpy(out->signature, binary + 10, 64);
    if (!next_line(&text, line, sizeof line) || !begins(line, trusted) ||
        strlen(line) - strlen(trusted) >= sizeof out->comment) {
        return no_signature(where, "the trusted comment", err);
    }
    strcpy(out->comment, line + strlen(trusted));
    if (!next_line(&text, line, sizeof line) || !decode(line, binary, 64)) {
        return no_signature(where, "the comment's signature", err);
    }
    memcpy(out->global, binary, 64);
    return *text == '\0' ? IL_OK
                         : il_error_set(err, IL_ERR_INPUT, where,
                                        "has more lines than a signature");
}

static void prehash(const void *data, size_t size, uint8_t out[64])
{
    (void)crypto_generichash(out, 64, data, size, NULL, 0);
}

/* What the second signature is of. */
static size_t global_text(const uint8_t signature[64], const char *comment,
                          uint8_t out[64 + IL_MINISIGN_COMMENT])
{
    size_t size = strlen(comment);

    memcpy(out, signature, 64);
    memcpy(out + 64, comment, size);
    return 64 + size;
}

bool il_signature_good(const il_signature *s, const il_public_key *key,
                       const void *data, size_t size)
{
    uint8_t hash[64];
    uint8_t all[64 + IL_MINISIGN_COMMENT];
    size_t all_size = global_text(s->signature, s->comment, all);

    prehash(data, size, hash);
    return memcmp(s->id, key->id, 8) == 0 &&
           crypto_sign_verify_detached(s->signature, hash, sizeof hash, key->key) ==
               0 &&
           crypto_sign_verify_detached(s->global, all, all_size, key->key) == 0;
}

il_status il_signature_write(const il_secret_key *key, const void *data, size_t size,
                             const char *comment, char **text, il_error *err)
{
    uint8_t binary[SIGNATURE_BYTES] = "ED";
    uint8_t all[64 + IL_MINISIGN_COMMENT];
    uint8_t global[64];
    uint8_t hash[64];
    il_text out = {0};

    IL_TRY(start(err));
    if (strlen(comment) >= IL_MINISIGN_COMMENT || strpbrk(comment, "\r\n") != NULL) {
        return il_error_set(err, IL_ERR_INPUT, "signature",
                            "a trusted comment is one line of less than %d bytes",
                            IL_MINISIGN_COMMENT);
    }
    prehash(data, size, hash);
    memcpy(binary + 2, key->id, 8);
    (void)crypto_sign_detached(binary + 10, NULL, hash, sizeof hash, key->key);
    (void)crypto_sign_detached(global, NULL, all,
                               global_text(binary + 10, comment, all), key->key);
    il_text_addf(&out, "%ssignature from interloop\n", untrusted);
    encode(&out, binary, sizeof binary);
    il_text_addf(&out, "%s%s\n", trusted, comment);
    encode(&out, global, sizeof global);
    if (out.failed) {
        il_text_free(&out);
        return il_error_set(err, IL_ERR_MEMORY, "signature", "out of memory");
    }
    *text = out.data;
    return IL_OK;
}
