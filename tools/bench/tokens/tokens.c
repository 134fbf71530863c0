/* Dataset `bench.tokens`: a stream of random tokens of any vocabulary and length, so
 * that a step can be timed at a size of its own. Nothing can be learned from it. */
#include "interloop/plugin.h"

typedef struct tokens {
    uint64_t seed;
    int64_t vocabulary;
    int64_t context;
} tokens;

static const il_param_spec params[] = {
    IL_PARAM_INT("vocabulary", "512", 2, 1048576, "tokens",
                 "how many tokens there are"),
    IL_PARAM_INT("context", "64", 1, 1048576, "tokens", "length of a row")};

static const il_split splits[] = {{"train", -1, "a stream"}};
static const il_field fields[] = {
    {"tokens", IL_FIELD_INPUT, "drawn evenly"},
    {"next", IL_FIELD_TARGET, "the token after; none at the end"},
    {"weights", IL_FIELD_WEIGHT, "1 where there is a next token"},
    {"odd", IL_FIELD_LABEL, "whether the row opens with an odd token"}};

static il_status tokens_create(const il_setup *s, void **self, il_error *err)
{
    tokens *t = il_setup_new(s, sizeof *t);

    if (t == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "tokens", "out of memory");
    }
    t->seed = il_setup_seed(s);
    t->vocabulary = il_setup_int(s, "vocabulary");
    t->context = il_setup_int(s, "context");
    il_setup_publish(s, "vocabulary", t->vocabulary);
    il_setup_publish(s, "context", t->context);
    *self = t;
    return IL_OK;
}

static void tokens_destroy(void *self)
{
    (void)self; /* the host owns it all */
}

static const il_split *tokens_splits(const void *self, int32_t *count)
{
    (void)self;
    *count = 1;
    return splits;
}

static const il_field *tokens_fields(const void *self, int32_t *count)
{
    (void)self;
    *count = (int32_t)(sizeof fields / sizeof fields[0]);
    return fields;
}

static il_status tokens_get(const void *self, int32_t split, int64_t index,
                            int64_t rows, il_batch *out, il_error *err)
{
    const tokens *t = self;
    int32_t *token = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(rows, t->context));
    int32_t *next = il_batch_add(out, "next", IL_I32, IL_SHAPE(rows, t->context));
    float *weight = il_batch_add(out, "weights", IL_F32, IL_SHAPE(rows, t->context));
    uint8_t *odd = il_batch_add(out, "odd", IL_U8, IL_SHAPE(rows));

    if (token == NULL || next == NULL || weight == NULL || odd == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "tokens", "out of memory");
    }
    for (int64_t i = 0; i < rows; i++) {
        il_rng r;

        il_rng_open(&r, t->seed, 0, IL_RNG_DATA, (uint64_t)split,
                    (uint64_t)(index + i));
        for (int64_t j = 0; j < t->context; j++) {
            int64_t at = i * t->context + j;

            token[at] = (int32_t)il_rng_below(&r, (uint32_t)t->vocabulary);
            next[at] = -1;
            weight[at] = j + 1 < t->context;
            if (j > 0) {
                next[at - 1] = token[at];
            }
        }
        odd[i] = (uint8_t)(token[i * t->context] % 2);
    }
    return IL_OK;
}

static void tokens_fingerprint(const void *self, uint8_t out[32])
{
    const tokens *t = self;
    const uint64_t words[4] = {t->seed, (uint64_t)t->vocabulary, (uint64_t)t->context,
                               1};

    for (int i = 0; i < 32; i++) {
        out[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
    }
}

static const il_dataset_api api = {.struct_size = sizeof(il_dataset_api),
                                   .create = tokens_create,
                                   .destroy = tokens_destroy,
                                   .splits = tokens_splits,
                                   .fields = tokens_fields,
                                   .get = tokens_get,
                                   .fingerprint = tokens_fingerprint};

IL_PLUGIN("bench", "1.0.0", "MIT", "The Interloop authors",
          "random tokens to time steps on",
          IL_DATASET("tokens", "random tokens of any vocabulary and length", &api,
                     IL_PARAMS(params)))
