#include "formats/tokenizer_text.h"

#include <stdlib.h>
#include <string.h>

/* Room for `need` items of `size` bytes at *at; false, and failed, without memory. */
static bool grow(il_draft *d, void **at, size_t *room, size_t need, size_t size)
{
    size_t wanted = *room < 64 ? 64 : *room;
    void *more;

    if (need <= *room) {
        return true;
    }
    while (wanted < need) {
        wanted += wanted / 2;
    }
    more = wanted > SIZE_MAX / size ? NULL : realloc(*at, wanted * size);
    if (more == NULL) {
        d->failed = true;
        return false;
    }
    *at = more;
    *room = wanted;
    return true;
}

/* Room for `more` bytes in the text that is being written. */
static il_letters *letters(il_draft *d, size_t more)
{
    il_letters *l = &d->own[d->turn];
    size_t room = l->room;
    void *text = l->text;
    void *spans = l->spans;

    if (d->failed) {
        return NULL;
    }
    if (l->size + more <= l->room) {
        return l;
    }
    if (l->size + more > IL_TOKENIZER_TEXT_MAX * 3 ||
        !grow(d, &text, &room, l->size + more, 1)) {
        d->failed = true;
        return NULL;
    }
    l->text = text;
    room = l->room;
    if (!grow(d, &spans, &room, l->size + more, sizeof *l->spans)) {
        return NULL;
    }
    l->spans = spans;
    l->room = room;
    return l;
}

void il__draft_free(il_draft *d)
{
    for (int i = 0; i < 2; i++) {
        free(d->own[i].text);
        free(d->own[i].spans);
    }
    free(d->now.at);
    free(d->next.at);
    free(d->changes);
    memset(d, 0, sizeof *d);
}

il_span il__span_at(const il_draft *d, uint32_t byte)
{
    il_span s;
    uint32_t first = byte;

    if (d->spans != NULL) {
        return d->spans[byte];
    }
    while (((unsigned char)d->text[first] & 0xc0) == 0x80) {
        first--;
    }
    s.first = first;
    s.last = first + (uint32_t)il__utf8_length(d->text[first]);
    return s;
}

/* ---- cutting -------------------------------------------------------------------- */

void il__keep(il_draft *d, const il_piece *p)
{
    void *at = d->next.at;

    if (d->failed || !grow(d, &at, &d->next.room, d->next.count + 1, sizeof *p)) {
        return;
    }
    d->next.at = at;
    d->next.at[d->next.count++] = *p;
}

void il__cut(il_draft *d, uint32_t first, uint32_t last, int32_t id)
{
    il_piece p = {first, last, 0, id};

    if (last > first) {
        p.origin = il__span_at(d, first).first;
        il__keep(d, &p);
    }
}

void il__cut_done(il_draft *d)
{
    il_pieces done = d->next;

    d->next = d->now;
    d->next.count = 0;
    d->now = done;
}

/* ---- rewriting ------------------------------------------------------------------ */

void il__rewrite_begin(il_draft *d)
{
    d->own[d->turn].size = 0;
    d->next.count = 0;
}

/* Ends the piece before: it is as long as what has been put since. */
static void piece_end(il_draft *d)
{
    il_piece *p = d->next.count > 0 ? &d->next.at[d->next.count - 1] : NULL;

    if (p != NULL && !d->failed) {
        p->last = (uint32_t)d->own[d->turn].size;
        if (p->last == p->first) {
            d->next.count--;
        }
    }
}

void il__rewrite_piece(il_draft *d, const il_piece *p)
{
    il_piece begun = *p;

    piece_end(d);
    begun.first = begun.last = (uint32_t)d->own[d->turn].size;
    il__keep(d, &begun);
}

void il__rewrite_done(il_draft *d)
{
    piece_end(d);
    if (d->failed) {
        return;
    }
    d->text = d->own[d->turn].text;
    d->spans = d->own[d->turn].spans;
    d->size = d->own[d->turn].size;
    d->turn = !d->turn;
    d->ascii = false;
    il__cut_done(d);
}

void il__put(il_draft *d, const char *bytes, size_t size, il_span span)
{
    il_letters *l = letters(d, size);

    if (l == NULL || size == 0) {
        return; /* nothing may have no place in memory */
    }
    memcpy(l->text + l->size, bytes, size);
    for (size_t i = 0; i < size; i++) {
        l->spans[l->size + i] = span;
    }
    l->size += size;
}

void il__put_code(il_draft *d, uint32_t code, il_span span)
{
    char bytes[4];

    il__put(d, bytes, il__utf8_write(code, bytes), span);
}

void il__put_same(il_draft *d, uint32_t first, uint32_t last)
{
    il_letters *l = letters(d, last - first);

    if (l == NULL || first == last) {
        return; /* of nothing there may be no text to copy from */
    }
    memcpy(l->text + l->size, d->text + first, last - first);
    if (d->spans != NULL) {
        memcpy(l->spans + l->size, d->spans + first, (last - first) * sizeof *l->spans);
    } else {
        for (uint32_t i = first; i < last;) {
            uint32_t n = (uint32_t)il__utf8_length(d->text[i]);

            for (uint32_t k = 0; k < n; k++) {
                l->spans[l->size + (i - first) + k] = (il_span){i, i + n};
            }
            i += n;
        }
    }
    l->size += last - first;
}

il_change *il__changes(il_draft *d, size_t count)
{
    void *at = d->changes;

    if (d->failed || !grow(d, &at, &d->change_room, count, sizeof *d->changes)) {
        return NULL;
    }
    d->changes = at;
    return d->changes;
}

void il__put_changes(il_draft *d, const il_piece *p, const il_change *changes,
                     size_t count)
{
    uint32_t at =
        p->first; /* the next character of the piece that nothing stands for */

    for (size_t i = 0; i < count; i++) {
        int32_t n = changes[i].change;
        il_span span = {p->origin, p->origin};

        /* What was added came from where the character before it came from. */
        if (n <= 0 && at < p->last) {
            span = il__span_at(d, at);
        } else if (at > p->first) {
            span = il__span_at(d, at - 1);
        }
        il__put_code(d, changes[i].code, span);
        for (; n <= 0 && at < p->last; n++) {
            at += (uint32_t)il__utf8_length(d->text[at]);
        }
    }
}

/* ---- beginning ------------------------------------------------------------------ */

/* Copies a text whose bytes from `whole` on are not all UTF-8. */
static void mend(il_draft *d, const char *text, size_t size, size_t whole)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t i = whole;

    d->turn = 0;
    il__rewrite_begin(d);
    il__put_same(d, 0, (uint32_t)whole);
    while (i < size) {
        uint32_t code;
        int n = il__utf8_next(text + i, size - i, &code);
        il_span span = {(uint32_t)i, (uint32_t)i + (uint32_t)(n < 0 ? -n : n)};

        if (n < 0) {
            il__put(d, replacement, 3, span);
        } else {
            il__put(d, text + i, (size_t)n, span);
        }
        i = span.last;
    }
    if (!d->failed) {
        d->text = d->own[0].text;
        d->spans = d->own[0].spans;
        d->size = d->own[0].size;
        d->turn = 1;
    }
}

void il__draft_begin(il_draft *d, const char *text, size_t size)
{
    size_t whole = il__utf8_whole(text, size);
    il_piece all = {0, 0, 0, -1};

    d->text = text;
    d->spans = NULL;
    d->size = size;
    d->turn = 0;
    d->failed = false;
    d->spelled = false;
    d->ascii = true;
    for (size_t i = 0; i < size && d->ascii; i++) {
        d->ascii = (unsigned char)text[i] < 0x80;
    }
    if (whole < size) {
        mend(d, text, size, whole);
    }
    d->now.count = 0;
    d->next.count = 0;
    all.last = (uint32_t)d->size;
    if (d->size > 0) {
        il__keep(d, &all);
    }
    il__cut_done(d);
}
