/* Post-processors: tokens put before and after a text, and spaces taken from spans. */
#include "formats/tokenizer_private.h"

#include <string.h>

/* ---- applying ------------------------------------------------------------------- */

/* Spaces at the beginning or the end of a token as it is spelled. */
static uint32_t spaces(const char *token, size_t size, bool leading)
{
    static const char spelled[] = "\xc4\xa0"; /* U+0120, byte-level BPE's space */
    uint32_t n = 0;
    size_t at = leading ? 0 : size;

    for (;;) {
        size_t first = at;
        uint32_t code;

        if (leading ? at == size : at == 0) {
            return n;
        }
        if (!leading) {
            do {
                first--;
            } while (first > 0 && ((unsigned char)token[first] & 0xc0) == 0x80);
        }
        (void)il__utf8_read(token + first, &code);
        if (!il__is_space(code) && memcmp(token + first, spelled, 2) != 0) {
            return n;
        }
        at = leading ? at + il__utf8_length(token[first]) : first;
        n++;
    }
}

/* Moves a place by characters of the text as it came, broken ones too, but not past
 * another place. */
static uint32_t forth(const char *text, uint32_t at, uint32_t n, uint32_t most)
{
    for (; n > 0 && at < most; n--) {
        uint32_t code;
        int size = il__utf8_next(text + at, most - at, &code);

        at += (uint32_t)(size < 0 ? -size : size);
    }
    return at;
}

static uint32_t back(const char *text, uint32_t at, uint32_t n, uint32_t least)
{
    for (; n > 0 && at > least; n--) {
        uint32_t size = 1;
        uint32_t code;

        while (size < 4 && at - size > least &&
               il__utf8_next(text + at - size, size, &code) != (int)size) {
            size++;
        }
        at -= il__utf8_next(text + at - size, size, &code) == (int)size ? size : 1;
    }
    return at;
}

static void trim(const il_tokenizer *t, const char *text, bool first_stays,
                 il_encoding *out)
{
    for (size_t i = 0; i < out->count; i++) {
        il_span *s = &out->spans[i];
        size_t size;
        const char *token = il_tokenizer_token(t, out->ids[i], &size);
        uint32_t leading;
        uint32_t trailing;

        if (token == NULL || out->special[i]) {
            continue;
        }
        leading = spaces(token, size, true);
        trailing = spaces(token, size, false);
        if (leading > 0 && (i == 0 || s->first == 0) && first_stays && leading == 1) {
            leading = 0;
        }
        s->first = forth(text, s->first, leading, s->last);
        s->last = back(text, s->last, trailing, s->first);
    }
}

static il_status surround(const il_finisher *f, il_encoding *out, il_error *err)
{
    const il_span none = {0, 0};
    size_t n = out->count;

    for (size_t i = 0; i < f->before_count + f->after_count; i++) {
        IL_TRY(il__token_append(out, 0, none, true, err));
    }
    if (n > 0) {
        memmove(out->ids + f->before_count, out->ids, n * sizeof *out->ids);
        memmove(out->spans + f->before_count, out->spans, n * sizeof *out->spans);
        memmove(out->special + f->before_count, out->special, n);
    }
    for (size_t i = 0; i < f->before_count; i++) {
        out->ids[i] = f->before[i];
        out->spans[i] = none;
        out->special[i] = 1;
    }
    for (size_t i = 0; i < f->after_count; i++) {
        out->ids[f->before_count + n + i] = f->after[i];
        out->spans[f->before_count + n + i] = none;
        out->special[f->before_count + n + i] = 1;
    }
    return IL_OK;
}

il_status il__token_finish(const il_tokenizer *t, const char *text, bool special,
                           il_encoding *out, il_error *err)
{
    for (size_t k = 0; k < t->finisher_count; k++) {
        const il_finisher *f = &t->finishers[k];

        if (f->kind == IL_FINISH_TRIM) {
            trim(t, text, f->first_stays, out);
        } else if (special) {
            IL_TRY(surround(f, out, err));
        }
    }
    return IL_OK;
}

/* ---- reading -------------------------------------------------------------------- */

static il_finisher *item(il_token_reader *r, il_finisher_kind kind)
{
    il_finisher *f =
        il__token_item(r, &r->t->finishers, &r->t->finisher_count, sizeof *f);

    if (f != NULL) {
        f->kind = kind;
    }
    return f;
}

static il_status read_trim(il_token_reader *r, const json_t *o)
{
    bool trims = true;
    bool prefix = true;
    il_finisher *f;

    IL_TRY(il__token_flag(r, o, "trim_offsets", &trims));
    IL_TRY(il__token_flag(r, o, "add_prefix_space", &prefix));
    if (!trims) {
        return IL_OK;
    }
    f = item(r, IL_FINISH_TRIM);
    if (f == NULL) {
        return IL_ERR_MEMORY;
    }
    f->first_stays = prefix;
    return IL_OK;
}

static il_status check_id(il_token_reader *r, const json_t *value, int32_t *out)
{
    json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

    if (id < 0 || id >= r->t->size ||
        il_tokenizer_token(r->t, (int32_t)id, NULL) == NULL) {
        return il__token_refuse(r, IL_ERR_INPUT, "expected the id of a token");
    }
    *out = (int32_t)id;
    return IL_OK;
}

/* [CLS] before and [SEP] after, each a list of a token and its id. */
static il_status read_pair(il_token_reader *r, const json_t *o)
{
    il_finisher *f = item(r, IL_FINISH_TEMPLATE);
    int32_t *ids = il_arena_calloc(r->t->arena, 2, sizeof *ids);

    if (f == NULL || ids == NULL) {
        return il__token_memory(r);
    }
    IL_TRY(check_id(r, json_array_get(json_object_get(o, "cls"), 1), &ids[0]));
    IL_TRY(check_id(r, json_array_get(json_object_get(o, "sep"), 1), &ids[1]));
    f->before = ids;
    f->before_count = 1;
    f->after = ids + 1;
    f->after_count = 1;
    return IL_OK;
}

enum { TEMPLATE_MAX = 256 };

/* Adds the ids of a special token of the template. */
static il_status template_ids(il_token_reader *r, const json_t *o, const json_t *part,
                              int32_t *ids, size_t *count)
{
    const char *name = json_string_value(json_object_get(part, "id"));
    const json_t *list = json_object_get(
        json_object_get(json_object_get(o, "special_tokens"), name != NULL ? name : ""),
        "ids");

    if (!json_is_array(list)) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "single: '%.64s' is not in special_tokens",
                                name != NULL ? name : "");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (*count == TEMPLATE_MAX) {
            return il__token_refuse(r, IL_ERR_INPUT, "more than %d tokens",
                                    TEMPLATE_MAX);
        }
        IL_TRY(check_id(r, json_array_get(list, i), &ids[*count]));
        (*count)++;
    }
    return IL_OK;
}

static il_status read_template(il_token_reader *r, const json_t *o)
{
    const json_t *single = json_object_get(o, "single");
    il_finisher *f = item(r, IL_FINISH_TEMPLATE);
    int32_t *ids = il_arena_calloc(r->t->arena, TEMPLATE_MAX, sizeof *ids);
    size_t count = 0;
    bool seen = false;

    if (f == NULL || ids == NULL) {
        return il__token_memory(r);
    }
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *part = json_array_get(single, i);
        const json_t *token = json_object_get(part, "SpecialToken");
        const json_t *text = json_object_get(part, "Sequence");

        if (token != NULL) {
            IL_TRY(template_ids(r, o, token, ids, &count));
        } else if (text != NULL && !seen) {
            seen = true;
            f->before_count = count;
        } else {
            return il__token_refuse(r, IL_ERR_INPUT,
                                    "single[%zu]: expected a SpecialToken, or the one "
                                    "Sequence",
                                    i);
        }
    }
    if (!seen) {
        return il__token_refuse(r, IL_ERR_INPUT, "single: expected a Sequence in it");
    }
    f->before = ids;
    f->after = ids + f->before_count;
    f->after_count = count - f->before_count;
    return IL_OK;
}

static il_status read_one(il_token_reader *r, const json_t *o, const char *type)
{
    if (strcmp(type, "ByteLevel") == 0) {
        return read_trim(r, o);
    }
    if (strcmp(type, "RobertaProcessing") == 0) {
        IL_TRY(read_trim(r, o));
        return read_pair(r, o);
    }
    if (strcmp(type, "BertProcessing") == 0) {
        return read_pair(r, o);
    }
    if (strcmp(type, "TemplateProcessing") == 0) {
        return read_template(r, o);
    }
    return il__token_refuse(
        r, IL_ERR_UNSUPPORTED,
        "post-processor '%.64s': expected TemplateProcessing, "
        "ByteLevel, BertProcessing, RobertaProcessing or a Sequence "
        "of them",
        type);
}

il_status il__token_read_finishers(il_token_reader *r, const json_t *root)
{
    return il__token_components(r, root, "post_processor", "processors", read_one);
}
