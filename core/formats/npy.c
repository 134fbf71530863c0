/* The reader of .npy files; npy_write.c writes them. The header is parsed by hand: it
 * is a Python literal, and only three keys with three kinds of values may stand in it.
 */
#include "formats/npy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "formats/npy_private.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "arrays are handed out as they lie in the file, little-endian");

enum { HEADER_MAX = 65535, TEXT_MAX = 63 };

static const il__npy_type types[] = {
    {"<f8", {IL_CODE_FLOAT, 64, 1}}, {"<f4", {IL_CODE_FLOAT, 32, 1}},
    {"<f2", {IL_CODE_FLOAT, 16, 1}}, {"<i8", {IL_CODE_INT, 64, 1}},
    {"<i4", {IL_CODE_INT, 32, 1}},   {"<i2", {IL_CODE_INT, 16, 1}},
    {"|i1", {IL_CODE_INT, 8, 1}},    {"<u8", {IL_CODE_UINT, 64, 1}},
    {"<u4", {IL_CODE_UINT, 32, 1}},  {"<u2", {IL_CODE_UINT, 16, 1}},
    {"|u1", {IL_CODE_UINT, 8, 1}},   {"|b1", {IL_CODE_BOOL, 8, 1}},
};
enum { TYPES = sizeof types / sizeof types[0] };

const il__npy_type *il__npy_type_of(il_dtype dtype)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].dtype.code == dtype.code && types[i].dtype.bits == dtype.bits &&
            dtype.lanes == 1) {
            return &types[i];
        }
    }
    return NULL;
}

/* ---- the dictionary ------------------------------------------------------------- */

typedef struct parser {
    const char *text;
    size_t size;
    size_t at;
    const char *where;
    il_error *err;
} parser;

/* What the header holds, and which keys have been seen. */
typedef struct header {
    il_array array;
    bool fortran;
    bool has_type, has_order, has_shape;
} header;

/* Fails at the parser's place with what stands there, made fit for a terminal. */
static il_status expected(const parser *p, const char *what)
{
    char got[24];
    size_t n = 0;

    while (n < sizeof got - 1 && p->at + n < p->size) {
        unsigned char c = (unsigned char)p->text[p->at + n];

        got[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    got[n] = '\0';
    return il_error_set(p->err, IL_ERR_INPUT, p->where,
                        "header, byte %zu: expected %s, got %s%s%s", p->at, what,
                        n > 0 ? "'" : "", n > 0 ? got : "its end", n > 0 ? "'" : "");
}

static void skip(parser *p)
{
    while (p->at < p->size && (p->text[p->at] == ' ' || p->text[p->at] == '\n')) {
        p->at++;
    }
}

static bool takes(parser *p, const char *word)
{
    size_t n = strlen(word);

    skip(p);
    if (p->size - p->at < n || memcmp(p->text + p->at, word, n) != 0) {
        return false;
    }
    p->at += n;
    return true;
}

static il_status take_text(parser *p, char out[TEXT_MAX + 1], const char *what)
{
    size_t n = 0;
    size_t end;
    char quote;

    skip(p);
    quote = p->at < p->size ? p->text[p->at] : '\0';
    if (quote != '\'' && quote != '"') {
        return expected(p, what);
    }
    end = p->at + 1;
    while (end < p->size && p->text[end] != quote && n < TEXT_MAX) {
        out[n++] = p->text[end++];
    }
    if (end >= p->size || p->text[end] != quote || memchr(out, '\\', n) != NULL) {
        return expected(p, what);
    }
    out[n] = '\0';
    p->at = end + 1;
    return IL_OK;
}

static il_status take_number(parser *p, int64_t *out)
{
    size_t begin;

    skip(p);
    begin = p->at;
    *out = 0;
    while (p->at < p->size && p->text[p->at] >= '0' && p->text[p->at] <= '9') {
        int digit = p->text[p->at] - '0';

        if (*out > (INT64_MAX - digit) / 10) {
            p->at = begin;
            return expected(p, "a size that fits 63 bits");
        }
        *out = 10 * *out + digit;
        p->at++;
    }
    if (p->at == begin) {
        return expected(p, "a size, a whole number from 0 on");
    }
    (void)(p->at < p->size && p->text[p->at] == 'L' && p->at++); /* Python 2's long */
    return IL_OK;
}

/* (), (3,) or (3, 4) */
static il_status take_shape(parser *p, il_array *a)
{
    bool comma = true;

    if (!takes(p, "(")) {
        return expected(p, "a shape that begins with '('");
    }
    while (!takes(p, ")")) {
        if (!comma) {
            return expected(p, "',' or ')'");
        }
        if (a->ndim == IL_DIMS_MAX) {
            return il_error_set(p->err, IL_ERR_INPUT, p->where,
                                "shape: expected at most %d sizes, got more",
                                IL_DIMS_MAX);
        }
        IL_TRY(take_number(p, &a->shape[a->ndim]));
        a->ndim++;
        comma = takes(p, ",");
    }
    return IL_OK;
}

static il_status take_type(parser *p, il_array *a)
{
    char text[TEXT_MAX + 1];
    size_t begin;

    skip(p);
    begin = p->at;
    IL_TRY(take_text(p, text, "one element type as text, such as '<f4'"));
    /* A number of one byte may carry any mark of byte order, or none. */
    for (size_t i = 0; i < TYPES; i++) {
        bool one = types[i].dtype.bits == 8;

        if (strcmp(text, types[i].name) == 0 ||
            (one && strcmp(text[0] == '<' || text[0] == '>' || text[0] == '=' ? text + 1
                                                                              : text,
                           types[i].name + 1) == 0)) {
            a->dtype = types[i].dtype;
            return IL_OK;
        }
    }
    p->at = begin;
    return expected(p, text[0] == '>'
                           ? "a little-endian element type: save it again after "
                             "x.astype(x.dtype.newbyteorder('<'))"
                           : "an element type among <f8 <f4 <f2 <i8 <i4 <i2 |i1 <u8 "
                             "<u4 <u2 |u1 |b1: save it again after x.astype('<f4')");
}

static il_status take_pair(parser *p, header *h)
{
    char key[TEXT_MAX + 1];
    size_t begin;
    bool *seen;

    skip(p);
    begin = p->at;
    IL_TRY(take_text(p, key, "a key in quotes"));
    seen = strcmp(key, "descr") == 0           ? &h->has_type
           : strcmp(key, "fortran_order") == 0 ? &h->has_order
           : strcmp(key, "shape") == 0         ? &h->has_shape
                                               : NULL;
    if (seen == NULL || *seen) {
        p->at = begin;
        return expected(p, "each of the keys descr, fortran_order and shape once");
    }
    *seen = true;
    if (!takes(p, ":")) {
        return expected(p, "':'");
    }
    if (seen == &h->has_type) {
        return take_type(p, &h->array);
    }
    if (seen == &h->has_shape) {
        return take_shape(p, &h->array);
    }
    h->fortran = takes(p, "True");
    return h->fortran || takes(p, "False") ? IL_OK : expected(p, "True or False");
}

static il_status take_header(parser *p, header *h)
{
    bool comma = true;

    if (!takes(p, "{")) {
        return expected(p, "a dictionary that begins with '{'");
    }
    while (!takes(p, "}")) {
        if (!comma) {
            return expected(p, "',' or '}'");
        }
        IL_TRY(take_pair(p, h));
        comma = takes(p, ",");
    }
    skip(p);
    if (p->at < p->size) {
        return expected(p, "nothing after the dictionary");
    }
    if (!h->has_type || !h->has_order || !h->has_shape) {
        return il_error_set(p->err, IL_ERR_INPUT, p->where, "header: the key %s is %s",
                            !h->has_type    ? "descr"
                            : !h->has_order ? "fortran_order"
                                            : "shape",
                            "missing");
    }
    return IL_OK;
}

/* ---- the file ------------------------------------------------------------------- */

/* From column-major to row-major: both places are counted up at once. */
static il_status turn(il_npy *out, const char *where, il_error *err)
{
    il_array *a = &out->array;
    size_t width = a->dtype.bits / 8;
    size_t stride[IL_DIMS_MAX]; /* in bytes, of the file's order */
    int64_t index[IL_DIMS_MAX] = {0};
    int64_t n = il_array_count(a);
    const char *from = a->data;
    char *to = malloc(a->bytes + 1);
    size_t next = width;

    if (to == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    for (int32_t i = 0; i < a->ndim; i++) {
        stride[i] = next;
        next *= (size_t)a->shape[i];
    }
    for (int64_t k = 0; k < n; k++) {
        size_t at = 0;

        for (int32_t i = 0; i < a->ndim; i++) {
            at += (size_t)index[i] * stride[i];
        }
        memcpy(to + (size_t)k * width, from + at, width);
        for (int32_t i = a->ndim - 1; i >= 0 && ++index[i] == a->shape[i]; i--) {
            index[i] = 0;
        }
    }
    out->turned = to;
    a->data = to;
    return IL_OK;
}

/* Where the dictionary lies. */
static il_status find_header(const unsigned char *bytes, size_t size, size_t *begin,
                             size_t *length, const char *where, il_error *err)
{
    static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    int major;

    if (size < 10 || memcmp(bytes, magic, sizeof magic) != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "expected an .npy file, which begins with the bytes 93 'N' "
                            "'U' 'M' 'P' 'Y' and a version, got %s",
                            size < 10 ? "fewer than 10 bytes" : "others");
    }
    major = bytes[6];
    if (major < 1 || major > 3 || bytes[7] != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "version: expected 1.0, 2.0 or 3.0, got %d.%d", major,
                            bytes[7]);
    }
    *begin = major == 1 ? 10 : 12;
    *length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (major > 1 && size >= 12) {
        *length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    }
    if (size < *begin || *length > size - *begin || *length > HEADER_MAX) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "header length: expected at most %zu bytes, got %zu",
                            size < *begin                ? 0
                            : size - *begin < HEADER_MAX ? size - *begin
                                                         : (size_t)HEADER_MAX,
                            *length);
    }
    return IL_OK;
}

/* `copies`: whether what is in Fortran order may be turned. */
static il_status parse(il_npy *out, const void *bytes, size_t size, bool copies,
                       const char *where, il_error *err)
{
    header h = {.fortran = false};
    parser p = {.where = where, .err = err};
    char shape[96];
    size_t begin = 0;
    size_t want = 0;
    bool turns;

    IL_TRY(find_header(bytes, size, &begin, &p.size, where, err));
    p.text = (const char *)bytes + begin;
    IL_TRY(take_header(&p, &h));
    begin += p.size;
    if (!il_array_size(h.array.dtype, h.array.ndim, h.array.shape, &want)) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "shape %s: its size in bytes does not fit 64 bits",
                            il_array_shape(h.array.ndim, h.array.shape, shape));
    }
    if (size - begin != want) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "expected %zu bytes of data for shape %s, got %zu%s", want,
                            il_array_shape(h.array.ndim, h.array.shape, shape),
                            size - begin,
                            size - begin < want ? ": the file is cut short" : "");
    }
    turns = h.fortran && h.array.ndim > 1 && want > 0;
    if (turns && !copies) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "fortran_order: expected False, got True: save it again "
                            "after numpy.ascontiguousarray(x)");
    }
    h.array.data = (const char *)bytes + begin;
    h.array.bytes = want;
    out->array = h.array;
    return turns ? turn(out, where, err) : IL_OK;
}

il_status il_npy_parse(il_npy *out, const void *bytes, size_t size, const char *where,
                       il_error *err)
{
    return parse(out, bytes, size, true, where, err);
}

static il_status map_and_parse(il_npy *out, const char *path, bool copies,
                               il_error *err)
{
    memset(out, 0, sizeof *out);
    IL_TRY(il_mapped_open(&out->map, path, err));
    return parse(out, out->map.data != NULL ? out->map.data : "", out->map.size, copies,
                 path, err);
}

il_status il_npy_open(il_npy *out, const char *path, il_error *err)
{
    return map_and_parse(out, path, true, err);
}

il_status il_npy_map(il_npy *out, const char *path, il_error *err)
{
    return map_and_parse(out, path, false, err);
}

void il_npy_close(il_npy *npy)
{
    free(npy->turned);
    il_mapped_close(&npy->map);
    memset(npy, 0, sizeof *npy);
}
