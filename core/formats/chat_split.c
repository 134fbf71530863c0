/* Cutting a chat template's text into pieces, as str.split and str.rsplit do. */
#include "formats/chat_run.h"
#include "formats/tokenizer_unicode.h"

/* The last place of `b` in `v` that ends at `end` or before, or SIZE_MAX. */
size_t il__chat_search_back(il_chat_run *r, const il_chat_value *v,
                            const il_chat_value *b, size_t end)
{
    size_t at = end >= b->size ? end - b->size : SIZE_MAX;

    while (at != SIZE_MAX && il__chat_work(r, b->size) && b->size > 0 &&
           memcmp(v->text + at, b->text, b->size) != 0) {
        at = at > 0 ? at - 1 : SIZE_MAX;
    }
    return r->status == IL_OK ? at : SIZE_MAX;
}

/* Where a piece ends and the next begins: at a separator, or at white space. From the
 * right, pieces are found from the last. */
typedef struct cut {
    size_t first;
    size_t last;
} cut;

bool il__chat_space(const il_chat_value *v, size_t at, size_t *size)
{
    uint32_t code = 0;

    *size = il__utf8_length(v->text[at]);
    (void)il__utf8_next(v->text + at, v->size - at, &code);
    return il__is_space(code) || (code >= 0x1c && code <= 0x1f);
}

static bool next_space(il_chat_run *r, const il_chat_value *v, size_t from, cut *out)
{
    size_t n;

    for (size_t at = from; at < v->size && il__chat_work(r, 0); at += n) {
        if (il__chat_space(v, at, &n)) {
            *out = (cut){at, at};
            while (at < v->size && il__chat_space(v, at, &n)) {
                at += n;
            }
            out->last = at;
            return true;
        }
    }
    return false;
}

static il_chat_value list_of(il_chat_run *r, const il_chat_value *v, const cut *cuts,
                             size_t count)
{
    il_chat_value *items;
    il_chat_value out = il__chat_many(r, IL_CHAT_IS_LIST, count + 1, &items);
    size_t at = 0;

    for (size_t i = 0; r->status == IL_OK && i <= count; i++) {
        items[i] = il__chat_part(v, at, i < count ? cuts[i].first : v->size);
        at = i < count ? cuts[i].last : at;
    }
    return out;
}

static bool add_cut(il_chat_run *r, cut **cuts, size_t *count, size_t *room, cut c)
{
    if (*count == *room) {
        size_t more = *room * 2 + 16;
        cut *now = il__chat_alloc(r, more, sizeof *now);

        if (now == NULL) {
            return false;
        }
        if (*count > 0) {
            memcpy(now, *cuts, *count * sizeof *now);
        }
        *cuts = now;
        *room = more;
    }
    (*cuts)[(*count)++] = c;
    return true;
}

/* At white space: what is around the text is none of it, except behind the last cut. */
static il_chat_value split_spaces(il_chat_run *r, const il_chat_value *v, int64_t most)
{
    il_chat_value inner = il__chat_strip(r, v, NULL, true, most < 0);
    il_chat_value out;
    il_chat_value *items;
    cut *cuts = NULL;
    cut c = {0, 0};
    size_t count = 0;
    size_t room = 0;

    if (inner.size == 0) {
        return il__chat_many(r, IL_CHAT_IS_LIST, 0, &items);
    }
    while ((most < 0 || (int64_t)count < most) && next_space(r, &inner, c.last, &c) &&
           add_cut(r, &cuts, &count, &room, c)) {
    }
    out = list_of(r, &inner, cuts, count);
    if (r->status == IL_OK && out.items[out.size - 1].size == 0) {
        out.size--;
    }
    return out;
}

il_chat_value il__chat_split(il_chat_run *r, const il_chat_value *v,
                             const il_chat_value *by, int64_t most, bool right)
{
    cut *cuts = NULL;
    size_t count = 0;
    size_t room = 0;
    size_t at = right ? v->size : 0;

    if (by == NULL) {
        return right && most >= 0
                   ? il__chat_fail(r, IL_ERR_UNSUPPORTED, "rsplit at white space")
                   : split_spaces(r, v, most);
    }
    if (by->size == 0) {
        return il__chat_fail(r, IL_ERR_INPUT, "split: an empty separator");
    }
    while (most < 0 || (int64_t)count < most) {
        size_t found =
            right ? il__chat_search_back(r, v, by, at) : il__chat_search(r, v, by, at);

        if (found == SIZE_MAX ||
            !add_cut(r, &cuts, &count, &room, (cut){found, found + by->size})) {
            break;
        }
        at = right ? found : found + by->size;
    }
    for (size_t i = 0; right && i < count / 2; i++) {
        cut swap = cuts[i];

        cuts[i] = cuts[count - 1 - i];
        cuts[count - 1 - i] = swap;
    }
    return list_of(r, v, cuts, count);
}
