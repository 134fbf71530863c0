/* Distances of weights: see ledger_apart.h. */
#include "loop/ledger_apart.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "loop/json.h"
#include "loop/state.h"

static const char prefix[] = "model.";

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* Squared distance of two tensors; negative when they cannot be compared. */
static double squares_between(const il_safetensor *a, const il_safetensor *b)
{
    double sum = 0;

    if (b == NULL || a->bytes != b->bytes || a->dtype.code != IL_CODE_FLOAT ||
        a->dtype.bits != 32) {
        return -1;
    }
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        float x;
        float y;
        double d;

        memcpy(&x, (const char *)a->data + i * sizeof x, sizeof x);
        memcpy(&y, (const char *)b->data + i * sizeof y, sizeof y);
        d = (double)x - y;
        sum += d * d;
    }
    return sum;
}

static bool listed(const json_t *names, const char *name)
{
    size_t i;
    const json_t *x;

    json_array_foreach(names, i, x)
    {
        if (json_is_string(x) && strcmp(json_string_value(x), name) == 0) {
            return true;
        }
    }
    return false;
}

/* The distance of two states of one model, whole, by tensor and by reader. */
static json_t *apart(const il_state *a, const il_state *b, const json_t *readers)
{
    json_t *out = json_object();
    json_t *tensors = json_object();
    json_t *parts = json_object();
    const char *reader;
    json_t *names;
    double all = 0;

    for (size_t i = 0; i < il_safetensors_count(a->file); i++) {
        const il_safetensor *x = il_safetensors_at(a->file, i);
        double squares;

        if (strncmp(x->name, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        squares = squares_between(x, il_safetensors_find(b->file, x->name));
        if (squares >= 0) {
            json_object_set_new(tensors, x->name + sizeof prefix - 1,
                                json_real(sqrt(squares)));
            all += squares;
        }
    }
    json_object_set_new(out, "distance", json_real(sqrt(all)));
    json_object_foreach((json_t *)readers, reader, names)
    {
        const char *tensor;
        json_t *distance;
        double sums[2] = {0, 0};

        json_object_foreach(tensors, tensor, distance)
        {
            double d = json_number_value(distance);

            sums[listed(names, tensor)] += d * d;
        }
        json_object_set_new(
            parts, reader,
            json_pack("{s:f, s:f}", "read", sqrt(sums[1]), "rest", sqrt(sums[0])));
    }
    json_object_set_new(out, "readers", parts);
    json_object_set_new(out, "tensors", tensors);
    return out;
}

/* Sets `key` in a ledger: how far apart two states are. One that is not there, perhaps
 * since nobody needed it any more, is left out. */
static il_status set_apart(const il_run *run, json_t *ledger, const char *key,
                           const char *address, const char *other, const char *variant,
                           il_error *err)
{
    char *folders[2] = {il_state_folder(il_run_root(run), address),
                        il_state_folder(il_run_root(run), other)};
    il_state *states[2] = {NULL, NULL};
    il_status status =
        folders[0] != NULL && folders[1] != NULL ? IL_OK : no_memory(key, err);
    json_t *json = NULL;

    if (status == IL_OK && il_state_exists(folders[0], IL_STATE_RESULT) &&
        il_state_exists(folders[1], IL_STATE_RESULT)) {
        for (int k = 0; k < 2 && status == IL_OK; k++) {
            status = il_state_read(&states[k], folders[k], IL_STATE_RESULT, err);
        }
        if (status == IL_OK) {
            json = apart(states[0], states[1], json_object_get(ledger, "readers"));
            if (variant != NULL) {
                json_object_set_new(json, "variant", json_string(variant));
            }
            json_object_set_new(ledger, key, json);
        }
    }
    for (int k = 0; k < 2; k++) {
        il_state_destroy(states[k]);
        free(folders[k]);
    }
    return status;
}

/* The state of a row's twin, or NULL. */
static const char *twin_of(const il_run *run, const il_run_row *row)
{
    for (size_t i = 0; row->twin != NULL && i < il_run_rows(run); i++) {
        const il_run_row *other = il_run_row_at(run, i);

        if (strcmp(other->stage, row->stage) == 0 &&
            strcmp(other->variant, row->twin) == 0 && other->seed == row->seed) {
            return other->state;
        }
    }
    return NULL;
}

static il_status add_to(const il_run *run, const il_run_row *row, const char *path,
                        il_error *err)
{
    const char *twin = twin_of(run, row);
    json_t *ledger = NULL;
    il_status status = il__json_read(path, &ledger, err);

    if (status == IL_OK && row->parent != NULL) {
        status = set_apart(run, ledger, "moved", row->state, row->parent, NULL, err);
    }
    if (status == IL_OK && twin != NULL) {
        status = set_apart(run, ledger, "twin", row->state, twin, row->twin, err);
    }
    if (status == IL_OK) {
        status = il__json_write(path, ledger, err);
    }
    json_decref(ledger);
    return status;
}

il_status il_ledger_apart(const il_run *run, il_error *err)
{
    il_status status = IL_OK;

    for (size_t i = 0; status == IL_OK && i < il_run_rows(run); i++) {
        const il_run_row *row = il_run_row_at(run, i);
        il_text path = {0};

        il_text_addf(&path, "%s/%s%s%s/seed-%" PRIu64 "/ledger.json",
                     il_run_folder(run), row->stage, row->variant[0] != '\0' ? "/" : "",
                     row->variant, row->seed);
        if (path.failed) {
            status = no_memory("ledger", err);
        } else if (il_file_exists(path.data)) {
            status = add_to(run, row, path.data, err);
        }
        il_text_free(&path);
    }
    return status;
}
