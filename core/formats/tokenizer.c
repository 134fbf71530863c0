/* Encoding: added tokens are cut out, the rest is normalized, cut into pieces, and each
 * piece looked up in the cache of words or given to the model. */
#include "formats/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORD_MAX = 256,    /* bytes of a word that is kept */
    WORDS = 1 << 16,   /* slots of the cache, of which at most half are taken */
    KEPT_MAX = 1 << 20 /* tokens kept; then the cache begins anew */
};

void il_encoding_free(il_encoding *e)
{
    free(e->ids);
    free(e->spans);
    free(e->special);
    memset(e, 0, sizeof *e);
}

int64_t il_tokenizer_size(const il_tokenizer *t)
{
    return t->size;
}

const char *il_tokenizer_token(const il_tokenizer *t, int32_t id, size_t *size)
{
    size_t ignored;

    size = size != NULL ? size : &ignored;
    if (id < 0 || id >= t->size) {
        return NULL;
    }
    if (t->by_id[id] != NULL) {
        *size = t->by_id[id]->normal.size;
        return t->by_id[id]->normal.text;
    }
    if (id >= t->model.vocabulary.size) {
        return NULL;
    }
    *size = t->model.vocabulary.names[id].size;
    return t->model.vocabulary.names[id].text;
}

int32_t il_tokenizer_find(const il_tokenizer *t, const char *token, size_t size)
{
    for (size_t i = 0; i < t->added_count; i++) {
        if (t->added[i].content.size == size &&
            memcmp(t->added[i].content.text, token, size) == 0) {
            return t->added[i].id;
        }
    }
    return il__vocabulary_find(&t->model.vocabulary, token, size);
}

bool il_tokenizer_special(const il_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->size && t->by_id[id] != NULL && t->by_id[id]->special;
}

il_status il_tokenizer_work_create(il_tokenizer_work **out, const il_tokenizer *t,
                                   il_error *err)
{
    il_tokenizer_work *w = calloc(1, sizeof *w);
    il_status status =
        w == NULL ? IL_ERR_MEMORY : il__regex_work_create(&w->regex, err);

    if (status == IL_OK) {
        w->words = calloc(WORDS, sizeof *w->words);
    }
    if (status != IL_OK || w->words == NULL) {
        il_tokenizer_work_destroy(w);
        return il_error_set(err, IL_ERR_MEMORY, t->where, "out of memory");
    }
    *out = w;
    return IL_OK;
}

void il_tokenizer_work_destroy(il_tokenizer_work *w)
{
    if (w != NULL) {
        il__draft_free(&w->draft);
        il__regex_work_destroy(w->regex);
        free(w->parts);
        free(w->symbols);
        free(w->heap);
        free(w->words);
        free(w->tokens);
        il_text_free(&w->word);
        il_text_free(&w->keys);
        free(w);
    }
}

il_status il__token_append(il_encoding *out, int32_t id, il_span span, bool special,
                           il_error *err)
{
    if (out->count == out->room) {
        size_t room = out->room == 0 ? 256 : out->room * 2;
        void *ids = realloc(out->ids, room * sizeof *out->ids);
        void *spans =
            ids == NULL ? NULL : realloc(out->spans, room * sizeof *out->spans);
        void *flags = spans == NULL ? NULL : realloc(out->special, room);

        out->ids = ids != NULL ? ids : out->ids;
        out->spans = spans != NULL ? spans : out->spans;
        out->special = flags != NULL ? flags : out->special;
        if (flags == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        out->room = room;
    }
    out->ids[out->count] = id;
    out->spans[out->count] = span;
    out->special[out->count] = special;
    out->count++;
    return IL_OK;
}

/* ---- words ---------------------------------------------------------------------- */

/* The slot of a word in the cache: its own, or a free one. */
static il_token_word *cached(il_tokenizer_work *w, const char *word, uint32_t size,
                             uint64_t hash)
{
    size_t i = (size_t)hash & (WORDS - 1);

    while (w->words[i].hash != 0 &&
           (w->words[i].hash != hash || w->words[i].size != size ||
            memcmp(w->keys.data + w->words[i].key, word, size) != 0)) {
        i = (i + 1) & (WORDS - 1);
    }
    return &w->words[i];
}

/* Keeps the word that `symbols` holds; where there is no memory, it is not kept. */
static void keep_word(il_tokenizer_work *w, const char *word, uint32_t size,
                      uint64_t hash)
{
    il_token_word *slot;

    if (w->word_count >= WORDS / 2 || w->token_count + w->symbol_count > KEPT_MAX) {
        memset(w->words, 0, WORDS * sizeof *w->words);
        w->word_count = 0;
        w->token_count = 0;
        w->keys.size = 0;
    }
    if (w->token_count + w->symbol_count > w->token_room) {
        size_t room = (w->token_count + w->symbol_count) * 2;
        void *more = realloc(w->tokens, room * sizeof *w->tokens);

        if (more == NULL) {
            return;
        }
        w->tokens = more;
        w->token_room = room;
    }
    slot = cached(w, word, size, hash);
    slot->key = (uint32_t)w->keys.size;
    il_text_add_bytes(&w->keys, word, size);
    if (w->keys.failed) {
        w->keys.failed = false;
        return;
    }
    if (w->symbol_count > 0) { /* a word may become nothing */
        memcpy(w->tokens + w->token_count, w->symbols,
               w->symbol_count * sizeof *w->symbols);
    }
    slot->tokens = (uint32_t)w->token_count;
    slot->count = (uint32_t)w->symbol_count;
    slot->size = size;
    slot->hash = hash;
    w->token_count += w->symbol_count;
    w->word_count++;
}

static il_status append_symbols(il_tokenizer_work *w, const il_piece *p,
                                const il_symbol *s, size_t count, il_error *err)
{
    il_draft *d = &w->draft;
    uint32_t at = p->first;

    for (size_t i = 0; i < count; i++) {
        /* Bytes that a prefix or a suffix put there are the word's last character's. */
        const uint32_t first = at < p->last ? at : p->last - 1;
        const uint32_t left = p->last - first;

        at = first + (s[i].size < left ? s[i].size : left);
        IL_TRY(
            il__token_append(w->out, s[i].id, il__span_of(d, first, at), false, err));
    }
    return IL_OK;
}

static il_status encode_piece(const il_tokenizer *t, il_tokenizer_work *w,
                              const il_piece *p, il_error *err)
{
    const char *word = w->draft.text + p->first;
    uint32_t size = p->last - p->first;
    uint64_t hash = 0;

    if (p->id >= 0) {
        return il__token_append(w->out, p->id,
                                il__span_of(&w->draft, p->first, p->last), false, err);
    }
    if (size <= WORD_MAX) {
        const il_token_word *found;

        hash = il__token_hash(word, size);
        found = cached(w, word, size, hash);
        if (found->hash != 0) {
            return append_symbols(w, p, w->tokens + found->tokens, found->count, err);
        }
    }
    IL_TRY(t->model.kind == IL_MODEL_BPE
               ? il__token_bpe(t, w, word, size, w->draft.spelled, err)
               : il__token_wordpiece(t, w, word, size, err));
    if (size <= WORD_MAX) {
        keep_word(w, word, size, hash);
    }
    return append_symbols(w, p, w->symbols, w->symbol_count, err);
}

il_status il_tokenizer_encode(const il_tokenizer *t, il_tokenizer_work *w,
                              const char *text, size_t size, bool special,
                              il_encoding *out, il_error *err)
{
    il_draft *d = &w->draft;

    if (size > IL_TOKENIZER_TEXT_MAX) {
        return il_error_set(err, IL_ERR_INPUT, t->where,
                            "a text of %zu bytes, expected at most %zu at once", size,
                            IL_TOKENIZER_TEXT_MAX);
    }
    out->count = 0;
    w->out = out;
    il__draft_begin(d, size > 0 ? text : "", size);
    IL_TRY(il__token_cut_added(t, w, t->plain, err));
    IL_TRY(il__token_normalize(t, w, err));
    IL_TRY(il__token_cut_added(t, w, t->normalized, err));
    IL_TRY(il__token_split(t, w, err));
    if (d->failed) {
        return il_error_set(err, IL_ERR_MEMORY, t->where, "out of memory");
    }
    for (size_t i = 0; i < d->now.count; i++) {
        IL_TRY(encode_piece(t, w, &d->now.at[i], err));
    }
    return il__token_finish(t, text, special, out, err);
}
