/* Folders of every architecture against what `transformers` computed from them
 * (tests/fixtures/hf), in a whole pass and step by step.
 * IL_HF_FIXTURES names another folder of cases. */
#include "exchange/folder.h"
#include "plugins/hf_copy.h"
#include "plugins/hf_model.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAWN = 8 };

static void setup(void)
{
    hf_open();
}

static void teardown(void)
{
    model_close();
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
    const char *third;
    char *path;
    char *data;
    size_t size;
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
    other = model;
    path = il_path_join(copy, "model-00002-of-00002.safetensors");
    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, &err), IL_OK);
    data[size - 1] ^= 1; /* of the last weight */
    ck_assert_int_eq(il_file_write(path, data, size, &err), IL_OK);
    free(data);
    free(path);
    ck_assert_int_eq(make(copy, ""), IL_OK);
    ck_assert_int_eq(il_instance_address(model, &third, &err), IL_OK);
    ck_assert_str_ne(second, third);
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
    ck_assert_msg(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, 0, &err) ==
                      IL_OK,
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
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, dtype, 0, &err),
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
    static const char *const kinds[] = {"gpt2", "neox", "llama", "gpt2", "llama"};
    static const char *const targets[] = {
        "lora_targets: \"c_attn c_proj, c_fc\"",
        "lora_targets: \"query_key_value dense\"",
        "lora_targets: \"q_proj,k_proj gate_proj\"",
        "lora_scale: root",
        "lora_scale: root, lora_targets: \"q_proj o_proj\"",
    };
    const char *names = _i == 4 ? ", lora_names: \"style, safety-2\"" : "";
    il_safetensors *file = open_expected(kinds[_i]);
    float *before = malloc(sizeof(float[LOGITS]));
    const char *folder = written();
    char more[256];

    (void)snprintf(more, sizeof more, ", lora_rank: 2, lora_alpha: 3, %s%s",
                   targets[_i], names);
    open_model(kinds[_i], more);
    for (size_t i = 0; i < model->store->count; i++) {
        for (int64_t k = 0; k < model->store->items[i].count &&
                            strncmp(model->store->items[i].group, "lora", 4) == 0;
             k++) {
            values[i][k] += 0.1f * (float)((k + (int64_t)i) % 7 - 3);
        }
    }
    keep_logits(before, file);
    ck_assert_int_ne(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, 0, &err),
                     IL_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "it has adapters"));
    err = (il_error){0};
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_ADAPTERS, f32, 0, &err),
                     IL_OK);
    teardown();
    setup();
    (void)snprintf(more, sizeof more, ", adapter: \"%s\"%s", folder, names);
    open_model(kinds[_i], more);
    forward(file);
    ck_assert_mem_eq(before, il_f32(il_pass_output(pass, "logits")),
                     sizeof(float[LOGITS]));
    /* and merged they are the same model, but for rounding */
    ck_assert_int_eq(il_folder_remove(folder, &err), IL_OK);
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MERGED, f32, 0, &err),
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

START_TEST(every_named_adapter_is_a_group_and_learns_by_itself)
{
    il_safetensors *file = open_expected("llama");
    float seeds[BATCH * T];
    const float *seed = seeds;
    il_tensor *rows;
    size_t reached = 0;

    open_model("llama", ", lora_rank: 2, lora_names: \"style safety\"");
    for (size_t i = 0; i < model->store->count; i++) {
        const il_stored *p = &model->store->items[i];

        ck_assert((strstr(p->name, ".lora_A.style.weight") != NULL ||
                   strstr(p->name, ".lora_B.style.weight") != NULL) ==
                  (strcmp(p->group, "lora.style") == 0));
        if (strcmp(p->group, "lora.style") != 0) {
            il_bits_unset(route, i);
        }
        for (int64_t k = 0; k < p->count && strncmp(p->group, "lora", 4) == 0; k++) {
            values[i][k] += 0.01f * (float)(k % 5 + 1);
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
        const bool own = strcmp(p->group, "lora.style") == 0;

        ck_assert_msg((largest(grads[i], p->count) > 0.0) == own, "%s", p->name);
        reached += own;
    }
    ck_assert_uint_eq(reached, 8);
    il_safetensors_close(file);
}
END_TEST

START_TEST(nothing_stands_where_writing_failed)
{
    const char *folder = written();

    open_model("gpt2", "");
    values[3][0] = 1e6f;
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, f16, 0, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "f16 cannot hold 1e+06"));
    ck_assert_int_eq(rmdir(copy), 0); /* it is empty */
    ck_assert_int_eq(il_folder_make(folder, &err), IL_OK);
    err = (il_error){0};
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_MODEL, f32, 0, &err),
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
    tcase_add_test(t, floats_are_read_where_they_are_mapped_and_the_file_never_changes);
    tcase_add_test(t, between_the_tensors_of_a_mapped_file_there_are_zeros);
    tcase_add_test(t, an_address_follows_every_byte_of_the_folder);
    tcase_add_loop_test(t, new_adapters_change_no_bit_of_the_logits, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(t, a_route_to_the_adapters_moves_nothing_else);
    tcase_add_loop_test(t, a_folder_that_was_written_has_the_same_logits_to_the_bit, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, half_width_numbers_are_the_nearest, 0, 2);
    tcase_add_loop_test(t, adapters_go_out_and_come_back, 0, 5);
    tcase_add_test(t, every_named_adapter_is_a_group_and_learns_by_itself);
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
