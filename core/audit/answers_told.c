#include "audit/answers_told.h"

#include <stdlib.h>
#include <string.h>
#include "episode/written.h"
#include "interloop/abi.h"
#include "pipeline/batch.h"
#include "pipeline/fields.h"

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "answers", "out of memory");
}

/* The prompt of a row by itself: the same tokens up to it, and padding. */
static il_status prompt_alone(const il_batch *batch, int64_t row, int32_t pad,
                              il_batch *out, il_error *err)
{
    const il_tensor *tokens = il_batch_find(batch, "tokens");
    const int64_t length = il_width(tokens);
    const int32_t count = il_i32(il_batch_find(batch, "prompt"))[row];
    int32_t *to;
    int32_t *lengths;
    int32_t *prompt;

    il_batch_reset(out, 1);
    to = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(1, length));
    lengths = il_batch_add(out, "lengths", IL_I32, IL_SHAPE(1));
    prompt = il_batch_add(out, "prompt", IL_I32, IL_SHAPE(1));
    IL_TRY(il_batch_status(out, err));
    for (int64_t i = 0; i < length; i++) {
        to[i] = i < count ? il_i32(tokens)[row * length + i] : pad;
    }
    *lengths = count;
    *prompt = count;
    return IL_OK;
}

/* How far both go alike, to the end of a character. */
static size_t alike(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] != '\0' && a[n] == b[n]) {
        n++;
    }
    while (n > 0 && ((unsigned char)b[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

/* Text for JSON, without the line's end that closes an episode. */
static json_t *told(const char *text)
{
    size_t size = strlen(text);

    size -= size > 0 && text[size - 1] == '\n';
    return json_stringn(text, size);
}

/* What the environment says of a row: rewards as sums, labels as 0 or 1. */
static void add_verdict(json_t *to, const il_instance *e, const il_batch *batch,
                        int64_t row)
{
    json_t *rewards = json_object();
    json_t *labels = json_object();
    int32_t count = 0;
    const il_field *fields = il_instance_fields(e, &count);

    for (int32_t i = 0; i < count; i++) {
        const il_tensor *t = il_batch_find(batch, fields[i].name);
        double sum = 0;

        if (t == NULL) {
            continue;
        }
        if (fields[i].role == IL_FIELD_REWARD) {
            for (int64_t k = 0; k < il_width(t); k++) {
                sum += (double)il_f32(t)[row * il_width(t) + k];
            }
            json_object_set_new(rewards, fields[i].name, json_real(sum));
        } else if (fields[i].role == IL_FIELD_LABEL && t->ndim == 1) {
            json_object_set_new(labels, fields[i].name, json_integer(il_u8(t)[row]));
        }
    }
    json_object_set_new(to, "rewards", rewards);
    json_object_set_new(to, "labels", labels);
}

static il_status tell(json_t *list, const il_instance *e, const il_batch *batch,
                      int64_t row, il_batch *alone, il_error *err)
{
    il_text whole = {0};
    il_text prompt = {0};
    json_t *one = json_object();
    il_status status = prompt_alone(batch, row, e->shape.pad, alone, err);

    if (status == IL_OK) {
        il_episode_text(&whole, e, batch, row);
        il_episode_text(&prompt, e, alone, 0);
        if (whole.failed || prompt.failed || whole.data == NULL ||
            prompt.data == NULL || one == NULL) {
            status = no_memory(err);
        }
    }
    if (status == IL_OK) {
        prompt.size -= prompt.size > 0 && prompt.data[prompt.size - 1] == '\n' &&
                       whole.data[prompt.size - 1] != '\n';
        prompt.data[prompt.size] = '\0';
        json_object_set_new(one, "answer",
                            told(whole.data + alike(prompt.data, whole.data)));
        json_object_set_new(one, "prompt", told(prompt.data));
        add_verdict(one, e, batch, row);
        json_array_append(list, one);
    }
    json_decref(one);
    il_text_free(&whole);
    il_text_free(&prompt);
    return status;
}

json_t *il_answers_told(const il_recorded *answers, int64_t count, il_error *err)
{
    const il_instance *e = il_recorded_environment(answers);
    json_t *list = json_array();
    il_batch *alone = NULL;
    il_status status = list == NULL ? no_memory(err) : il_batch_create(&alone, err);

    if (!IL_HAS(il_instance_environment(e), text)) {
        status = status == IL_OK ? IL_ERR_UNSUPPORTED : status;
    }
    for (size_t i = 0; status == IL_OK && i < il_recorded_chunks(answers); i++) {
        int64_t first = 0;
        const il_batch *batch = il_recorded_chunk(answers, i, &first);

        for (int64_t b = 0;
             status == IL_OK && b < il_batch_rows(batch) && first + b < count; b++) {
            status = tell(list, e, batch, b, alone, err);
        }
    }
    il_batch_destroy(alone);
    if (status != IL_OK) {
        json_decref(list);
        return NULL;
    }
    return list;
}
