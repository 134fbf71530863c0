/* Folders of Hugging Face's that cannot be right: each is refused with its place and
 * its reason, and no model is left. */
#include "exchange/folder.h"
#include "plugins/hf_copy.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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
    {.name = "a tensor in two files",
     .from = "llama",
     .file = SECOND,
     .what = "\"model.layers.1.mlp.down_proj.weight\"",
     .with = "\"model.layers.0.mlp.down_proj.weight\"",
     .says = "tensor 'model.layers.0.mlp.down_proj.weight' stands in "
             "'model-00001-of-00002.safetensors' and in "
             "'model-00002-of-00002.safetensors'"},
    {.name = "a folder for an index",
     .from = "llama",
     .file = INDEX,
     .what = "\"model-00001-of-00002.safetensors",
     .with = "\"..\", \"x\": \"",
     .says = "expected the name of a .safetensors file in this folder, got '..'"},
    {.name = "rotary positions that are a word",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_parameters\": {",
     .with = "\"rope_parameters\": \"llama3\", \"x\": {",
     .says = "rope_parameters: expected an object, got 'llama3'"},
    {.name = "rotary positions that are a list",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_parameters\": {",
     .with = "\"rope_parameters\": [4], \"x\": {",
     .says = "rope_parameters: expected one object for all layers"},
    {.name = "rotary positions of each kind of layer",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_parameters\": {",
     .with = "\"rope_parameters\": {\"full_attention\": {}, ",
     .says = "rope_parameters: expected one object for all layers"},
    {.name = "a kind of rotary positions that is a number",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_type\": \"llama3\"",
     .with = "\"rope_type\": 3",
     .says = "rope_parameters.rope_type: expected the name of a kind, got 3"},
    {.name = "a base of nothing",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rope_theta\": 500.0",
     .with = "\"rope_theta\": 0.0",
     .says = "expected a base above 1"},
    {.name = "rates that are not finite",
     .from = "llama3",
     .file = "config.json",
     .what = "\"factor\": 8.0",
     .with = "\"factor\": 1e-300",
     .says = "rope_parameters: expected finite rates"},
    {.name = "an epsilon of nothing",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rms_norm_eps\": 1e-06",
     .with = "\"rms_norm_eps\": 0",
     .says = "epsilon: expected a number above 0 and at most 1, got 0"},
    {.name = "an epsilon above all numbers",
     .from = "llama3",
     .file = "config.json",
     .what = "\"rms_norm_eps\": 1e-06",
     .with = "\"rms_norm_eps\": 1e39",
     .says = "epsilon: expected a number above 0 and at most 1, got inf"},
    {.name = "no heads",
     .from = "llama3",
     .file = "config.json",
     .what = "\"num_attention_heads\": 4",
     .with = "\"num_attention_heads\": 0",
     .says = "num_attention_heads: expected a whole number from 1 to 4096, got 0"},
    {.name = "half a head",
     .from = "llama3",
     .file = "config.json",
     .what = "\"num_attention_heads\": 4",
     .with = "\"num_attention_heads\": 4.5",
     .says = "num_attention_heads: expected a whole number from 1 to 4096, got 4.5"},
    {.name = "more tokens than rows of the embedding",
     .from = "llama3",
     .file = "config.json",
     .what = "\"vocab_size\": 41",
     .with = "\"vocab_size\": 43",
     .says = "expected the shape (43, 16), got (41, 16)"},
    {.name = "a switch that is a word",
     .from = "llama3",
     .file = "config.json",
     .what = "\"tie_word_embeddings\": false",
     .with = "\"tie_word_embeddings\": \"no\"",
     .says = "tie_word_embeddings: expected true or false, got 'no'"},
    {.name = "weights that stand for others",
     .from = "llama3",
     .file = "config.json",
     .what = "{",
     .with = "{\"quantization_config\": {\"bits\": 4}, ",
     .says = "quantization_config: expected nothing there"},
    {.name = "windows from a block of no number on",
     .from = "qwen2",
     .file = "config.json",
     .what = "\"max_window_layers\": ",
     .with = "\"max_window_layers\": 0.5, \"x\": ",
     .says = "max_window_layers: expected a whole number, got 0.5"},
    {.name = "scores that are not scaled",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"scale_attn_weights\": true",
     .with = "\"scale_attn_weights\": false",
     .says = "scale_attn_weights: expected true, false is not known here"},
    {.name = "scores that are scaled by their block",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"scale_attn_by_inverse_layer_idx\": false",
     .with = "\"scale_attn_by_inverse_layer_idx\": true",
     .says = "scale_attn_by_inverse_layer_idx: expected false"},
    {.name = "a decoder that reads an encoder",
     .from = "gpt2",
     .file = "config.json",
     .what = "\"add_cross_attention\": false",
     .with = "\"add_cross_attention\": true",
     .says = "add_cross_attention: expected false"},
    {.name = "an encoder",
     .from = "gpt2",
     .file = "config.json",
     .what = "{",
     .with = "{\"is_encoder_decoder\": true, ",
     .says = "is_encoder_decoder: expected false"},
    {.name = "adapters of its own, and new ones",
     .from = "gpt2",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", lora_rank: 2, adapter: \"/tmp\"",
     .says = "expected `adapter` or `lora_rank`, got both"},
    {.name = "two adapters of one name",
     .from = "llama",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", lora_rank: 2, lora_names: a b a",
     .says = "lora_names: 'a' stands there twice"},
    {.name = "an adapter whose name is a way",
     .from = "llama",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", lora_rank: 2, lora_names: ../a",
     .says = "lora_names: expected at most 8 names of letters, digits, _ and -"},
    {.name = "names of no adapters",
     .from = "llama",
     .file = "config.json",
     .what = "{",
     .with = "{ ",
     .params = ", lora_names: a",
     .says = "lora_names: expected lora_rank or adapter beside it"},
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

/* What cannot be a file of a folder: opening it neither waits nor reads without end. */
START_TEST(what_is_no_plain_file_is_refused_at_once)
{
    static const char *const files[] = {"config.json", "model.safetensors"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path;

        copy_case("gpt2");
        path = il_path_join(copy, files[i]);
        ck_assert_int_eq(unlink(path), 0);
        switch (_i) {
        case 0:
            ck_assert_int_eq(mkdir(path, 0777), 0);
            break;
        case 1:
            ck_assert_int_eq(mkfifo(path, 0666), 0);
            break;
        case 2:
            ck_assert_int_eq(symlink(path, path), 0);
            break;
        case 3:
            ck_assert_int_eq(symlink("/dev/zero", path), 0);
            break;
        case 4:
            ck_assert_int_eq(symlink("/etc/passwd", path), 0);
            break;
        }
        err = (il_error){0};
        ck_assert_msg(make(copy, "") != IL_OK, "%s is taken", files[i]);
        ck_assert_msg(strstr(err.message, copy) != NULL, "%s", err.message);
        ck_assert_ptr_null(model);
        ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
        free(path);
    }
}
END_TEST

static const struct {
    const char *file;
    const char *what;
    const char *with;
    const char *says;
} adapters[] = {
    {"adapter_config.json", "\"LORA\"", "\"IA3\"",
     "peft_type: expected LORA, got 'IA3'"},
    {"adapter_config.json", "\"r\": 2", "\"r\": 3",
     "expected the shape (3, 16), got (2, 16)"},
    {"adapter_config.json", "\"r\": 2", "\"r\": 0",
     "r: expected a whole number from 1 to 65536, got 0"},
    {"adapter_config.json", "\"lora_alpha\": 8", "\"lora_alpha\": \"8\"",
     "lora_alpha: expected a number within 1e6 of 0, got '8'"},
    {"adapter_config.json", "\"lora_alpha\": 8", "\"lora_alpha\": 1e300",
     "lora_alpha: expected a number within 1e6 of 0, got 1e+300"},
    {"adapter_config.json", "\"bias\": \"none\"", "\"bias\": \"all\"",
     "bias: expected none, got 'all'"},
    {"adapter_config.json", "\"bias\": \"none\"", "\"bias\": 0",
     "bias: expected none, got 0"},
    {"adapter_config.json", "{", "{\"use_dora\": true, ",
     "use_dora: expected nothing there"},
    {"adapter_config.json", "\"use_rslora\": false", "\"use_rslora\": 1",
     "use_rslora: expected true or false, got 1"},
    {"adapter_config.json", "{", "{\"rank_pattern\": {\"q_proj\": 4}, ",
     "rank_pattern: expected nothing there"},
    {"adapter_config.json", "{", "{\"modules_to_save\": [\"lm_head\"], ",
     "modules_to_save: expected nothing there"},
    {"adapter_config.json", "{", "{\"init_lora_weights\": \"pissa_niter_4\", ",
     "init_lora_weights: 'pissa_niter_4' changes the weights beside the adapters"},
    {"adapter_config.json", "\"c_attn\"", "\"c_attn\", 7",
     "target_modules: expected a list of modules' names"},
    {"adapter_config.json", "\"c_attn\"", "\"c_attn\", \"c_fc\"",
     "has no tensor 'base_model.model.transformer.h.0.mlp.c_fc.lora_A.weight'"},
    {"adapter_config.json", "\"c_proj\"", "\"c_attn\"",
     "expected two tensors for each of 2 matrices, got 12 tensors"},
    {"adapter_config.json", "\"target_modules\"", "\"layers\"",
     "target_modules: expected a list of modules' names"},
    {"adapter_model.safetensors", "h.1.attn.c_attn.lora_B", "h.7.attn.c_attn.lora_B",
     "has no tensor 'base_model.model.transformer.h.1.attn.c_attn.lora_B.weight'"},
    {"adapter_model.safetensors", "\"F32\"", "\"I32\"",
     "expected values of f32, f16 or bf16; got int32"}};

START_TEST(adapters_that_cannot_be_right_are_refused_with_the_reason)
{
    char base[600];
    char folder[128];
    char more[256];
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};

    (void)snprintf(base, sizeof base, "%s/gpt2", fixtures());
    ck_assert_msg(make(base, ", lora_rank: 2, lora_alpha: 8, "
                             "lora_targets: c_attn c_proj") == IL_OK,
                  "%s", err.message);
    strcpy(copy, "/tmp/interloop-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy));
    (void)snprintf(folder, sizeof folder, "%s/adapters", copy);
    ck_assert_int_eq(il_folder_write(model, folder, IL_FOLDER_ADAPTERS, f32, 0, &err),
                     IL_OK);
    il_instance_destroy(model);
    model = NULL;
    (void)snprintf(more, sizeof more, "adapters/%s", adapters[_i].file);
    change(more, adapters[_i].what, adapters[_i].with);
    (void)snprintf(more, sizeof more, ", adapter: \"%s\"", folder);
    ck_assert_msg(make(base, more) != IL_OK, "%s is taken", adapters[_i].with);
    ck_assert_msg(strstr(err.message, adapters[_i].says) != NULL, "%s: %s",
                  adapters[_i].with, err.message);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hf_refused");
    TCase *t = tcase_create("folders");

    tcase_add_checked_fixture(t, hf_open, hf_close);
    tcase_add_loop_test(t, a_folder_that_cannot_be_right_is_refused_with_the_reason, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_loop_test(t, what_is_no_plain_file_is_refused_at_once, 0, 5);
    tcase_add_loop_test(t, adapters_that_cannot_be_right_are_refused_with_the_reason, 0,
                        sizeof adapters / sizeof adapters[0]);
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
