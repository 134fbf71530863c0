/* Reading a tokenizer.json: helpers that check types and say where, and the order in
 * which the parts are read. */
#include "formats/tokenizer_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/files.h"

il_status il__token_refuse(il_token_reader *r, il_status code, const char *fmt, ...)
{
    char what[IL_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return il_error_set(r->err, code, r->t->where, "%s: %.800s", r->place, what);
}

il_status il__token_memory(il_token_reader *r)
{
    return il_error_set(r->err, IL_ERR_MEMORY, r->t->where, "out of memory");
}

void *il__token_item(il_token_reader *r, void *array, size_t *count, size_t size)
{
    char **at = array;
    char *more = *at;

    /* Doubled at powers of two; the arena keeps the old ones, which are small. */
    if ((*count & (*count - 1)) == 0) {
        more = il_arena_calloc(r->t->arena, *count == 0 ? 1 : *count * 2, size);
        if (more == NULL) {
            (void)il__token_memory(r);
            return NULL;
        }
        if (*count > 0) {
            memcpy(more, *at, *count * size);
        }
        *at = more;
    }
    return more + (*count)++ * size;
}

/* ---- values --------------------------------------------------------------------- */

static bool absent(const json_t *o, const char *key, const json_t **value)
{
    *value = json_object_get(o, key);
    return *value == NULL || json_is_null(*value);
}

il_status il__token_text(il_token_reader *r, const json_t *o, const char *key,
                         il_words *out)
{
    const json_t *v;

    if (absent(o, key, &v)) {
        return IL_OK;
    }
    if (!json_is_string(v)) {
        return il__token_refuse(r, IL_ERR_INPUT, "%s: expected a string", key);
    }
    out->text = json_string_value(v);
    out->size = json_string_length(v);
    return IL_OK;
}

il_status il__token_flag(il_token_reader *r, const json_t *o, const char *key,
                         bool *out)
{
    const json_t *v;

    if (absent(o, key, &v)) {
        return IL_OK;
    }
    if (!json_is_boolean(v)) {
        return il__token_refuse(r, IL_ERR_INPUT, "%s: expected true or false", key);
    }
    *out = json_is_true(v);
    return IL_OK;
}

il_status il__token_whole(il_token_reader *r, const json_t *o, const char *key,
                          int64_t least, int64_t most, int64_t *out)
{
    const json_t *v;

    if (absent(o, key, &v)) {
        return IL_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < least ||
        json_integer_value(v) > most) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "%s: expected a whole number from %lld to %lld", key,
                                (long long)least, (long long)most);
    }
    *out = json_integer_value(v);
    return IL_OK;
}

il_status il__token_regex(il_token_reader *r, const char *pattern, il_regex **out)
{
    char where[IL_ERROR_WHERE_MAX];
    il_regex **at = il__token_item(r, &r->t->regexes, &r->t->regex_count, sizeof *at);

    if (at == NULL) {
        return IL_ERR_MEMORY;
    }
    (void)snprintf(where, sizeof where, "%.128s: %.120s", r->t->where, r->place);
    IL_TRY(il__regex_create(at, pattern, strlen(pattern), where, r->err));
    *out = *at;
    return IL_OK;
}

il_status il__token_pattern(il_token_reader *r, const json_t *o, const char *key,
                            il_pattern_text *out)
{
    const json_t *v = json_object_get(o, key);
    il_words regex = {0};

    if (json_is_string(v)) { /* as the oldest files have it */
        out->text.text = json_string_value(v);
        out->text.size = json_string_length(v);
    } else {
        IL_TRY(il__token_text(r, v, "Regex", &regex));
        IL_TRY(il__token_text(r, v, "String", &out->text));
    }
    if ((regex.text != NULL) == (out->text.text != NULL) ||
        regex.size + out->text.size == 0) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "%s: expected {\"Regex\": TEXT} or {\"String\": TEXT}",
                                key);
    }
    if (regex.text == NULL) {
        return IL_OK;
    }
    if (strlen(regex.text) != regex.size) {
        return il__token_refuse(r, IL_ERR_UNSUPPORTED, "%s: a NUL in a pattern", key);
    }
    return il__token_regex(r, regex.text, &out->regex);
}

il_status il__token_type(il_token_reader *r, const json_t *o, const char **out)
{
    *out = json_string_value(json_object_get(o, "type"));
    return *out != NULL ? IL_OK
                        : il__token_refuse(r, IL_ERR_INPUT,
                                           "expected an object with its \"type\"");
}

enum { NESTING_MAX = 16 };

static il_status components(il_token_reader *r, const json_t *o, const char *list,
                            il_token_component one, int depth)
{
    const char *type;
    size_t length = strlen(r->place);
    const json_t *parts;

    IL_TRY(il__token_type(r, o, &type));
    if (strcmp(type, "Sequence") != 0) {
        return one(r, o, type);
    }
    parts = json_object_get(o, list);
    if (!json_is_array(parts)) {
        return il__token_refuse(r, IL_ERR_INPUT, "expected a list of %s", list);
    }
    if (depth == NESTING_MAX) {
        return il__token_refuse(r, IL_ERR_INPUT, "nested more than %d deep",
                                NESTING_MAX);
    }
    for (size_t i = 0; i < json_array_size(parts); i++) {
        (void)snprintf(r->place + length, sizeof r->place - length, ".%s[%zu]", list,
                       i);
        IL_TRY(components(r, json_array_get(parts, i), list, one, depth + 1));
    }
    r->place[length] = '\0';
    return IL_OK;
}

il_status il__token_components(il_token_reader *r, const json_t *root, const char *key,
                               const char *list, il_token_component one)
{
    const json_t *o;

    (void)snprintf(r->place, sizeof r->place, "%s", key);
    return absent(root, key, &o) ? IL_OK : components(r, o, list, one, 0);
}

/* ---- the whole ------------------------------------------------------------------ */

static il_status load(il_tokenizer *t, const char *text, size_t size, il_error *err)
{
    json_error_t why;

    t->json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (t->json == NULL) {
        return il_error_set(err, IL_ERR_INPUT, t->where, "line %d, column %d: %s",
                            why.line, why.column, why.text);
    }
    if (!json_is_object(t->json) || json_object_get(t->json, "model") == NULL) {
        return il_error_set(err, IL_ERR_INPUT, t->where,
                            "expected a tokenizer.json: an object with a \"model\"");
    }
    return IL_OK;
}

static il_status read_parts(il_tokenizer *t, il_error *err)
{
    il_token_reader r = {.t = t, .err = err};
    static const struct {
        const char *key;
        const char *note;
    } aside[] = {
        {"truncation", "truncation is left aside: texts keep their length\n"},
        {"padding", "padding is left aside: nothing is added to short texts\n"},
    };

    for (size_t i = 0; i < sizeof aside / sizeof aside[0]; i++) {
        const json_t *v;

        if (!absent(t->json, aside[i].key, &v)) {
            il_text_add(&t->notes, aside[i].note);
        }
    }
    IL_TRY(il__token_read_normalizers(&r, t->json));
    IL_TRY(il__token_read_splitters(&r, t->json));
    IL_TRY(il__token_read_model(&r, t->json));
    IL_TRY(il__token_read_added(&r, t->json));
    IL_TRY(il__token_read_finishers(&r, t->json));
    IL_TRY(il__token_read_decoders(&r, t->json));
    return t->notes.failed ? il__token_memory(&r) : IL_OK;
}

il_status il_tokenizer_parse(il_tokenizer **out, const char *json, size_t size,
                             const char *where, il_error *err)
{
    il_tokenizer *t = calloc(1, sizeof *t);
    il_status status = IL_OK;

    if (t != NULL) {
        t->arena = il_arena_create(1 << 16);
        t->where = strdup(where);
    }
    if (t == NULL || t->arena == NULL || t->where == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    if (status == IL_OK) {
        il_hash_bytes(json, size, t->hash);
        status = load(t, json, size, err);
    }
    if (status == IL_OK) {
        status = read_parts(t, err);
    }
    if (status != IL_OK) {
        il_tokenizer_close(t);
        return status;
    }
    *out = t;
    return IL_OK;
}

il_status il_tokenizer_open(il_tokenizer **out, const char *path, il_error *err)
{
    struct stat s;
    char *file = stat(path, &s) == 0 && S_ISDIR(s.st_mode)
                     ? il_path_join(path, "tokenizer.json")
                     : strdup(path);
    char *text = NULL;
    size_t size = 0;
    il_status status;

    if (file == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = il_file_read(file, IL_TOKENIZER_FILE_MAX, &text, &size, err);
    if (status == IL_OK) {
        status = il_tokenizer_parse(out, text, size, file, err);
    }
    free(text);
    free(file);
    return status;
}

void il_tokenizer_close(il_tokenizer *t)
{
    if (t == NULL) {
        return;
    }
    il__trie_destroy(t->plain);
    il__trie_destroy(t->normalized);
    for (size_t i = 0; i < t->regex_count; i++) {
        il__regex_destroy(t->regexes[i]);
    }
    il__vocabulary_free(&t->model.vocabulary);
    free(t->model.merges);
    free(t->by_id);
    il_text_free(&t->notes);
    json_decref(t->json);
    il_arena_destroy(t->arena);
    free(t->where);
    free(t);
}

const char *il_tokenizer_notes(const il_tokenizer *t)
{
    return t->notes.data != NULL ? t->notes.data : "";
}

const char *il_tokenizer_hash(const il_tokenizer *t)
{
    return t->hash;
}
