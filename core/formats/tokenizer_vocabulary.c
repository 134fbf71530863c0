#include "formats/tokenizer_vocabulary.h"

#include <stdlib.h>
#include <string.h>

uint64_t il__token_hash(const char *text, size_t size)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ size;
    uint64_t word;

    for (; size >= 8; text += 8, size -= 8) {
        memcpy(&word, text, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, text, size);
    h = (h ^ word) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 29;
    return h != 0 ? h : 1;
}

bool il__vocabulary_open(il_vocabulary *v, size_t count, int64_t size)
{
    size_t slots = 16;

    while (slots < count * 2) {
        slots *= 2;
    }
    v->names = calloc((size_t)size + 1, sizeof *v->names);
    v->table = malloc(slots * sizeof *v->table);
    if (v->names == NULL || v->table == NULL) {
        return false;
    }
    memset(v->table, 0xff, slots * sizeof *v->table);
    v->size = size;
    v->mask = slots - 1;
    return true;
}

void il__vocabulary_free(il_vocabulary *v)
{
    free(v->names);
    free(v->table);
    memset(v, 0, sizeof *v);
}

/* The slot that holds the token, or the free one where it would stand. */
static size_t slot(const il_vocabulary *v, const char *text, size_t size)
{
    size_t i = (size_t)il__token_hash(text, size) & v->mask;

    while (v->table[i] >= 0) {
        const il_token_name *n = &v->names[v->table[i]];

        if (n->size == size && memcmp(n->text, text, size) == 0) {
            break;
        }
        i = (i + 1) & v->mask;
    }
    return i;
}

int32_t il__vocabulary_add(il_vocabulary *v, const char *text, size_t size, int32_t id)
{
    size_t i = slot(v, text, size);

    if (v->table[i] >= 0) {
        return v->table[i];
    }
    if (v->names[id].text != NULL) {
        return id;
    }
    v->names[id].text = text;
    v->names[id].size = (uint32_t)size;
    v->table[i] = id;
    return -1;
}

int32_t il__vocabulary_find(const il_vocabulary *v, const char *text, size_t size)
{
    return v->table == NULL ? -1 : v->table[slot(v, text, size)];
}
