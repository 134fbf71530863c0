/* Added tokens: found in the text before the model sees any of it. */
#include "formats/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- the longest of many texts -------------------------------------------------- */

typedef struct node {
    int32_t child; /* the first of its children, -1: none */
    int32_t next;  /* its next sibling */
    int32_t token; /* which added token ends here, -1: none */
    unsigned char byte;
} node;

struct il_trie {
    node *nodes;
    size_t count, room;
    int32_t first[256]; /* the nodes of the first bytes */
};

void il__trie_destroy(il_trie *trie)
{
    if (trie != NULL) {
        free(trie->nodes);
        free(trie);
    }
}

/* The child by its byte of the node whose first child is `first`; -1: none. */
static int32_t child(const il_trie *t, int32_t first, unsigned char byte)
{
    for (int32_t i = first; i >= 0; i = t->nodes[i].next) {
        if (t->nodes[i].byte == byte) {
            return i;
        }
    }
    return -1;
}

static bool trie_add(il_trie *t, const il_words *words, int32_t token)
{
    int32_t at = -1;

    for (size_t k = 0; k < words->size; k++) {
        unsigned char byte = (unsigned char)words->text[k];
        int32_t found = at < 0 ? t->first[byte] : child(t, t->nodes[at].child, byte);

        if (found < 0) {
            if (t->count == t->room) {
                size_t room = t->room == 0 ? 256 : t->room * 2;
                void *more = realloc(t->nodes, room * sizeof *t->nodes);

                if (more == NULL) {
                    return false;
                }
                t->nodes = more;
                t->room = room;
            }
            found = (int32_t)t->count++;
            t->nodes[found] = (node){-1, -1, -1, byte};
            if (at < 0) {
                t->first[byte] = found;
            } else {
                t->nodes[found].next = t->nodes[at].child;
                t->nodes[at].child = found;
            }
        }
        at = found;
    }
    /* Of two that normalize to the same, the first is found. */
    if (at >= 0 && t->nodes[at].token < 0) {
        t->nodes[at].token = token;
    }
    return true;
}

/* The longest token at the beginning of `text`, or -1. */
static int32_t trie_at(const il_trie *t, const char *text, size_t size)
{
    int32_t at = t->first[(unsigned char)text[0]];
    int32_t best = -1;

    for (size_t k = 1; at >= 0; k++) {
        if (t->nodes[at].token >= 0) {
            best = t->nodes[at].token;
        }
        at = k < size ? child(t, t->nodes[at].child, (unsigned char)text[k]) : -1;
    }
    return best;
}

/* ---- cutting -------------------------------------------------------------------- */

/* Whether the character that ends at `end`, or begins at `begin`, belongs to a word. */
static il_status in_word(const il_tokenizer *t, il_tokenizer_work *w, uint32_t begin,
                         uint32_t end, bool *out, il_error *err)
{
    const char *text = w->draft.text;
    il_span found;

    *out = false;
    if (begin == end) {
        return IL_OK;
    }
    return il__regex_find(t->word, w->regex, text + begin, end - begin, 0, out, &found,
                          err);
}

static uint32_t before(const il_draft *d, uint32_t at, uint32_t least)
{
    while (at > least && ((unsigned char)d->text[--at] & 0xc0) == 0x80) {
    }
    return at;
}

/* Cuts the tokens out of one piece. */
static il_status cut_piece(const il_tokenizer *t, il_tokenizer_work *w,
                           const il_trie *trie, const il_piece *p, il_error *err)
{
    il_draft *d = &w->draft;
    uint32_t kept = p->first;
    uint32_t i = p->first;

    while (i < p->last) {
        int32_t which = trie->first[(unsigned char)d->text[i]] < 0
                            ? -1
                            : trie_at(trie, d->text + i, p->last - i);
        const il_added *a;
        uint32_t first = i;
        uint32_t last;
        uint32_t code;

        if (which < 0) {
            i++;
            continue;
        }
        a = &t->added[which];
        last = i + (uint32_t)a->normal.size;
        i = last;
        if (a->single_word) {
            bool left;
            bool right;
            uint32_t behind =
                last < p->last ? last + (uint32_t)il__utf8_length(d->text[last]) : last;

            IL_TRY(in_word(t, w, before(d, first, p->first), first, &left, err));
            IL_TRY(in_word(t, w, last, behind, &right, err));
            if (left || right) {
                continue;
            }
        }
        while (a->left && first > kept) {
            uint32_t back = before(d, first, kept);

            (void)il__utf8_read(d->text + back, &code);
            if (!il__is_space(code)) {
                break;
            }
            first = back;
        }
        while (a->right && last < p->last) {
            uint32_t n = (uint32_t)il__utf8_read(d->text + last, &code);

            if (!il__is_space(code)) {
                break;
            }
            last += n;
        }
        il__cut(d, kept, first, -1);
        il__cut(d, first, last, a->id);
        kept = last;
        i = last > i ? last : i;
    }
    if (kept == p->first) {
        il__keep(d, p);
    } else {
        il__cut(d, kept, p->last, -1);
    }
    return IL_OK;
}

il_status il__token_cut_added(const il_tokenizer *t, il_tokenizer_work *w,
                              const il_trie *trie, il_error *err)
{
    il_draft *d = &w->draft;

    if (trie == NULL) {
        return IL_OK;
    }
    for (size_t i = 0; i < d->now.count && !d->failed; i++) {
        if (d->now.at[i].id >= 0) {
            il__keep(d, &d->now.at[i]);
        } else {
            IL_TRY(cut_piece(t, w, trie, &d->now.at[i], err));
        }
    }
    il__cut_done(d);
    return IL_OK;
}

/* ---- reading -------------------------------------------------------------------- */

static il_status read_token(il_token_reader *r, const json_t *o, size_t i)
{
    il_tokenizer *t = r->t;
    il_added *a = &t->added[i];
    int64_t id = -1;
    int32_t there;

    a->normalized = true;
    IL_TRY(il__token_text(r, o, "content", &a->content));
    IL_TRY(il__token_whole(r, o, "id", 0, IL_VOCABULARY_MAX - 1, &id));
    IL_TRY(il__token_flag(r, o, "single_word", &a->single_word));
    IL_TRY(il__token_flag(r, o, "lstrip", &a->left));
    IL_TRY(il__token_flag(r, o, "rstrip", &a->right));
    IL_TRY(il__token_flag(r, o, "normalized", &a->normalized));
    IL_TRY(il__token_flag(r, o, "special", &a->special));
    if (a->content.size == 0 || id < 0) {
        return il__token_refuse(r, IL_ERR_INPUT, "expected its content and its id");
    }
    a->id = (int32_t)id;
    there = il__vocabulary_find(&t->model.vocabulary, a->content.text, a->content.size);
    if (there >= 0 ? there != a->id
                   : a->id < t->model.vocabulary.size &&
                         t->model.vocabulary.names[a->id].text != NULL) {
        return il__token_refuse(
            r, IL_ERR_INPUT, "'%.64s' says id %d, which %s%.64s", a->content.text,
            a->id, there >= 0 ? "is not the one in vocab" : "is in vocab that of ",
            there >= 0 ? "" : t->model.vocabulary.names[a->id].text);
    }
    t->size = id >= t->size ? id + 1 : t->size;
    return IL_OK;
}

/* Ids to tokens, and that neither comes twice. */
static il_status index_tokens(il_token_reader *r)
{
    il_tokenizer *t = r->t;
    il_vocabulary names = {0};
    il_status status = IL_OK;

    t->by_id = calloc((size_t)t->size + 1, sizeof *t->by_id);
    if (t->by_id == NULL || !il__vocabulary_open(&names, t->added_count, t->size)) {
        status = il__token_memory(r);
    }
    for (size_t i = 0; status == IL_OK && i < t->added_count; i++) {
        const il_added *a = &t->added[i];

        if (il__vocabulary_add(&names, a->content.text, a->content.size, a->id) >= 0) {
            status = il__token_refuse(r, IL_ERR_INPUT,
                                      "'%.64s' or its id %d stands there twice",
                                      a->content.text, a->id);
        }
        t->by_id[a->id] = a;
    }
    il__vocabulary_free(&names);
    return status;
}

/* What the normalizer makes of a token's content, in the tokenizer's arena. */
static il_status normal_content(il_token_reader *r, il_tokenizer_work *w, il_added *a)
{
    char *copy;

    a->normal = a->content;
    if (!a->normalized || r->t->normalizer_count == 0) {
        return IL_OK;
    }
    il__draft_begin(&w->draft, a->content.text, a->content.size);
    IL_TRY(il__token_normalize(r->t, w, r->err));
    copy = il_arena_alloc(r->t->arena, w->draft.size + 1);
    if (w->draft.failed || copy == NULL) {
        return il__token_memory(r);
    }
    if (w->draft.size > 0) {
        memcpy(copy, w->draft.text, w->draft.size);
    }
    a->normal = (il_words){copy, w->draft.now.count == 0 ? 0 : w->draft.size};
    return IL_OK;
}

static il_status build(il_token_reader *r, bool normalized, il_trie **out)
{
    il_tokenizer *t = r->t;
    il_trie *trie = NULL;

    /* The library takes special tokens first; that decides between equals. */
    for (int special = 1; special >= 0; special--) {
        for (size_t i = 0; i < t->added_count; i++) {
            const il_added *a = &t->added[i];

            if (a->normalized != normalized || a->special != (special != 0)) {
                continue;
            }
            if (trie == NULL) {
                trie = *out = calloc(1, sizeof *trie);
                if (trie == NULL) {
                    return il__token_memory(r);
                }
                memset(trie->first, 0xff, sizeof trie->first);
            }
            if (!trie_add(trie, &a->normal, (int32_t)i)) {
                return il__token_memory(r);
            }
        }
    }
    return IL_OK;
}

il_status il__token_read_added(il_token_reader *r, const json_t *root)
{
    il_tokenizer *t = r->t;
    const json_t *list = json_object_get(root, "added_tokens");
    il_tokenizer_work *w = NULL;
    il_status status;

    (void)snprintf(r->place, sizeof r->place, "added_tokens");
    t->size = t->model.vocabulary.size;
    if (list != NULL && !json_is_null(list) && !json_is_array(list)) {
        return il__token_refuse(r, IL_ERR_INPUT, "expected a list");
    }
    t->added_count = json_array_size(list);
    t->added = il_arena_calloc(t->arena, t->added_count + 1, sizeof *t->added);
    if (t->added == NULL) {
        return il__token_memory(r);
    }
    for (size_t i = 0; i < t->added_count; i++) {
        (void)snprintf(r->place, sizeof r->place, "added_tokens[%zu]", i);
        IL_TRY(read_token(r, json_array_get(list, i), i));
    }
    (void)snprintf(r->place, sizeof r->place, "added_tokens");
    IL_TRY(index_tokens(r));
    IL_TRY(il__token_regex(r, "\\A[\\w\\u200c\\u200d]", &t->word));
    IL_TRY(il_tokenizer_work_create(&w, t, r->err));
    status = IL_OK;
    for (size_t i = 0; status == IL_OK && i < t->added_count; i++) {
        status = normal_content(r, w, &t->added[i]);
        if (status == IL_OK && t->added[i].normal.size == 0) {
            status = il__token_refuse(r, IL_ERR_INPUT,
                                      "'%.64s': the normalizer leaves nothing of it",
                                      t->added[i].content.text);
        }
    }
    il_tokenizer_work_destroy(w);
    IL_TRY(status);
    IL_TRY(build(r, false, &t->plain));
    return build(r, true, &t->normalized);
}
