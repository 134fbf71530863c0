/* Byte-pair encoding: a word's characters (or bytes) are joined pair by pair, the pair
 * of the lowest rank first, the leftmost of equals. */
#include "formats/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- merges --------------------------------------------------------------------- */

static size_t merge_slot(uint64_t pair, size_t mask)
{
    uint64_t h = pair * 0x9e3779b97f4a7c15u;

    return (size_t)(h ^ h >> 32) & mask;
}

static const il_merge *merge_find(const il_token_model *m, int32_t a, int32_t b)
{
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    size_t i = merge_slot(pair, m->merge_mask);

    while (m->merges[i].pair != pair) {
        if (m->merges[i].pair == UINT64_MAX) {
            return NULL;
        }
        i = (i + 1) & m->merge_mask;
    }
    return &m->merges[i];
}

/* A pair's two texts: ["a", "b"], or "a b" as older files have it. */
static bool pair_texts(const json_t *o, il_words *a, il_words *b)
{
    const json_t *second = json_array_get(o, 1);
    const char *text = json_string_value(o);
    size_t size = json_string_length(o);
    const char *space = text == NULL ? NULL : memchr(text, ' ', size);

    if (json_array_size(o) == 2 && json_is_string(json_array_get(o, 0)) &&
        json_is_string(second)) {
        a->text = json_string_value(json_array_get(o, 0));
        a->size = json_string_length(json_array_get(o, 0));
        b->text = json_string_value(second);
        b->size = json_string_length(second);
        return true;
    }
    if (space == NULL ||
        memchr(space + 1, ' ', size - (size_t)(space + 1 - text)) != NULL) {
        return false;
    }
    *a = (il_words){text, (size_t)(space - text)};
    *b = (il_words){space + 1, size - a->size - 1};
    return true;
}

static il_status read_merge(il_token_reader *r, const json_t *o, size_t rank,
                            il_text *text)
{
    il_token_model *m = &r->t->model;
    il_words a;
    il_words b;
    int32_t left;
    int32_t right;
    int32_t made;
    size_t i;

    if (!pair_texts(o, &a, &b) || a.size == 0 || b.size < m->prefix.size ||
        b.size - m->prefix.size == 0) {
        return il__token_refuse(
            r, IL_ERR_INPUT, "merges[%zu]: expected two tokens, neither empty", rank);
    }
    left = il__vocabulary_find(&m->vocabulary, a.text, a.size);
    right = il__vocabulary_find(&m->vocabulary, b.text, b.size);
    text->size = 0;
    il_text_add_bytes(text, a.text, a.size);
    il_text_add_bytes(text, b.text + m->prefix.size, b.size - m->prefix.size);
    if (text->failed) {
        return il__token_memory(r);
    }
    made = il__vocabulary_find(&m->vocabulary, text->data, text->size);
    if (left < 0 || right < 0 || made < 0) {
        const il_words whole = {text->data, text->size};
        const il_words *lost = left < 0 ? &a : right < 0 ? &b : &whole;

        return il__token_refuse(
            r, IL_ERR_INPUT,
            "merges[%zu] names the token '%.*s', which is not in vocab", rank,
            (int)(lost->size < 64 ? lost->size : 64), lost->text);
    }
    i = merge_slot((uint64_t)(uint32_t)left << 32 | (uint32_t)right, m->merge_mask);
    while (m->merges[i].pair != UINT64_MAX &&
           m->merges[i].pair != ((uint64_t)(uint32_t)left << 32 | (uint32_t)right)) {
        i = (i + 1) & m->merge_mask;
    }
    if (m->merges[i].pair != UINT64_MAX) {
        return il__token_refuse(r, IL_ERR_INPUT, "merges[%zu] is merges[%d] once more",
                                rank, m->merges[i].rank);
    }
    m->merges[i].pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    m->merges[i].rank = (int32_t)rank;
    m->merges[i].made = made;
    return IL_OK;
}

static il_status read_merges(il_token_reader *r, const json_t *model)
{
    il_token_model *m = &r->t->model;
    const json_t *list = json_object_get(model, "merges");
    size_t count = json_array_size(list);
    size_t slots = 16;
    il_text text = {0};
    il_status status = IL_OK;

    if (!json_is_array(list) || count > (size_t)IL_VOCABULARY_MAX) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "merges: expected a list of at most "
                                "%lld pairs",
                                (long long)IL_VOCABULARY_MAX);
    }
    while (slots < count * 2) {
        slots *= 2;
    }
    m->merges = malloc(slots * sizeof *m->merges);
    if (m->merges == NULL) {
        return il__token_memory(r);
    }
    memset(m->merges, 0xff, slots * sizeof *m->merges);
    m->merge_mask = slots - 1;
    for (size_t i = 0; status == IL_OK && i < count; i++) {
        status = read_merge(r, json_array_get(list, i), i, &text);
    }
    il_text_free(&text);
    return status;
}

il_status il__token_read_bpe(il_token_reader *r, const json_t *model)
{
    il_token_model *m = &r->t->model;
    const json_t *dropout = json_object_get(model, "dropout");

    if (dropout != NULL && !json_is_null(dropout) && json_number_value(dropout) != 0) {
        return il__token_refuse(
            r, IL_ERR_UNSUPPORTED,
            "dropout: a tokenizer that draws lots is not supported");
    }
    IL_TRY(il__token_text(r, model, "continuing_subword_prefix", &m->prefix));
    IL_TRY(il__token_text(r, model, "end_of_word_suffix", &m->suffix));
    IL_TRY(il__token_flag(r, model, "fuse_unk", &m->fuse_unknown));
    IL_TRY(il__token_flag(r, model, "byte_fallback", &m->byte_fallback));
    IL_TRY(il__token_flag(r, model, "ignore_merges", &m->ignore_merges));
    IL_TRY(read_merges(r, model));
    for (int b = 0; b < 256; b++) {
        char name[8];
        char spelled[4];
        size_t n = il__utf8_write(il__byte_spelled((unsigned char)b), spelled);

        (void)snprintf(name, sizeof name, "<0x%02X>", b);
        m->fallback[b] = il__vocabulary_find(&m->vocabulary, name, 6);
        m->byte_ids[b] = il__vocabulary_find(&m->vocabulary, spelled, n);
    }
    return IL_OK;
}

/* ---- words ---------------------------------------------------------------------- */

il_status il__token_symbol(il_tokenizer_work *w, int32_t id, uint32_t size,
                           il_error *err)
{
    if (w->symbol_count == w->symbol_room) {
        size_t room = w->symbol_room == 0 ? 64 : w->symbol_room * 2;
        void *more = realloc(w->symbols, room * sizeof *w->symbols);

        if (more == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        w->symbols = more;
        w->symbol_room = room;
    }
    w->symbols[w->symbol_count].id = id;
    w->symbols[w->symbol_count].size = size;
    w->symbol_count++;
    return IL_OK;
}

/* A character's name in the vocabulary: with what marks that it goes on a word or ends
 * one. */
static il_words name_of(const il_token_model *m, il_text *room, const char *at,
                        size_t size, bool first, bool last)
{
    bool prefix = !first && m->prefix.size > 0;
    bool suffix = last && m->suffix.size > 0;

    if (!prefix && !suffix) {
        return (il_words){at, size};
    }
    room->size = 0;
    il_text_add_bytes(room, prefix ? m->prefix.text : "", prefix ? m->prefix.size : 0);
    il_text_add_bytes(room, at, size);
    il_text_add_bytes(room, suffix ? m->suffix.text : "", suffix ? m->suffix.size : 0);
    return (il_words){room->data, room->size};
}

/* The bytes of a name, each as <0x..>; false, and nothing added, when one has no token.
 */
static bool falls_back(const il_token_model *m, const il_words *name)
{
    for (size_t i = 0; i < name->size; i++) {
        if (m->fallback[(unsigned char)name->text[i]] < 0) {
            return false;
        }
    }
    return m->byte_fallback;
}

/* The characters of a word as symbols. What the vocabulary lacks becomes bytes, else
 * the unknown token, else nothing; the order in which an unknown one is written follows
 * the library: when something known follows. */
static il_status characters(const il_tokenizer *t, il_tokenizer_work *w,
                            const char *word, uint32_t size, il_error *err)
{
    const il_token_model *m = &t->model;
    uint32_t unknown = 0; /* bytes of unknown characters that are not written yet */

    for (uint32_t i = 0; i < size;) {
        uint32_t n = (uint32_t)il__utf8_length(word[i]);
        il_words name = name_of(m, &w->word, word + i, n, i == 0, i + n == size);
        int32_t id;

        if (w->word.failed) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        id = il__vocabulary_find(&m->vocabulary, name.text, name.size);
        i += n;
        if (id < 0 && falls_back(m, &name)) {
            for (size_t k = 0; k < name.size; k++) {
                IL_TRY(il__token_symbol(w, m->fallback[(unsigned char)name.text[k]], 1,
                                        err));
            }
            continue;
        }
        if (unknown > 0 && (id >= 0 || !m->fuse_unknown)) {
            IL_TRY(il__token_symbol(w, m->unknown, unknown, err));
            unknown = 0;
        }
        if (id >= 0) {
            IL_TRY(il__token_symbol(w, id, n, err));
        } else if (m->unknown >= 0) {
            unknown += n;
        }
    }
    return unknown > 0 ? il__token_symbol(w, m->unknown, unknown, err) : IL_OK;
}

/* ---- merging -------------------------------------------------------------------- */

enum { SHORT = 24 }; /* symbols up to which looking at all pairs is the fastest */

/* Joins the symbols of a short word: the best pair of all, again and again. */
static void merge_short(const il_token_model *m, il_symbol *s, size_t *count)
{
    const il_merge *found[SHORT];
    size_t n = *count;

    for (size_t i = 0; i + 1 < n; i++) {
        found[i] = merge_find(m, s[i].id, s[i + 1].id);
    }
    for (;;) {
        size_t best = n;

        for (size_t i = 0; i + 1 < n; i++) {
            if (found[i] != NULL && (best == n || found[i]->rank < found[best]->rank)) {
                best = i;
            }
        }
        if (best == n) {
            break;
        }
        s[best].id = found[best]->made;
        s[best].size += s[best + 1].size;
        n--;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        memmove(&found[best], &found[best + 1], (n - best) * sizeof found[0]);
        if (best > 0) {
            found[best - 1] = merge_find(m, s[best - 1].id, s[best].id);
        }
        if (best + 1 < n) {
            found[best] = merge_find(m, s[best].id, s[best + 1].id);
        }
    }
    *count = n;
}

static bool sooner(const il_heap_item *a, const il_heap_item *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* Adds the merge of two neighbours, if there is one. */
static il_status heap_add(il_tokenizer_work *w, const il_token_model *m, int32_t at,
                          int32_t next, il_error *err)
{
    const il_merge *found = merge_find(m, w->symbols[at].id, w->symbols[next].id);
    il_heap_item x;
    size_t i = w->heap_count;

    if (found == NULL) {
        return IL_OK;
    }
    x = (il_heap_item){found->rank, at, found->made};
    if (w->heap_count == w->heap_room) {
        size_t room = w->heap_room == 0 ? 256 : w->heap_room * 2;
        void *more = realloc(w->heap, room * sizeof *w->heap);

        if (more == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        w->heap = more;
        w->heap_room = room;
    }
    for (; i > 0 && sooner(&x, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        w->heap[i] = w->heap[(i - 1) / 2];
    }
    w->heap[i] = x;
    w->heap_count++;
    return IL_OK;
}

static il_heap_item heap_take(il_tokenizer_work *w)
{
    il_heap_item top = w->heap[0];
    il_heap_item x = w->heap[--w->heap_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->heap_count) {
            break;
        }
        if (child + 1 < w->heap_count && sooner(&w->heap[child + 1], &w->heap[child])) {
            child++;
        }
        if (!sooner(&w->heap[child], &x)) {
            break;
        }
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = x;
    return top;
}

/* The same for a long one: a heap of possible merges, and symbols linked in a list. */
static il_status merge_long(const il_token_model *m, il_tokenizer_work *w,
                            il_error *err)
{
    int32_t n = (int32_t)w->symbol_count;
    il_symbol *s = w->symbols;
    size_t kept = 0;

    w->heap_count = 0;
    for (int32_t i = 0; i < n; i++) {
        s[i].previous = i - 1;
        s[i].next = i + 1 < n ? i + 1 : -1;
        if (i + 1 < n) {
            IL_TRY(heap_add(w, m, i, i + 1, err));
        }
    }
    while (w->heap_count > 0) {
        il_heap_item top = heap_take(w);
        il_symbol *left = &s[top.at];
        const il_merge *now;

        /* Stale where one of the two has been joined with another since. */
        if (left->size == 0 || left->next < 0) {
            continue;
        }
        now = merge_find(m, left->id, s[left->next].id);
        if (now == NULL || now->made != top.made) {
            continue;
        }
        left->id = top.made;
        left->size += s[left->next].size;
        s[left->next].size = 0;
        left->next = s[left->next].next;
        if (left->next >= 0) {
            s[left->next].previous = top.at;
            IL_TRY(heap_add(w, m, top.at, left->next, err));
        }
        if (left->previous >= 0) {
            IL_TRY(heap_add(w, m, left->previous, top.at, err));
        }
    }
    for (int32_t i = 0; i < n; i++) {
        if (s[i].size > 0) {
            s[kept++] = s[i];
        }
    }
    w->symbol_count = kept;
    return IL_OK;
}

/* A word as the vocabulary spells it. */
static il_words spelling(il_tokenizer_work *w, const char *word, uint32_t size,
                         bool spelled)
{
    if (!spelled) {
        return (il_words){word, size};
    }
    w->word.size = 0;
    for (uint32_t i = 0; i < size; i++) {
        char c[4];
        size_t n = il__utf8_write(il__byte_spelled((unsigned char)word[i]), c);

        il_text_add_bytes(&w->word, c, n);
    }
    return (il_words){w->word.data, w->word.size};
}

il_status il__token_bpe(const il_tokenizer *t, il_tokenizer_work *w, const char *word,
                        uint32_t size, bool spelled, il_error *err)
{
    const il_token_model *m = &t->model;

    w->symbol_count = 0;
    if (m->ignore_merges) {
        il_words whole = spelling(w, word, size, spelled);
        int32_t id = w->word.failed
                         ? -1
                         : il__vocabulary_find(&m->vocabulary, whole.text, whole.size);

        if (w->word.failed) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        if (id >= 0) {
            return il__token_symbol(w, id, size, err);
        }
    }
    if (spelled) {
        for (uint32_t i = 0; i < size; i++) {
            IL_TRY(il__token_symbol(w, m->byte_ids[(unsigned char)word[i]], 1, err));
        }
    } else {
        IL_TRY(characters(t, w, word, size, err));
    }
    if (w->symbol_count > SHORT) {
        return merge_long(m, w, err);
    }
    merge_short(m, w->symbols, &w->symbol_count);
    return IL_OK;
}
