/* Decoding: ids to their tokens, and tokens through the decoders to text. */
#include "formats/tokenizer_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokens on their way to text ------------------------------------------------ */

/* Tokens side by side in one text. Each step writes them anew. */
typedef struct tokens {
    il_text text;
    size_t *ends;
    size_t count, room;
    bool failed;
} tokens;

static void tokens_end(tokens *t)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? 64 : t->room * 2;
        void *more = realloc(t->ends, room * sizeof *t->ends);

        if (more == NULL) {
            t->failed = true;
            return;
        }
        t->ends = more;
        t->room = room;
    }
    t->ends[t->count++] = t->text.size;
}

static void put(tokens *t, const char *text, size_t size)
{
    il_text_add_bytes(&t->text, text, size);
}

static il_words token_at(const tokens *t, size_t i)
{
    size_t first = i > 0 ? t->ends[i - 1] : 0;

    return (il_words){t->text.data + first, t->ends[i] - first};
}

static void tokens_free(tokens *t)
{
    il_text_free(&t->text);
    free(t->ends);
}

/* ---- steps ---------------------------------------------------------------------- */

static void put_mended(tokens *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t whole = il__utf8_whole(bytes + i, size - i);
        uint32_t code;

        put(out, bytes + i, whole);
        i += whole;
        if (i < size) {
            put(out, "\xef\xbf\xbd", 3);
            i += (size_t)-il__utf8_next(bytes + i, size - i, &code);
        }
    }
}

/* All tokens as the bytes that they spell, or their own where they spell none. */
static bool bytes(const tokens *in, tokens *out)
{
    il_text all = {0};

    for (size_t k = 0; k < in->count; k++) {
        il_words w = token_at(in, k);
        size_t before = all.size;

        for (size_t i = 0; i < w.size;) {
            uint32_t code;
            int byte;
            char c;

            i += (size_t)il__utf8_read(w.text + i, &code);
            byte = il__byte_of(code);
            if (byte < 0) {
                all.size = before;
                il_text_add_bytes(&all, w.text, w.size);
                break;
            }
            c = (char)byte;
            il_text_add_bytes(&all, &c, 1);
        }
    }
    put_mended(out, all.data, all.size);
    tokens_end(out);
    il_text_free(&all);
    return !all.failed;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte of <0x..>, or -1. */
static int fallback_byte(il_words w)
{
    int high;
    int low;

    if (w.size != 6 || memcmp(w.text, "<0x", 3) != 0 || w.text[5] != '>') {
        return -1;
    }
    high = hex(w.text[3]);
    low = hex(w.text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Runs of <0x..> as the characters that they make, or one U+FFFD for each. */
static bool fallback(const tokens *in, tokens *out)
{
    il_text run = {0};

    for (size_t k = 0; k <= in->count; k++) {
        int byte = k < in->count ? fallback_byte(token_at(in, k)) : -1;

        if (byte >= 0) {
            char c = (char)byte;

            il_text_add_bytes(&run, &c, 1);
            continue;
        }
        if (run.size > 0 && il__utf8_whole(run.data, run.size) == run.size) {
            put(out, run.data, run.size);
            tokens_end(out);
        } else {
            for (size_t i = 0; i < run.size; i++) {
                put(out, "\xef\xbf\xbd", 3);
                tokens_end(out);
            }
        }
        run.size = 0;
        if (k < in->count) {
            il_words w = token_at(in, k);

            put(out, w.text, w.size);
            tokens_end(out);
        }
    }
    il_text_free(&run);
    return !run.failed;
}

static il_words strip(il_words w, const il_decoder *s)
{
    for (int64_t i = 0; i < s->start && w.size >= s->text.size &&
                        memcmp(w.text, s->text.text, s->text.size) == 0;
         i++) {
        w.text += s->text.size;
        w.size -= s->text.size;
    }
    for (int64_t i = 0;
         i < s->stop && w.size >= s->text.size &&
         memcmp(w.text + w.size - s->text.size, s->text.text, s->text.size) == 0;
         i++) {
        w.size -= s->text.size;
    }
    return w;
}

/* Adds `w` with every `from` as `to`. */
static void put_replaced(tokens *out, il_words w, il_words from, il_words to)
{
    for (size_t i = 0; i < w.size;) {
        if (w.size - i >= from.size && memcmp(w.text + i, from.text, from.size) == 0) {
            put(out, to.text, to.size);
            i += from.size;
        } else {
            put(out, w.text + i, 1);
            i++;
        }
    }
}

/* What WordPiece's decoder takes back of the spaces about English punctuation. */
static bool cleanup(tokens *out, size_t first)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    bool well = true;

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        tokens done = {0};
        il_words w = {out->text.data + first, out->text.size - first};

        put_replaced(&done, w, (il_words){pairs[i][0], strlen(pairs[i][0])},
                     (il_words){pairs[i][1], strlen(pairs[i][1])});
        out->text.size = first;
        put(out, done.text.data != NULL ? done.text.data : "", done.text.size);
        well = well && !done.text.failed;
        tokens_free(&done);
    }
    return well;
}

static bool wordpiece(il_words w, const il_decoder *s, size_t k, tokens *out)
{
    size_t first = out->text.size;

    if (k > 0 && w.size >= s->text.size &&
        memcmp(w.text, s->text.text, s->text.size) == 0) {
        w.text += s->text.size;
        w.size -= s->text.size;
    } else if (k > 0) {
        put(out, " ", 1);
    }
    put(out, w.text, w.size);
    return !s->flag || out->text.failed || out->text.data == NULL ||
           cleanup(out, first);
}

static il_status replaced(const il_decoder *s, il_words w, tokens *out, il_error *err)
{
    il_tokenizer_work work = {.regex = NULL};
    const il_piece whole = {0, (uint32_t)w.size, 0, -1};
    il_status status;

    work.draft.text = w.text;
    status = s->pattern.regex != NULL ? il__regex_work_create(&work.regex, err) : IL_OK;
    if (status == IL_OK) {
        status = il__token_find(&work, &s->pattern, &whole, err);
    }
    for (size_t i = 0; status == IL_OK && i < work.part_count; i++) {
        il_span part = work.parts[i].span;

        if (work.parts[i].match) {
            put(out, s->text.text, s->text.size);
        } else {
            put(out, w.text + part.first, part.last - part.first);
        }
    }
    free(work.parts);
    il__regex_work_destroy(work.regex);
    return status;
}

/* One step over all tokens. */
static il_status step(const il_decoder *s, const tokens *in, tokens *out, il_error *err)
{
    static const il_words space = {" ", 1};
    static const il_words nothing = {"", 0};
    bool well = true;

    if (s->kind == IL_DECODE_BYTES || s->kind == IL_DECODE_FALLBACK) {
        well = s->kind == IL_DECODE_BYTES ? bytes(in, out) : fallback(in, out);
    }
    for (size_t k = 0; k < in->count && well; k++) {
        il_words w = token_at(in, k);

        switch (s->kind) {
        case IL_DECODE_FUSE:
            put(out, w.text, w.size);
            continue;
        case IL_DECODE_STRIP:
            w = strip(w, s);
            put(out, w.text, w.size);
            break;
        case IL_DECODE_REPLACE:
            IL_TRY(replaced(s, w, out, err));
            break;
        case IL_DECODE_METASPACE:
            put_replaced(out, w, s->text, k == 0 && s->flag ? nothing : space);
            break;
        case IL_DECODE_WORDPIECE:
            well = wordpiece(w, s, k, out);
            break;
        case IL_DECODE_SUFFIX:
            put_replaced(out, w, s->text, k + 1 == in->count ? nothing : space);
            break;
        default:
            continue;
        }
        tokens_end(out);
    }
    if (s->kind == IL_DECODE_FUSE) {
        tokens_end(out);
    }
    return well && !out->failed && !out->text.failed
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
}

il_status il_tokenizer_decode(const il_tokenizer *t, const int32_t *ids, size_t count,
                              bool skip, il_text *out, il_error *err)
{
    tokens now = {0};
    il_status status = IL_OK;

    for (size_t i = 0; i < count; i++) {
        size_t size;
        const char *token = il_tokenizer_token(t, ids[i], &size);

        if (token == NULL || (skip && il_tokenizer_special(t, ids[i]))) {
            continue;
        }
        if (!t->decodes && now.count > 0) {
            put(&now, " ", 1);
        }
        put(&now, token, size);
        tokens_end(&now);
    }
    if (now.failed || now.text.failed) {
        status = il_error_set(err, IL_ERR_MEMORY, t->where, "out of memory");
    }
    for (size_t k = 0; status == IL_OK && now.count > 0 && k < t->decoder_count; k++) {
        tokens next = {0};

        status = step(&t->decoders[k], &now, &next, err);
        tokens_free(&now);
        now = next;
    }
    if (status == IL_OK && now.text.size > 0) {
        il_text_add_bytes(out, now.text.data, now.text.size);
    }
    tokens_free(&now);
    return status == IL_OK && out->failed
               ? il_error_set(err, IL_ERR_MEMORY, t->where, "out of memory")
               : status;
}

/* ---- reading -------------------------------------------------------------------- */

static il_status read_metaspace(il_token_reader *r, const json_t *o, il_decoder *d)
{
    il_words scheme = {"always", 6};
    bool prefix = true;

    d->kind = IL_DECODE_METASPACE;
    d->text = (il_words){"\xe2\x96\x81", 3};
    IL_TRY(il__token_text(r, o, "replacement", &d->text));
    IL_TRY(il__token_text(r, o, "prepend_scheme", &scheme));
    IL_TRY(il__token_flag(r, o, "add_prefix_space", &prefix));
    d->flag = prefix && strcmp(scheme.text, "never") != 0;
    return d->text.size > 0
               ? IL_OK
               : il__token_refuse(r, IL_ERR_INPUT, "replacement: expected a character");
}

static il_status read_strip(il_token_reader *r, const json_t *o, il_decoder *d)
{
    d->kind = IL_DECODE_STRIP;
    d->text = (il_words){" ", 1};
    IL_TRY(il__token_text(r, o, "content", &d->text));
    IL_TRY(il__token_whole(r, o, "start", 0, INT32_MAX, &d->start));
    IL_TRY(il__token_whole(r, o, "stop", 0, INT32_MAX, &d->stop));
    return d->text.size > 0
               ? IL_OK
               : il__token_refuse(r, IL_ERR_INPUT, "content: expected a character");
}

static il_status read_one(il_token_reader *r, const json_t *o, const char *type)
{
    il_decoder *d = il__token_item(r, &r->t->decoders, &r->t->decoder_count, sizeof *d);

    if (d == NULL) {
        return IL_ERR_MEMORY;
    }
    r->t->decodes = true;
    if (strcmp(type, "ByteLevel") == 0) {
        d->kind = IL_DECODE_BYTES;
        return IL_OK;
    }
    if (strcmp(type, "ByteFallback") == 0) {
        d->kind = IL_DECODE_FALLBACK;
        return IL_OK;
    }
    if (strcmp(type, "Fuse") == 0) {
        d->kind = IL_DECODE_FUSE;
        return IL_OK;
    }
    if (strcmp(type, "Strip") == 0) {
        return read_strip(r, o, d);
    }
    if (strcmp(type, "Replace") == 0) {
        d->kind = IL_DECODE_REPLACE;
        d->text = (il_words){"", 0};
        IL_TRY(il__token_pattern(r, o, "pattern", &d->pattern));
        return il__token_text(r, o, "content", &d->text);
    }
    if (strcmp(type, "Metaspace") == 0) {
        return read_metaspace(r, o, d);
    }
    if (strcmp(type, "WordPiece") == 0) {
        d->kind = IL_DECODE_WORDPIECE;
        d->text = (il_words){"##", 2};
        d->flag = true;
        IL_TRY(il__token_text(r, o, "prefix", &d->text));
        return il__token_flag(r, o, "cleanup", &d->flag);
    }
    if (strcmp(type, "BPEDecoder") == 0) {
        d->kind = IL_DECODE_SUFFIX;
        d->text = (il_words){"</w>", 4};
        IL_TRY(il__token_text(r, o, "suffix", &d->text));
        return d->text.size > 0
                   ? IL_OK
                   : il__token_refuse(r, IL_ERR_INPUT, "suffix: expected some text");
    }
    return il__token_refuse(r, IL_ERR_UNSUPPORTED,
                            "decoder '%.64s': expected ByteLevel, ByteFallback, Fuse, "
                            "Strip, Replace, Metaspace, WordPiece, BPEDecoder or a "
                            "Sequence of them",
                            type);
}

il_status il__token_read_decoders(il_token_reader *r, const json_t *root)
{
    (void)snprintf(r->place, sizeof r->place, "decoder");
    r->t->decodes = json_is_object(json_object_get(root, "decoder"));
    return il__token_components(r, root, "decoder", "decoders", read_one);
}
