/* Folders as older versions of `transformers` saved them, which is how most that are
 * passed around look: rotary settings under other names, tensors without the base's
 * name in front, masks and tables among them. They are the same models, to the bit. */
#include "exchange/folder.h"
#include "plugins/hf_copy.h"
#include "plugins/hf_model.h"
#include <check.h>
#include <jansson.h>
#include <string.h>
#include "formats/safetensors.h"

enum { LOGITS = BATCH * T * VOCABULARY, EXTRAS = 12 };

static json_t *config_read(void)
{
    char *path = il_path_join(copy, "config.json");
    json_t *config = json_load_file(path, 0, NULL);

    ck_assert_ptr_nonnull(config);
    free(path);
    return config;
}

static void config_write(json_t *config)
{
    char *path = il_path_join(copy, "config.json");

    ck_assert_int_eq(json_dump_file(config, path, JSON_INDENT(2)), 0);
    json_decref(config);
    free(path);
}

static void move(json_t *from, const char *name, json_t *to, const char *as)
{
    json_t *value = json_object_get(from, name);

    if (value != NULL) {
        json_object_set(to, as, value);
        json_object_del(from, name);
    }
}

/* What the present fixtures leave at its default is changed first, so that it is seen
 * to be read. */
static void settings_change(const char *kind)
{
    json_t *config = config_read();
    json_t *rotary = json_object_get(config, "rope_parameters");

    if (rotary != NULL) {
        json_object_set_new(rotary, "rope_theta", json_real(77.0));
    }
    if (strncmp(kind, "neox", 4) == 0) {
        json_object_set_new(rotary, "partial_rotary_factor", json_real(0.5));
    }
    config_write(config);
}

/* The same settings where they used to be. */
static void settings_age(const char *kind)
{
    const bool neox = strncmp(kind, "neox", 4) == 0;
    json_t *config = config_read();
    json_t *rotary = json_object_get(config, "rope_parameters");
    const char *type;

    move(config, "dtype", config, "torch_dtype");
    if (rotary == NULL) {
        config_write(config);
        return;
    }
    move(rotary, "rope_theta", config, neox ? "rotary_emb_base" : "rope_theta");
    move(rotary, "partial_rotary_factor", config, "rotary_pct");
    type = json_string_value(json_object_get(rotary, "rope_type"));
    if (strcmp(type, "default") == 0) {
        json_object_set_new(config, "rope_scaling", json_null());
    } else {
        if (strcmp(type, "llama3") != 0) { /* the one that never had another name */
            move(rotary, "rope_type", rotary, "type");
        }
        json_object_set(config, "rope_scaling", rotary);
    }
    json_object_del(config, "rope_parameters");
    config_write(config);
}

/* The tensors without the base's name, and what used to lie among them. */
static void weights_age(const char *kind)
{
    static const float numbers[64];
    static const char *const extras[][3] = {
        {"gpt2", "h.%d.attn.bias", "h.%d.attn.masked_bias"},
        {"neox", "layers.%d.attention.bias", "layers.%d.attention.masked_bias"},
        {"neox", "layers.%d.attention.rotary_emb.inv_freq", NULL},
        {"llama", "layers.%d.self_attn.rotary_emb.inv_freq", NULL}};
    const size_t base = strncmp(kind, "gpt2", 4) == 0   ? strlen("transformer.")
                        : strncmp(kind, "neox", 4) == 0 ? strlen("gpt_neox.")
                                                        : strlen("model.");
    char *path = il_path_join(copy, "model.safetensors");
    char *out = il_path_join(copy, "aged.safetensors");
    char names[EXTRAS][96];
    il_safetensors *file = NULL;
    il_safetensor *tensors;
    size_t n;

    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
    n = il_safetensors_count(file);
    tensors = calloc(n + EXTRAS, sizeof *tensors);
    for (size_t i = 0; i < n; i++) {
        tensors[i] = *il_safetensors_at(file, i);
        if (strncmp(tensors[i].name, "lm_head", 7) != 0 &&
            strncmp(tensors[i].name, "embed_out", 9) != 0) {
            tensors[i].name += base;
        }
    }
    for (size_t e = 0, used = 0; e < sizeof extras / sizeof extras[0]; e++) {
        for (int block = 0; block < 2; block++) {
            for (int k = 1; k < 3 && strncmp(kind, extras[e][0], 4) == 0; k++) {
                if (extras[e][k] == NULL) {
                    continue;
                }
                (void)snprintf(names[used], sizeof names[used], extras[e][k], block);
                tensors[n++] = (il_safetensor){.name = names[used++],
                                               .dtype = {IL_CODE_FLOAT, 32, 1},
                                               .ndim = 4,
                                               .shape = {1, 1, 8, 8},
                                               .data = numbers,
                                               .bytes = sizeof numbers};
            }
        }
    }
    ck_assert_msg(il_safetensors_write(out, tensors, n, NULL, 0, &err) == IL_OK, "%s",
                  err.message);
    il_safetensors_close(file);
    ck_assert_int_eq(rename(out, path), 0);
    free(tensors);
    free(path);
    free(out);
}

START_TEST(an_older_folder_is_the_same_model)
{
    const char *name = cases[_i];
    il_safetensors *file = open_expected(name);
    float *plain = malloc(sizeof(float[LOGITS]));
    const bool sharded = strcmp(name, "llama") == 0 || strcmp(name, "mistral") == 0;

    copy_case(name);
    settings_change(name);
    open_folder(copy, "");
    forward(file);
    memcpy(plain, il_f32(il_pass_output(pass, "logits")), sizeof(float[LOGITS]));
    model_close();
    hf_open();
    settings_age(name);
    if (!sharded) {
        weights_age(name);
    }
    open_folder(copy, "");
    forward(file);
    ck_assert_mem_eq(plain, il_f32(il_pass_output(pass, "logits")),
                     sizeof(float[LOGITS]));
    /* and that the settings count at all */
    if (strncmp(name, "gpt2", 4) != 0) {
        ck_assert_double_gt(
            apart(plain, expected(file, "logits", sizeof(float[LOGITS])), LOGITS),
            1e-3);
    }
    free(plain);
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

/* What is written keeps the folder's own word for its type, and what lay beside. */
START_TEST(an_older_folder_is_written_as_it_was)
{
    const il_dtype bf16 = {IL_CODE_BFLOAT, 16, 1};
    char *beside;
    char out[96];

    copy_case("gpt2");
    settings_age("gpt2");
    beside = il_path_join(copy, "tokenizer.json");
    ck_assert_int_eq(il_file_write(beside, "{}", 2, &err), IL_OK);
    free(beside);
    open_folder(copy, "");
    (void)snprintf(out, sizeof out, "%s/out", copy);
    ck_assert_msg(il_folder_write(model, out, IL_FOLDER_MODEL, bf16, 0, &err) == IL_OK,
                  "%s", err.message);
    change("out/config.json", "\"torch_dtype\": \"bfloat16\"", "\"\": \"\"");
    change("out/tokenizer.json", "{}", "{ }");
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

/* The logits of a copy of Qwen2, whose second block sees a window alone, with a change
 * to how it says so. */
static double apart_by_windows(const char *what, const char *with, bool listed)
{
    il_safetensors *file = open_expected("qwen2");
    json_t *config;
    double by;

    copy_case("qwen2");
    change("config.json", what, with);
    config = config_read();
    if (!listed) {
        json_object_del(config, "layer_types");
    }
    config_write(config);
    open_folder(copy, "");
    forward(file);
    by = apart(il_f32(il_pass_output(pass, "logits")),
               expected(file, "logits", sizeof(float[LOGITS])), LOGITS);
    model_close();
    hf_open();
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
    return by;
}

START_TEST(without_a_list_the_last_blocks_have_windows)
{
    static const char first[] = "\"max_window_layers\": 1";
    static const char used[] = "\"use_sliding_window\": true";

    ck_assert_double_lt(apart_by_windows(first, first, true), 1e-4);
    ck_assert_double_lt(apart_by_windows(first, first, false), 1e-4);
    ck_assert_double_gt(apart_by_windows(first, "\"max_window_layers\": 0", false),
                        1e-3);
    ck_assert_double_gt(apart_by_windows(first, "\"max_window_layers\": 2", false),
                        1e-3);
    ck_assert_double_gt(apart_by_windows(used, "\"use_sliding_window\": false", false),
                        1e-3);
}
END_TEST

/* Only the way down is drawn, so that an adapter adds nothing and yet can learn. */
START_TEST(new_adapters_can_learn_and_add_nothing)
{
    open_model("llama3", ", lora_rank: 2");
    for (size_t i = 0; i < model->store->count; i++) {
        const il_stored *p = &model->store->items[i];
        const bool down = strstr(p->name, "lora_A") != NULL;

        if (strstr(p->name, "lora_") != NULL) {
            ck_assert_msg((largest(values[i], p->count) > 0.0) == down, "%s", p->name);
        }
    }
}
END_TEST

/* A hidden layer of another kind is another model, and the one that it says. */
START_TEST(relu_leaves_nothing_below_zero)
{
    il_safetensors *file = open_expected("gpt2");
    il_tensor *post;
    int64_t at;
    int64_t zeros = 0;
    int64_t count;

    copy_case("gpt2");
    change("config.json", "\"gelu_new\"", "\"relu\"");
    open_folder(copy, "");
    at = il_instance_site(model, "blocks.0.mlp.hook_post");
    ck_assert_int_eq(il_pass_site_flag(pass, (int32_t)at, IL_SITE_READ, &err), IL_OK);
    forward(file);
    post = il_pass_site(pass, (int32_t)at);
    count = BATCH * T * model->sites[at].width;
    for (int64_t i = 0; i < count; i++) {
        ck_assert_float_ge(il_f32(post)[i], 0.0f);
        zeros += il_f32(post)[i] == 0.0f;
    }
    ck_assert_int_gt(zeros, count / 10);
    ck_assert_int_lt(zeros, count);
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

/* A tied head that was saved all the same is left aside; an untied one has its place.
 */
START_TEST(a_flag_says_whether_the_head_is_the_embedding)
{
    il_safetensors *file = open_expected("llama3");

    open_model("llama3", "");
    ck_assert_int_ge(il_store_find(model->store, "lm_head.weight"), 0);
    model_close();
    hf_open();
    copy_case("llama3");
    change("config.json", "\"tie_word_embeddings\": false",
           "\"tie_word_embeddings\": true");
    open_folder(copy, "");
    forward(file);
    ck_assert_int_lt(il_store_find(model->store, "lm_head.weight"), 0);
    ck_assert_double_gt(apart(il_f32(il_pass_output(pass, "logits")),
                              expected(file, "logits", sizeof(float[LOGITS])), LOGITS),
                        1e-2);
    ck_assert_double_gt(largest(il_f32(il_pass_output(pass, "logits")), LOGITS), 0.0);
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hf_older");
    TCase *t = tcase_create("folders");

    tcase_add_checked_fixture(t, hf_open, model_close);
    tcase_add_loop_test(t, an_older_folder_is_the_same_model, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_test(t, an_older_folder_is_written_as_it_was);
    tcase_add_test(t, without_a_list_the_last_blocks_have_windows);
    tcase_add_test(t, new_adapters_can_learn_and_add_nothing);
    tcase_add_test(t, relu_leaves_nothing_below_zero);
    tcase_add_test(t, a_flag_says_whether_the_head_is_the_embedding);
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
