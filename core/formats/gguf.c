/* The reader. A cursor that never moves past the end of the file reads the head: the
 * counts, the pairs, the tensors' facts; then their places are checked against the rest
 * of the file and against each other. */
#include "formats/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "base/compiler.h"
#include "base/mapped.h"
#include "formats/array.h"
#include "formats/gguf_private.h"
#include "formats/safetensors_private.h"

typedef struct pair {
    const char *key;
    uint32_t type;
    const char *text; /* of a string */
    int64_t whole;    /* of a whole number that fits */
    bool is_whole;
} pair;

struct il_gguf {
    char *path;
    il_mapped map;
    il_arena *arena; /* holds names, keys and texts */
    pair *pairs;
    size_t pair_count;
    il_gguf_tensor *tensors;
    uint64_t *offsets; /* [count] from the beginning of the data */
    size_t count;
};

typedef struct cursor {
    il_gguf *file;
    const unsigned char *p, *end;
} cursor;

static il_status broken(const il_gguf *file, const char *what, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, file->path, "%s", what);
}

static il_status tensor_broken(const il_gguf *file, const char *name, const char *what,
                               il_error *err)
{
    char shown[64];

    return il_error_set(err, IL_ERR_INPUT, file->path, "tensor '%s': %s",
                        il__safetensor_show(name, shown), what);
}

static il_status take(cursor *c, void *out, size_t bytes, il_error *err)
{
    if ((size_t)(c->end - c->p) < bytes) {
        return broken(c->file, "the file is cut short in its head", err);
    }
    memcpy(out, c->p, bytes);
    c->p += bytes;
    return IL_OK;
}

static il_status skip(cursor *c, uint64_t count, size_t size, il_error *err)
{
    if (count > (uint64_t)(c->end - c->p) / size) {
        return broken(c->file, "the file is cut short in its head", err);
    }
    c->p += count * size;
    return IL_OK;
}

/* A length and as many bytes, copied and ended by a zero; without *out passed over. */
static il_status take_text(cursor *c, const char **out, il_error *err)
{
    uint64_t size = 0;
    char *copy;

    IL_TRY(take(c, &size, sizeof size, err));
    if (size > (uint64_t)(c->end - c->p)) {
        return broken(c->file, "a text reaches past the end of the file", err);
    }
    if (out != NULL) {
        copy = il_arena_alloc(c->file->arena, (size_t)size + 1);
        if (copy == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, c->file->path, "out of memory");
        }
        memcpy(copy, c->p, (size_t)size);
        copy[size] = '\0';
        if (strlen(copy) != size) {
            return broken(c->file, "a text has a zero in it", err);
        }
        *out = copy;
    }
    c->p += size;
    return IL_OK;
}

/* Bytes of a value of a fixed size; 0 for texts, lists and what there is not. */
static size_t value_size(uint32_t type)
{
    static const unsigned char sizes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};

    return type < sizeof sizes ? sizes[type] : 0;
}

static il_status take_list(cursor *c, il_error *err)
{
    uint32_t type = 0;
    uint64_t count = 0;

    IL_TRY(take(c, &type, sizeof type, err));
    IL_TRY(take(c, &count, sizeof count, err));
    if (value_size(type) > 0) {
        return skip(c, count, value_size(type), err);
    }
    if (type != GGUF_TEXT) {
        return broken(c->file, "expected a list of numbers or texts", err);
    }
    for (uint64_t i = 0; i < count; i++) { /* each takes bytes of the file */
        IL_TRY(take_text(c, NULL, err));
    }
    return IL_OK;
}

/* A whole number of any width as 64 bits with a sign. */
static il_status take_whole(cursor *c, pair *p, il_error *err)
{
    unsigned char bytes[8] = {0};
    size_t size = value_size(p->type);
    bool is_signed = p->type == GGUF_I8 || p->type == GGUF_I16 || p->type == GGUF_I32;
    uint64_t value;

    IL_TRY(take(c, bytes, size, err));
    if (p->type == GGUF_F32 || p->type == GGUF_F64 || p->type == GGUF_BOOL) {
        return IL_OK;
    }
    if (is_signed && (bytes[size - 1] & 0x80) != 0) {
        memset(bytes + size, 0xff, sizeof bytes - size);
    }
    memcpy(&value, bytes, sizeof value);
    p->is_whole = p->type != GGUF_U64 || value <= INT64_MAX;
    memcpy(&p->whole, &value, sizeof value);
    return IL_OK;
}

static il_status take_pair(cursor *c, pair *p, il_error *err)
{
    IL_TRY(take_text(c, &p->key, err));
    IL_TRY(take(c, &p->type, sizeof p->type, err));
    if (p->type == GGUF_TEXT) {
        return take_text(c, &p->text, err);
    }
    if (p->type == GGUF_LIST) {
        return take_list(c, err);
    }
    if (value_size(p->type) == 0) {
        char shown[64];

        return il_error_set(err, IL_ERR_INPUT, c->file->path,
                            "key '%s': no kind of value has the number %" PRIu32,
                            il__safetensor_show(p->key, shown), p->type);
    }
    return take_whole(c, p, err);
}

/* Bytes of a tensor by its type; 0 where the type is not known here. */
static bool tensor_bytes(const il_gguf_tensor *t, size_t *bytes)
{
    size_t n = 1;
    int64_t last = t->shape[t->ndim - 1];

    for (int32_t i = 0; i < t->ndim; i++) {
        if (t->shape[i] <= 0 || !il_mul_size(n, (size_t)t->shape[i], &n)) {
            return false;
        }
    }
    switch (t->type) {
    case GGUF_TENSOR_F32:
        return il_mul_size(n, 4, bytes);
    case GGUF_TENSOR_F16:
    case GGUF_TENSOR_BF16:
        return il_mul_size(n, 2, bytes);
    case GGUF_TENSOR_F64:
        return il_mul_size(n, 8, bytes);
    case GGUF_TENSOR_Q8_0:
        return last % GGUF_BLOCK == 0 &&
               il_mul_size(n / GGUF_BLOCK, GGUF_BLOCK_BYTES, bytes);
    default:
        *bytes = 0;
        return true;
    }
}

static il_status take_tensor(cursor *c, il_gguf_tensor *t, uint64_t *offset,
                             il_error *err)
{
    uint32_t ndim = 0;

    IL_TRY(take_text(c, &t->name, err));
    IL_TRY(take(c, &ndim, sizeof ndim, err));
    if (ndim < 1 || ndim > 4) {
        return tensor_broken(c->file, t->name, "expected 1 to 4 dimensions", err);
    }
    t->ndim = (int32_t)ndim;
    for (uint32_t i = 0; i < ndim; i++) {
        IL_TRY(take(c, &t->shape[ndim - 1 - i], sizeof t->shape[0], err));
    }
    IL_TRY(take(c, &t->type, sizeof t->type, err));
    IL_TRY(take(c, offset, sizeof *offset, err));
    if (!tensor_bytes(t, &t->bytes)) {
        return tensor_broken(c->file, t->name, "its shape does not fit its type", err);
    }
    return IL_OK;
}

static int offset_compare(const void *a, const void *b)
{
    const il_gguf_tensor *x = *(const il_gguf_tensor *const *)a;
    const il_gguf_tensor *y = *(const il_gguf_tensor *const *)b;

    return (const char *)x->data < (const char *)y->data ? -1 : x->data != y->data;
}

/* Places of the tensors, which begin after `head` bytes rounded up. */
static il_status place(il_gguf *file, size_t head, uint64_t alignment, il_error *err)
{
    uint64_t begin = (head + alignment - 1) / alignment * alignment;
    const char *data = (const char *)file->map.data + begin;
    uint64_t room = begin <= file->map.size ? file->map.size - begin : 0;
    const il_gguf_tensor **order =
        il_arena_calloc(file->arena, file->count + 1, sizeof(il_gguf_tensor *));
    size_t known = 0;

    if (order == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, file->path, "out of memory");
    }
    for (size_t i = 0; i < file->count; i++) {
        il_gguf_tensor *t = &file->tensors[i];

        if (file->offsets[i] % alignment != 0) {
            return tensor_broken(file, t->name, "its data are not aligned", err);
        }
        if (file->offsets[i] > room || t->bytes > room - file->offsets[i]) {
            return tensor_broken(file, t->name,
                                 "its data reach past the end of the file", err);
        }
        if (t->bytes > 0) {
            t->data = data + file->offsets[i];
            order[known++] = t;
        }
    }
    qsort(order, known, sizeof *order, offset_compare);
    for (size_t i = 1; i < known; i++) {
        if ((const char *)order[i - 1]->data + order[i - 1]->bytes >
            (const char *)order[i]->data) {
            return tensor_broken(file, order[i]->name, "overlaps another tensor", err);
        }
    }
    return IL_OK;
}

/* No key and no tensor twice: what `find` gives would be chance. */
static il_status check_names(const il_gguf *file, il_error *err)
{
    for (size_t i = 0; i < file->count; i++) {
        if (il_gguf_find(file, file->tensors[i].name) != &file->tensors[i]) {
            return tensor_broken(file, file->tensors[i].name, "is there twice", err);
        }
    }
    for (size_t i = 0; i < file->pair_count; i++) {
        for (size_t j = 0; j < i; j++) {
            char shown[64];

            if (strcmp(file->pairs[i].key, file->pairs[j].key) == 0) {
                return il_error_set(err, IL_ERR_INPUT, file->path,
                                    "key '%s' is there twice",
                                    il__safetensor_show(file->pairs[i].key, shown));
            }
        }
    }
    return IL_OK;
}

static il_status read_head(il_gguf *file, il_error *err)
{
    cursor c = {file, file->map.data, NULL};
    char magic[4] = {0};
    uint32_t version = 0;
    uint64_t counts[2] = {0, 0}; /* tensors, pairs */
    int64_t alignment = 32;

    c.end = c.p + file->map.size;
    IL_TRY(take(&c, magic, sizeof magic, err));
    IL_TRY(take(&c, &version, sizeof version, err));
    if (memcmp(magic, "GGUF", sizeof magic) != 0) {
        return broken(file, "expected a GGUF file: its first bytes are not 'GGUF'",
                      err);
    }
    if (version < 2 || version > 3) {
        return il_error_set(err, IL_ERR_INPUT, file->path,
                            "expected version 2 or 3, little-endian, got %" PRIu32,
                            version);
    }
    IL_TRY(take(&c, counts, sizeof counts, err));
    if (counts[0] > GGUF_MANY || counts[1] > GGUF_MANY) {
        return il_error_set(err, IL_ERR_INPUT, file->path,
                            "expected at most %d tensors and keys, got %" PRIu64
                            " and %" PRIu64,
                            GGUF_MANY, counts[0], counts[1]);
    }
    file->pairs = il_arena_calloc(file->arena, (size_t)counts[1] + 1, sizeof(pair));
    file->tensors =
        il_arena_calloc(file->arena, (size_t)counts[0] + 1, sizeof *file->tensors);
    file->offsets =
        il_arena_calloc(file->arena, (size_t)counts[0] + 1, sizeof *file->offsets);
    if (file->pairs == NULL || file->tensors == NULL || file->offsets == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, file->path, "out of memory");
    }
    while (file->pair_count < counts[1]) {
        IL_TRY(take_pair(&c, &file->pairs[file->pair_count], err));
        file->pair_count++;
    }
    while (file->count < counts[0]) {
        IL_TRY(take_tensor(&c, &file->tensors[file->count], &file->offsets[file->count],
                           err));
        file->count++;
    }
    IL_TRY(check_names(file, err));
    (void)il_gguf_whole(file, "general.alignment", &alignment);
    if (alignment < 1 || alignment > 65536 || (alignment & (alignment - 1)) != 0) {
        return broken(file, "general.alignment: expected a power of two up to 65536",
                      err);
    }
    return place(file, (size_t)(c.p - (const unsigned char *)file->map.data),
                 (uint64_t)alignment, err);
}

il_status il_gguf_open(il_gguf **out, const char *path, il_error *err)
{
    il_gguf *file = calloc(1, sizeof *file);
    il_status status;

    if (file == NULL || (file->path = strdup(path)) == NULL ||
        (file->arena = il_arena_create(4096)) == NULL) {
        il_gguf_close(file);
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = il_mapped_open(&file->map, path, err);
    if (status == IL_OK && file->map.size == 0) {
        status = broken(file, "expected a GGUF file, got an empty one", err);
    }
    if (status == IL_OK) {
        status = read_head(file, err);
    }
    if (status != IL_OK) {
        il_gguf_close(file);
        return status;
    }
    *out = file;
    return IL_OK;
}

void il_gguf_close(il_gguf *file)
{
    if (file == NULL) {
        return;
    }
    il_arena_destroy(file->arena);
    il_mapped_close(&file->map);
    free(file->path);
    free(file);
}

size_t il_gguf_count(const il_gguf *file)
{
    return file->count;
}

const il_gguf_tensor *il_gguf_at(const il_gguf *file, size_t i)
{
    return &file->tensors[i];
}

const il_gguf_tensor *il_gguf_find(const il_gguf *file, const char *name)
{
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i];
        }
    }
    return NULL;
}

static const pair *find_pair(const il_gguf *file, const char *key)
{
    for (size_t i = 0; i < file->pair_count; i++) {
        if (strcmp(file->pairs[i].key, key) == 0) {
            return &file->pairs[i];
        }
    }
    return NULL;
}

const char *il_gguf_text(const il_gguf *file, const char *key)
{
    const pair *p = find_pair(file, key);

    return p != NULL ? p->text : NULL;
}

bool il_gguf_whole(const il_gguf *file, const char *key, int64_t *value)
{
    const pair *p = find_pair(file, key);

    if (p == NULL || !p->is_whole) {
        return false;
    }
    *value = p->whole;
    return true;
}

int64_t il_gguf_elements(const il_gguf_tensor *t)
{
    int64_t n = 1;

    for (int32_t i = 0; i < t->ndim; i++) {
        n *= t->shape[i];
    }
    return n;
}

/* A block is a float16 scale and 32 signed bytes: value = scale * byte. */
static il_status block_floats(const il_gguf *file, const il_gguf_tensor *t, float **out,
                              il_error *err)
{
    int64_t n = il_gguf_elements(t);
    float *values = malloc((size_t)n * sizeof *values);
    il_status status = IL_OK;

    if (values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, file->path, "out of memory");
    }
    for (int64_t b = 0; b < n / GGUF_BLOCK && status == IL_OK; b++) {
        const char *block = (const char *)t->data + b * GGUF_BLOCK_BYTES;
        il_array scale = {.dtype = {IL_CODE_FLOAT, 16, 1}, .data = block, .bytes = 2};
        float *s = NULL;

        status = il_array_floats(&s, &scale, file->path, err);
        for (int i = 0; status == IL_OK && i < GGUF_BLOCK; i++) {
            values[b * GGUF_BLOCK + i] = *s * (float)(signed char)block[2 + i];
        }
        free(s);
    }
    if (status != IL_OK) {
        free(values);
        return status;
    }
    *out = values;
    return IL_OK;
}

il_status il_gguf_floats(const il_gguf *file, const il_gguf_tensor *t, float **out,
                         il_error *err)
{
    il_array a = {.ndim = t->ndim, .data = t->data, .bytes = t->bytes};

    memcpy(a.shape, t->shape, sizeof t->shape);
    switch (t->type) {
    case GGUF_TENSOR_F32:
        a.dtype = (il_dtype){IL_CODE_FLOAT, 32, 1};
        break;
    case GGUF_TENSOR_F16:
        a.dtype = (il_dtype){IL_CODE_FLOAT, 16, 1};
        break;
    case GGUF_TENSOR_BF16:
        a.dtype = (il_dtype){IL_CODE_BFLOAT, 16, 1};
        break;
    case GGUF_TENSOR_F64:
        a.dtype = (il_dtype){IL_CODE_FLOAT, 64, 1};
        break;
    case GGUF_TENSOR_Q8_0:
        return block_floats(file, t, out, err);
    default: {
        char shown[64];

        return il_error_set(
            err, IL_ERR_INPUT, file->path,
            "tensor '%s': expected F32 (0), F16 (1), Q8_0 (8), F64 (28) "
            "or BF16 (30), got type %" PRIu32,
            il__safetensor_show(t->name, shown), t->type);
    }
    }
    return il_array_floats(out, &a, file->path, err);
}
