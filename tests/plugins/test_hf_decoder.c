/* Folders of every architecture against what `transformers` computed from them
 * (tests/fixtures/hf), in a whole pass and step by step, and folders that are refused.
 * IL_HF_FIXTURES names another folder of cases. */
#include "exchange/folder.h"
#include "pipeline/batch.h"
#include "pipeline/composer.h"
#include "pipeline/instance.h"
#include "tensor/pass.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/files.h"

static const char *const cases[] = {
    "gpt2",         "gpt2_untied",   "neox",   "neox_serial", "llama",   "llama_tied",
    "llama_linear", "llama_dynamic", "llama3", "llama_yarn",  "mistral", "qwen2"};

enum { BATCH = 2, T = 12, DRAWN = 8, VOCABULARY = 41 };

static il_registry *registry;
static il_arena *arena;
static il_problems problems;
static il_error err;
static il_instance *model;
static il_pass *pass;
static float **values;
static float **grads;
static il_word *route;

static const char *fixtures(void)
{
    static char path[512];
    const char *given = getenv("IL_HF_FIXTURES");

    if (given != NULL) {
        return given;
    }
    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/hf", getenv("IL_ROOT"));
    return path;
}

static void setup(void)
{
    char folder[512];

    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    err = (il_error){0};
    ck_assert_int_eq(il_registry_create(&registry, NULL, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(registry, folder, true, &err) == IL_OK, "%s",
                  err.message);
    arena = il_arena_create(1 << 14);
    problems = (il_problems){.arena = arena};
    model = NULL;
}

static void teardown(void)
{
    for (size_t i = 0; model != NULL && i < model->store->count; i++) {
        free(grads != NULL ? grads[i] : NULL);
    }
    free(values);
    free(grads);
    free(route);
    values = NULL;
    grads = NULL;
    route = NULL;
    il_pass_destroy(pass);
    pass = NULL;
    il_instance_destroy(model);
    il_arena_destroy(arena);
    il_registry_destroy(registry);
}

static il_status make(const char *folder, const char *more)
{
    char yaml[1024];
    il_component_spec spec = {.use = "hf_decoder", .range = ""};
    il_instance_input in = {.label = "model", .seed = 3};

    (void)snprintf(yaml, sizeof yaml, "{folder: \"%s\"%s}", folder, more);
    spec.params = il_compose(arena, "p.yaml", il_arena_strdup(arena, yaml),
                             strlen(yaml), &problems);
    return il_instance_create(&model, registry, IL_KIND_MODEL, &spec, &in, &problems,
                              &err);
}

static void open_model(const char *name, const char *more)
{
    char folder[600];
    const il_blas *blas = NULL;
    const size_t room = 1024;

    (void)snprintf(folder, sizeof folder, "%s/%s", fixtures(), name);
    ck_assert_msg(make(folder, more) == IL_OK, "%s: %s", err.where, err.message);
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, room, &err), IL_OK);
    ck_assert_uint_le(model->store->count, room);
    values = calloc(model->store->count, sizeof *values);
    grads = calloc(model->store->count, sizeof *grads);
    route = calloc(il_bits_words(room), sizeof *route);
    for (size_t i = 0; i < model->store->count; i++) {
        values[i] = model->store->values + model->store->items[i].offset;
        grads[i] = calloc((size_t)model->store->items[i].count, sizeof(float));
        il_bits_set(route, i);
    }
}

/* What the library computed. */
static il_safetensors *open_expected(const char *name)
{
    char path[700];
    il_safetensors *file = NULL;

    (void)snprintf(path, sizeof path, "%s/%s/expected.safetensors", fixtures(), name);
    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
    return file;
}

static const void *expected(const il_safetensors *file, const char *name, size_t bytes)
{
    const il_safetensor *t = il_safetensors_find(file, name);

    ck_assert_msg(t != NULL, "no %s in what is expected", name);
    ck_assert_uint_eq(t->bytes, bytes);
    return t->data;
}

static void forward(const il_safetensors *file)
{
    const il_scope scope = {.label = "model",
                            .store = model->store,
                            .values = (const float *const *)values};
    il_batch *b = NULL;
    void *data;

    ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
    il_batch_reset(b, BATCH);
    data = il_batch_add(b, "tokens", IL_I32, IL_SHAPE(BATCH, T));
    memcpy(data, expected(file, "tokens", sizeof(int32_t[BATCH * T])),
           sizeof(int32_t[BATCH * T]));
    data = il_batch_add(b, "next", IL_I32, IL_SHAPE(BATCH, T));
    memcpy(data, expected(file, "next", sizeof(int32_t[BATCH * T])),
           sizeof(int32_t[BATCH * T]));
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(model)->forward(model->self, pass, b);
    il_pass_leave(pass);
    ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    il_batch_destroy(b);
}

/* The largest difference of two lists. */
static double apart(const float *a, const float *b, int64_t n)
{
    double worst = 0.0;

    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);

        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

static double largest(const float *a, int64_t n)
{
    double most = 0.0;

    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i]));
    }
    return most;
}

START_TEST(logits_losses_and_gradients_are_those_of_the_library)
{
    const char *name = cases[_i];
    il_safetensors *file;
    float seeds[BATCH * T];
    const float *seed = seeds;
    il_tensor *rows;
    const float *theirs;

    open_model(name, "");
    file = open_expected(name);
    forward(file);
    theirs = expected(file, "logits", sizeof(float[BATCH * T * VOCABULARY]));
    ck_assert_msg(
        apart(il_f32(il_pass_output(pass, "logits")), theirs, BATCH * T * VOCABULARY) <
            1e-4,
        "%s: logits are %g apart", name,
        apart(il_f32(il_pass_output(pass, "logits")), theirs, BATCH * T * VOCABULARY));
    ck_assert_double_gt(largest(theirs, BATCH * T * VOCABULARY), 0.5);
    rows = il_pass_loss(pass, "next_token");
    theirs = expected(file, "rows", sizeof seeds);
    ck_assert_double_lt(apart(il_f32(rows), theirs, BATCH * T), 1e-4);
    for (int i = 0; i < BATCH * T; i++) {
        seeds[i] = 1.0f / (BATCH * T);
    }
    ck_assert_int_eq(il_pass_backward(pass, 1, &rows, &seed, route, grads, &err),
                     IL_OK);
    for (size_t i = 0; i < model->store->count; i++) {
        const il_stored *p = &model->store->items[i];
        char full[256];

        (void)snprintf(full, sizeof full, "grad.%s", p->name);
        theirs = expected(file, full, (size_t)p->count * sizeof(float));
        ck_assert_msg(apart(grads[i], theirs, p->count) <=
                          1e-4 * largest(theirs, p->count) + 1e-7,
                      "%s: the gradient of %s is %g apart, of %g", name, p->name,
                      apart(grads[i], theirs, p->count), largest(theirs, p->count));
    }
    il_safetensors_close(file);
}
END_TEST

/* Draws greedily: the prompt at once, then token after token. */
START_TEST(what_it_draws_greedily_is_what_the_library_draws)
{
    const char *name = cases[_i];
    const int64_t length = T + DRAWN;
    il_safetensors *file;
    il_scope scope = {.label = "model", .first_bit = -1};
    int32_t tokens[T + DRAWN];
    const int32_t *theirs;
    float *carry;
    int64_t at = 0;

    open_model(name, "");
    file = open_expected(name);
    scope.store = model->store;
    scope.values = (const float *const *)values;
    theirs = expected(file, "drawn", sizeof(int32_t[DRAWN]));
    memcpy(tokens, expected(file, "tokens", sizeof(int32_t[BATCH * T])),
           sizeof(int32_t[T]));
    carry = calloc((size_t)il_instance_model(model)->carry_width(model->self, length),
                   sizeof *carry);
    for (int64_t have = T; have < length; have++) {
        il_batch *b = NULL;
        const float *logits;
        int32_t best = 0;

        ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
        il_batch_reset(b, 1);
        memcpy(il_batch_add(b, "tokens", IL_I32, IL_SHAPE(1, have - at)), tokens + at,
               (size_t)(have - at) * sizeof *tokens);
        il_pass_begin(pass);
        il_pass_enter(pass, &scope);
        il_instance_model(model)->step(model->self, pass, b, at, length, carry);
        il_pass_leave(pass);
        ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s", err.message);
        logits = il_f32(il_pass_output(pass, "logits")) + (have - at - 1) * VOCABULARY;
        for (int32_t k = 1; k < VOCABULARY; k++) {
            best = logits[k] > logits[best] ? k : best;
        }
        tokens[have] = best;
        ck_assert_int_eq(best, theirs[have - T]);
        at = have;
        il_batch_destroy(b);
    }
    free(carry);
    il_safetensors_close(file);
}
END_TEST

/* ---- folders that are refused --------------------------------------------------- */

static char copy[64];

static il_status copy_one(void *user, const char *name, il_error *e)
{
    char *from = il_path_join(user, name);
    char *to = il_path_join(copy, name);
    char *data;
    size_t size;

    ck_assert_int_eq(il_file_read(from, 1 << 20, &data, &size, e), IL_OK);
    ck_assert_int_eq(il_file_write(to, data, size, e), IL_OK);
    free(data);
    free(from);
    free(to);
    return IL_OK;
}

static void copy_case(const char *name)
{
    char folder[600];

    strcpy(copy, "/tmp/interloop-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy));
    (void)snprintf(folder, sizeof folder, "%s/%s", fixtures(), name);
    ck_assert_int_eq(il_folder_list(folder, copy_one, folder, &err), IL_OK);
}

/* Puts `with` in the place of the first `what` of a file, zeros and all. */
static void change(const char *file, const char *what, const char *with)
{
    char *path = il_path_join(copy, file);
    const size_t n = strlen(what);
    char *data;
    size_t size;
    size_t at = 0;
    il_file_part parts[3];

    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, &err), IL_OK);
    while (at + n <= size && memcmp(data + at, what, n) != 0) {
        at++;
    }
    ck_assert_msg(at + n <= size, "%s has no %s", file, what);
    parts[0] = (il_file_part){data, at};
    parts[1] = (il_file_part){with, strlen(with)};
    parts[2] = (il_file_part){data + at + n, size - at - n};
    ck_assert_int_eq(il_file_write_parts(path, parts, 3, &err), IL_OK);
    free(data);
    free(path);
}

/* Leaves the first so many bytes of a file; more than it has are a hole. */
static void cut(const char *file, off_t size)
{
    char *path = il_path_join(copy, file);

    ck_assert_int_eq(truncate(path, size), 0);
    free(path);
}

static const char INDEX[] = "model.safetensors.index.json";
static const char SECOND[] = "model-00002-of-00002.safetensors";

static const struct refusal {
    const char *name;
    const char *from; /* the case that is spoilt */
    const char *file;
    const char *what; /* replaced by `with`; NULL: the file is cut */
    const char *with;
    off_t size; /* -1: it is removed */
    const char *says;
    const char *params;
} refusals[] = {
    {.name = "a shard that is missing",
     .from = "llama",
     .file = SECOND,
     .size = -1,
     .says = "model-00002-of-00002.safetensors', which cannot be read"},
    {.name = "a shard that was cut",
     .from = "llama",
     .file = SECOND,
     .size = 9000,
     .says = "bytes"},
    {.name = "an index that leads out of its folder",
     .from = "llama",
     .file = INDEX,
     .what = "\"model-00001-of-00002.safetensors",
     .with = "\"../model-00001-of-00002.safetensors",
     .says = "expected the name of a .safetensors file in this folder"},
    {.name = "an index of absolute paths",
     .from = "llama",
     .file = INDEX,
     .what = "\"model-00001-of-00002.safetensors",
     .with = "\"/etc/model.safetensors",
     .says = "expected the name of a .safetensors file in this folder"},
    {.name = "an index that is wrong about a tensor",
     .from = "llama",
     .file = INDEX,
     .what = "\"model-00001-of-00002.safetensors",
     .with = "\"model-00002-of-00002.safetensors",
     .says = "where the index has it"},
    {.name = "an index with a tensor that is nowhere",
     .from = "llama",
     .file = INDEX,
     .what = "\"lm_head.weight\"",
     .with = "\"lm_hand.weight\"",
     .says = "'lm_hand.weight' is not in"},
    {.name = "a huge index",
     .from = "llama",
     .file = INDEX,
     .size = (off_t)1 << 40,
     .says = "model.safetensors.index.json"},
    {.name = "a huge configuration",
     .from = "llama",
     .file = "config.json",
     .size = (off_t)1 << 40,
     .says = "config.json"},
    {.name = "an index without a map",
     .from = "llama",
     .file = INDEX,
     .what = "\"weight_map\"",
     .with = "\"weight_mop\"",
     .says = "weight_map: expected an object"},
    {.name = "no weights",
     .from = "gpt2",
     .file = "model.safetensors",
     .size = -1,
     .says = "expected 'model.safetensors' or 'model.safetensors.index.json'"},
    {.name = "no configuration",
     .from = "gpt2",
     .file = "config.json",
     .size = -1,
     .says = "config.json"},
    {.name = "a configuration that is no JSON",
     .from = "gpt2",
     .file = "config.json",
     .size = 40,
     .says = "config.json: line"},
    {.name = "a key twice",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_head\": 2",
     .with = "\"n_head\": 2, \"n_head\": 4",
     .says = "duplicate"},
    {.name = "another architecture's configuration",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"gpt2\"",
     .with = "\"bert\"",
     .says = "expected gpt2, gpt_neox, llama, mistral or qwen2, got 'bert'"},
    {.name = "one of ours that is another's",
     .from = "llama",
     .file = "config.json",
     .what = "\"model_type\": \"llama\"",
     .with = "\"model_type\": \"gpt2\"",
     .says = "n_layer: expected a whole number"},
    {.name = "fewer blocks than the folder has",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_layer\": 2",
     .with = "\"n_layer\": 1",
     .says = "tensors have no place in a gpt2 of 1 blocks"},
    {.name = "more blocks than the folder has",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_layer\": 2",
     .with = "\"n_layer\": 3",
     .says = "has no tensor 'transformer.h.2.ln_1.weight'"},
    {.name = "more blocks than there can be",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_layer\": 2",
     .with = "\"n_layer\": 99999999",
     .says = "n_layer: expected a whole number from 1 to 512"},
    {.name = "a shape that the configuration does not have",
     .from = "llama3",
     .file = "config.json",
     .what = "\"intermediate_size\": 24",
     .with = "\"intermediate_size\": 25",
     .says = "expected the shape (25, 16), got (24, 16)"},
    {.name = "heads that do not divide",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_head\": 2",
     .with = "\"n_head\": 3",
     .says = "n_embd: expected a multiple of the 3 heads"},
    {.name = "groups that do not divide",
     .from = "llama3",
     .file = "config.json",
     .what = "\"num_key_value_heads\": 2",
     .with = "\"num_key_value_heads\": 3",
     .says = "num_key_value_heads: expected a divisor"},
    {.name = "a size that is text",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"n_embd\": 16",
     .with = "\"n_embd\": \"16\"",
     .says = "n_embd: expected a whole number"},
    {.name = "integers for weights",
     .from = "gpt2",
     .file = "model.safetensors",
     .what = "\"F32\"",
     .with = "\"I32\"",
     .says = "expected values of f32, f16 or bf16; got int32"},
    {.name = "weights that were cut",
     .from = "gpt2",
     .file = "model.safetensors",
     .size = 20000,
     .says = "bytes"},
    {.name = "rotary positions of another kind",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_type\": \"llama3\"",
     .with = "\"rope_type\": \"longrope\"",
     .says = "of the kind 'longrope' are not known here"},
    {.name = "a factor of nothing",
     .from = "llama3",
     .file = "config.json",
     .what = "\"factor\": 8.0",
     .with = "\"factor\": 0.0",
     .says = "rope_parameters.factor: expected a number above 0"},
    {.name = "an activation that is not known",
     .from = "llama3",
     .file = "config.json",
     .what = "\"silu\"",
     .with = "\"mish\"",
     .says = "hidden_act: expected gelu"},
    {.name = "longer sequences than the folder has positions",
     .from = "gpt2",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", context: 33",
     .says = "sequences of 33 tokens, but the folder's model has 32 positions"},
    {.name = "adapters of matrices that there are none of",
     .from = "gpt2",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", lora_rank: 2, lora_targets: q_proj",
     .says = "lora_targets: no matrix of a gpt2 is called one of 'q_proj'"},
};

START_TEST(a_folder_that_cannot_be_right_is_refused_with_the_reason)
{
    const struct refusal *r = &refusals[_i];

    copy_case(r->from);
    if (r->what != NULL) {
        change(r->file, r->what, r->with);
    } else if (r->size >= 0) {
        cut(r->file, r->size);
    } else {
        char *path = il_path_join(copy, r->file);

        ck_assert_int_eq(unlink(path), 0);
        free(path);
    }
    ck_assert_msg(make(copy, r->params != NULL ? r->params : "") != IL_OK,
                  "%s is taken", r->name);
    ck_assert_msg(strstr(err.message, r->says) != NULL, "%s: %s", r->name, err.message);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

/* ---- what the host makes of a folder -------------------------------------------- */

START_TEST(floats_are_read_where_they_are_mapped_and_the_file_never_changes)
{
    char *path;
    char before[IL_HASH_HEX];
    char after[IL_HASH_HEX];

    copy_case("gpt2");
    path = il_path_join(copy, "model.safetensors");
    ck_assert_int_eq(il_hash_file(path, before, &err), IL_OK);
    ck_assert_msg(make(copy, "") == IL_OK, "%s", err.message);
    ck_assert_uint_eq(model->store->file_count, 1);
    for (int64_t i = 0; i < model->store->total; i++) {
        model->store->values[i] += 1.0f;
    }
    ck_assert_int_eq(il_hash_file(path, after, &err), IL_OK);
    ck_assert_str_eq(before, after);
    free(path);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

START_TEST(between_the_tensors_of_a_mapped_file_there_are_zeros)
{
    const il_store *store;
    size_t there = 0;

    open_model("gpt2", "");
    store = model->store;
    for (size_t i = 0; i < store->count; i++) {
        float *v = store->values + store->items[i].offset;

        for (int64_t k = 0; k < store->items[i].count; k++) {
            there += v[k] != 0.0f;
            v[k] = 0.0f;
        }
    }
    ck_assert_uint_gt(there, 5000);
    for (int64_t i = 0; i < store->total; i++) {
        ck_assert_msg(store->values[i] == 0.0f, "%lld", (long long)i);
    }
}
END_TEST

START_TEST(an_address_follows_every_byte_of_the_folder)
{
    const char *first;
    const char *second;
    il_instance *other;

    copy_case("llama");
    ck_assert_msg(make(copy, "") == IL_OK, "%s", err.message);
    ck_assert_int_eq(il_instance_address(model, &first, &err), IL_OK);
    other = model;
    change("config.json", "{", "{ ");
    ck_assert_int_eq(make(copy, ""), IL_OK);
    ck_assert_int_eq(il_instance_address(model, &second, &err), IL_OK);
    ck_assert_str_eq(other->identity, model->identity);
    ck_assert_str_ne(first, second);
    il_instance_destroy(other);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

/* ---- adapters ------------------------------------------------------------------- */

static const char adapters[] = ", lora_rank: 2, lora_alpha: 8";

START_TEST(new_adapters_change_no_bit_of_the_logits)
{
    float *plain = malloc(sizeof(float[BATCH * T * VOCABULARY]));
    il_safetensors *file = open_expected(cases[_i]);

    open_model(cases[_i], "");
    forward(file);
    memcpy(plain, il_f32(il_pass_output(pass, "logits")),
           sizeof(float[BATCH * T * VOCABULARY]));
    teardown();
    setup();
    open_model(cases[_i], adapters);
    forward(file);
    ck_assert_mem_eq(plain, il_f32(il_pass_output(pass, "logits")),
                     sizeof(float[BATCH * T * VOCABULARY]));
    il_safetensors_close(file);
    free(plain);
}
END_TEST

START_TEST(a_route_to_the_adapters_moves_nothing_else)
{
    il_safetensors *file = open_expected("llama");
    float seeds[BATCH * T];
    const float *seed = seeds;
    il_tensor *rows;
    size_t reached = 0;

    open_model("llama", adapters);
    for (size_t i = 0; i < model->store->count; i++) {
        if (strcmp(model->store->items[i].group, "lora") == 0) {
            for (int64_t k = 0; k < model->store->items[i].count; k++) {
                values[i][k] += 0.01f * (float)(k % 5 + 1);
            }
        } else {
            il_bits_unset(route, i);
        }
    }
    forward(file);
    for (int i = 0; i < BATCH * T; i++) {
        seeds[i] = 1.0f;
    }
    rows = il_pass_loss(pass, "next_token");
    ck_assert_int_eq(il_pass_backward(pass, 1, &rows, &seed, route, grads, &err),
                     IL_OK);
    for (size_t i = 0; i < model->store->count; i++) {
        const il_stored *p = &model->store->items[i];
        const bool own = strcmp(p->group, "lora") == 0;

        ck_assert_msg((largest(grads[i], p->count) > 0.0) == own, "%s", p->name);
        reached += own;
    }
    ck_assert_uint_eq(reached, 8); /* two blocks, queries and values, two matrices */
    il_safetensors_close(file);
}
END_TEST

/* ---- written again -------------------------------------------------------------- */

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype f16 = {IL_CODE_FLOAT, 16, 1};
static const il_dtype bf16 = {IL_CODE_BFLOAT, 16, 1};
enum { LOGITS = BATCH * T * VOCABULARY };

/* Moves every parameter a little, adapters most. */
static void stir(void)
{
    for (size_t i = 0; i < model->store->count; i++) {
        const float by =
            strcmp(model->store->items[i].group, "lora") == 0 ? 0.1f : 1e-3f;

        for (int64_t k = 0; k < model->store->items[i].count; k++) {
            values[i][k] += by * (float)(k % 7 - 3);
        }
    }
}

static void keep_logits(float *out, const il_safetensors *file)
{
    forward(file);
    memcpy(out, il_f32(il_pass_output(pass, "logits")), sizeof(float[LOGITS]));
}

/* Opens what was written in place of the model, and removes it. */
static void reopen(const char *folder, const char *more)
{
    const char *given = getenv("IL_HF_FIXTURES");
    char *had = given != NULL ? strdup(given) : NULL;
    char parent[128];

    (void)snprintf(parent, sizeof parent, "%s", folder);
    *strrchr(parent, '/') = '\0';
    teardown();
    setup();
    ck_assert_int_eq(setenv("IL_HF_FIXTURES", parent, 1), 0);
    open_model(strrchr(folder, '/') + 1, more);
    if (had != NULL) {
        ck_assert_int_eq(setenv("IL_HF_FIXTURES", had, 1), 0);
    } else {
        ck_assert_int_eq(unsetenv("IL_HF_FIXTURES"), 0);
    }
    free(had);
}

static const char *written(void)
{
    static char folder[128];

    strcpy(copy, "/tmp/interloop-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy));
    (void)snprintf(folder, sizeof folder, "%s/written", copy);
    return folder;
}

START_TEST(a_folder_that_was_written_has_the_same_logits_to_the_bit)
{
    il_safetensors *file = open_expected(cases[_i]);
    float *before = malloc(sizeof(float[LOGITS]));
    const char *folder = written();

    open_model(cases[_i], "");
    stir();
    keep_logits(before, file);
    ck_assert_msg(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    reopen(folder, "");
    forward(file);
    ck_assert_mem_eq(before, il_f32(il_pass_output(pass, "logits")),
                     sizeof(float[LOGITS]));
    free(before);
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

START_TEST(half_width_numbers_are_the_nearest)
{
    const il_dtype dtype = _i == 0 ? f16 : bf16;
    const double unit = _i == 0 ? ldexp(1.0, -11) : ldexp(1.0, -8);
    const char *folder = written();
    float **had;
    size_t count;
    int64_t exact = 0;
    int64_t all = 0;

    open_model("gpt2", "");
    values[0][0] = 1e-6f;  /* below f16's normal range */
    values[0][1] = -3e-8f; /* the least that it has */
    count = model->store->count;
    had = calloc(count, sizeof *had);
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = (size_t)model->store->items[i].count * sizeof(float);

        had[i] = malloc(bytes);
        memcpy(had[i], values[i], bytes);
    }
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, dtype, &err),
                     IL_OK);
    reopen(folder, "");
    for (size_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < model->store->items[i].count; k++) {
            const double apart_by = fabs((double)values[i][k] - (double)had[i][k]);

            ck_assert_double_le(apart_by,
                                fmax(unit * fabs((double)had[i][k]), ldexp(1.0, -25)));
            exact += apart_by == 0.0;
            all++;
        }
        free(had[i]);
    }
    ck_assert_int_lt(exact, all / 2);
    free(had);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

START_TEST(adapters_go_out_and_come_back)
{
    static const char *const kinds[] = {"gpt2", "neox", "llama"};
    static const char *const targets[] = {
        ", lora_rank: 2, lora_alpha: 3, lora_targets: \"c_attn c_proj, c_fc\"",
        ", lora_rank: 2, lora_alpha: 3, lora_targets: \"query_key_value dense\"",
        ", lora_rank: 2, lora_alpha: 3, lora_targets: \"q_proj,k_proj gate_proj\""};
    il_safetensors *file = open_expected(kinds[_i]);
    float *before = malloc(sizeof(float[LOGITS]));
    const char *folder = written();
    char more[256];

    open_model(kinds[_i], targets[_i]);
    for (size_t i = 0; i < model->store->count; i++) {
        for (int64_t k = 0; k < model->store->items[i].count &&
                            strcmp(model->store->items[i].group, "lora") == 0;
             k++) {
            values[i][k] += 0.1f * (float)(k % 7 - 3);
        }
    }
    keep_logits(before, file);
    ck_assert_int_ne(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, &err), IL_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "it has adapters"));
    err = (il_error){0};
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_ADAPTERS, f32, &err),
                     IL_OK);
    teardown();
    setup();
    (void)snprintf(more, sizeof more, ", adapter: \"%s\"", folder);
    open_model(kinds[_i], more);
    forward(file);
    ck_assert_mem_eq(before, il_f32(il_pass_output(pass, "logits")),
                     sizeof(float[LOGITS]));
    /* and merged they are the same model, but for rounding */
    ck_assert_int_eq(il_folder_remove(folder, &err), IL_OK);
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MERGED, f32, &err),
                     IL_OK);
    reopen(folder, "");
    forward(file);
    ck_assert_double_lt(apart(before, il_f32(il_pass_output(pass, "logits")), LOGITS),
                        1e-4);
    free(before);
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

START_TEST(nothing_stands_where_writing_failed)
{
    const char *folder = written();

    open_model("gpt2", "");
    values[3][0] = 1e6f;
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, f16, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "f16 cannot hold 1e+06"));
    ck_assert_int_eq(rmdir(copy), 0); /* it is empty */
    ck_assert_int_eq(il_folder_make(folder, &err), IL_OK);
    err = (il_error){0};
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, &err),
                     IL_ERR_INPUT);
    ck_assert_str_eq(err.message, "is there already; name a folder that is not");
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hf_decoder");
    TCase *t = tcase_create("folders");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, logits_losses_and_gradients_are_those_of_the_library, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, what_it_draws_greedily_is_what_the_library_draws, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, a_folder_that_cannot_be_right_is_refused_with_the_reason, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_test(t, floats_are_read_where_they_are_mapped_and_the_file_never_changes);
    tcase_add_test(t, between_the_tensors_of_a_mapped_file_there_are_zeros);
    tcase_add_test(t, an_address_follows_every_byte_of_the_folder);
    tcase_add_loop_test(t, new_adapters_change_no_bit_of_the_logits, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(t, a_route_to_the_adapters_moves_nothing_else);
    tcase_add_loop_test(t, a_folder_that_was_written_has_the_same_logits_to_the_bit, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, half_width_numbers_are_the_nearest, 0, 2);
    tcase_add_loop_test(t, adapters_go_out_and_come_back, 0, 3);
    tcase_add_test(t, nothing_stands_where_writing_failed);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    int failed;

    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
