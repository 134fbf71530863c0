#include <string.h>
#include "base/files.h"
#include "base/text.h"
#include "formats/gguf.h"
#include "formats/gguf_private.h"

static void put(il_text *t, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(value >> (8 * i) & 0xff);

        il_text_add_bytes(t, &byte, 1);
    }
}

static void put_text(il_text *t, const char *text)
{
    put(t, strlen(text), 8);
    il_text_add(t, text);
}

static void pad(il_text *t)
{
    while (t->size % GGUF_ALIGN != 0 && !t->failed) {
        put(t, 0, 1);
    }
}

static il_status check(const char *path, const il_gguf_pair *pairs, size_t pair_count,
                       const il_gguf_vector *vectors, size_t count, il_error *err)
{
    for (size_t i = 0; i < pair_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(pairs[i].key, pairs[j].key) == 0) {
                return il_error_set(err, IL_ERR_INPUT, path, "key '%s' is there twice",
                                    pairs[i].key);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (vectors[i].count < 1) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "tensor '%s': expected at least one element",
                                vectors[i].name);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(vectors[i].name, vectors[j].name) == 0) {
                return il_error_set(err, IL_ERR_INPUT, path,
                                    "tensor '%s' is there twice", vectors[i].name);
            }
        }
    }
    return IL_OK;
}

il_status il_gguf_write(const char *path, const il_gguf_pair *pairs, size_t pair_count,
                        const il_gguf_vector *vectors, size_t count, il_error *err)
{
    il_text t = {0};
    uint64_t at = 0;
    il_status status;

    IL_TRY(check(path, pairs, pair_count, vectors, count, err));
    il_text_add(&t, "GGUF");
    put(&t, 3, 4);
    put(&t, count, 8);
    put(&t, pair_count, 8);
    for (size_t i = 0; i < pair_count; i++) {
        put_text(&t, pairs[i].key);
        put(&t, pairs[i].text != NULL ? GGUF_TEXT : GGUF_U32, 4);
        if (pairs[i].text != NULL) {
            put_text(&t, pairs[i].text);
        } else {
            put(&t, pairs[i].whole, 4);
        }
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = (uint64_t)vectors[i].count * sizeof(float);

        put_text(&t, vectors[i].name);
        put(&t, 1, 4);
        put(&t, (uint64_t)vectors[i].count, 8);
        put(&t, GGUF_TENSOR_F32, 4);
        put(&t, at, 8);
        at += (bytes + GGUF_ALIGN - 1) / GGUF_ALIGN * GGUF_ALIGN;
    }
    for (size_t i = 0; i < count; i++) {
        pad(&t);
        il_text_add_bytes(&t, (const char *)(const void *)vectors[i].data,
                          (size_t)vectors[i].count * sizeof(float));
    }
    pad(&t);
    status = t.failed ? il_error_set(err, IL_ERR_MEMORY, path, "out of memory")
                      : il_file_write(path, t.data, t.size, err);
    il_text_free(&t);
    return status;
}
