#include "loop/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "base/hash.h"
#include "loop/json.h"

#define METRICS_FILE  "metrics.jsonl"
#define LEDGER_FILE   "ledger.jsonl"
#define HISTOGRAMS    "histograms.jsonl"
#define FINISHED_FILE "finished.json"
#define METRICS_MAX   ((size_t)1 << 31)

/* A file of lines, each with its step. */
typedef struct journal {
    char *path;
    int64_t last; /* step of the last line; -1 before the first */
} journal;

struct il_record {
    char *folder;
    journal metrics;
    journal ledger;
    journal histograms;
};

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

char *il_record_folder(const char *state_folder, const char *key)
{
    char name[IL_HASH_HEX + 16] = "observed/";

    il_hash_bytes(key, strlen(key), name + strlen(name));
    return il_path_join(state_folder, name);
}

/* The step of a line; false when the line is none of ours. */
static bool line_step(const char *line, size_t size, json_t **json, int64_t *step)
{
    const json_t *value;

    if (il__json_parse(line, size, "", json, NULL) != IL_OK) {
        return false;
    }
    value = json_object_get(*json, "step");
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        json_decref(*json);
        return false;
    }
    *step = json_integer_value(value);
    return true;
}

/* How many bytes of a metrics file are whole lines up to `step`; *last is the step of
 * the last of them. Lenient on purpose: a power cut may leave anything after the last
 * sync, and what was synced is what a checkpoint counts on. */
static size_t lines_kept(const char *data, size_t size, int64_t step, int64_t *last)
{
    size_t kept = 0;

    *last = -1;
    while (kept < size) {
        const char *end = memchr(data + kept, '\n', size - kept);
        json_t *json;
        int64_t here;

        if (end == NULL ||
            !line_step(data + kept, (size_t)(end - data) - kept, &json, &here)) {
            break;
        }
        json_decref(json);
        if (here > step || here < *last) {
            break;
        }
        *last = here;
        kept = (size_t)(end - data) + 1;
    }
    return kept;
}

/* Cuts a journal back to `step`. */
static il_status journal_cut(journal *j, int64_t step, il_error *err)
{
    char *data;
    size_t size;
    size_t kept;
    il_status status = IL_OK;

    j->last = -1;
    if (!il_file_exists(j->path)) {
        return IL_OK;
    }
    IL_TRY(il_file_read(j->path, METRICS_MAX, &data, &size, err));
    kept = lines_kept(data, size, step, &j->last);
    if (kept < size) {
        status = il_file_write(j->path, data, kept, err);
    }
    free(data);
    return status;
}

/* Appends a line, which is of `step`. */
static il_status journal_add(journal *j, int64_t step, const il_text *line,
                             il_error *err)
{
    if (step < 0 || step < j->last) {
        return il_error_set(err, IL_ERR_INPUT, j->path,
                            "expected a step from %lld on, got %lld",
                            (long long)(j->last < 0 ? 0 : j->last), (long long)step);
    }
    if (line->failed) {
        return il_error_set(err, IL_ERR_MEMORY, j->path,
                            "out of memory, or a name is no UTF-8");
    }
    IL_TRY(il_file_append(j->path, line->data, line->size, err));
    j->last = step;
    return IL_OK;
}

static il_status journal_sync(const journal *j, il_error *err)
{
    int fd = open(j->path, O_RDONLY | O_CLOEXEC);
    il_status status = IL_OK;

    if (fd < 0 && errno == ENOENT) {
        return IL_OK; /* no line yet */
    }
    if (fd < 0 || fsync(fd) != 0) {
        status =
            il_error_set(err, IL_ERR_IO, j->path, "cannot sync: %s", strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd); /* opened for reading */
    }
    return status;
}

il_status il_record_open(il_record **out, const char *folder, int64_t step,
                         il_error *err)
{
    il_record *r = calloc(1, sizeof *r);
    char *finished = il_path_join(folder, FINISHED_FILE);
    il_status status = IL_OK;

    if (r != NULL) {
        r->folder = il_path_join(folder, "");
        r->metrics.path = il_path_join(folder, METRICS_FILE);
        r->ledger.path = il_path_join(folder, LEDGER_FILE);
        r->histograms.path = il_path_join(folder, HISTOGRAMS);
    }
    if (r == NULL || finished == NULL || r->folder == NULL || r->metrics.path == NULL ||
        r->ledger.path == NULL || r->histograms.path == NULL) {
        status = out_of_memory(err, folder);
        goto out;
    }
    status = il_folder_make(folder, err);
    if (status == IL_OK && unlink(finished) != 0 && errno != ENOENT) {
        status = il_error_set(err, IL_ERR_IO, finished, "cannot remove: %s",
                              strerror(errno));
    }
    if (status == IL_OK) {
        status = journal_cut(&r->metrics, step, err);
    }
    if (status == IL_OK) {
        status = journal_cut(&r->ledger, step, err);
    }
    if (status == IL_OK) {
        status = journal_cut(&r->histograms, step, err);
    }
out:
    free(finished);
    if (status != IL_OK) {
        il_record_close(r);
        return status;
    }
    *out = r;
    return IL_OK;
}

void il_record_close(il_record *r)
{
    if (r == NULL) {
        return;
    }
    free(r->metrics.path);
    free(r->ledger.path);
    free(r->histograms.path);
    free(r->folder);
    free(r);
}

il_status il_record_add(il_record *r, int64_t step, const il_metric *metrics,
                        size_t count, il_error *err)
{
    il_text line = {0};
    il_status status;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(metrics[i].name, "step") == 0) {
            return il_error_set(err, IL_ERR_INPUT, r->metrics.path,
                                "no metric may be named 'step'");
        }
    }
    il_text_addf(&line, "{\"step\": %lld", (long long)step);
    il__json_add_metrics(&line, metrics, count, false);
    il_text_add(&line, "}\n");
    status = journal_add(&r->metrics, step, &line, err);
    il_text_free(&line);
    return status;
}

il_status il_record_ledger(il_record *r, int64_t step, const il_text *line,
                           il_error *err)
{
    return journal_add(&r->ledger, step, line, err);
}

const char *il_record_ledger_path(const il_record *r)
{
    return r->ledger.path;
}

static void add_number(il_text *line, const char *before, double value)
{
    char text[32];

    il_format_real(value, text);
    il_text_add(line, before);
    il_text_add(line, text);
}

il_status il_record_histogram(il_record *r, int64_t step, const char *tag,
                              const il_histogram *h, il_error *err)
{
    il_text line = {0};
    il_status status;

    if (h->count == 0) {
        return IL_OK;
    }
    il_text_addf(&line, "{\"step\": %lld, \"tag\": ", (long long)step);
    il__json_add_string(&line, tag);
    add_number(&line, ", \"min\": ", h->min);
    add_number(&line, ", \"max\": ", h->max);
    add_number(&line, ", \"num\": ", h->num);
    add_number(&line, ", \"sum\": ", h->sum);
    add_number(&line, ", \"sum_squares\": ", h->sum_squares);
    il_text_add(&line, ", \"limits\": [");
    for (size_t b = 0; b < h->count; b++) {
        add_number(&line, b > 0 ? ", " : "", h->limits[b]);
    }
    il_text_add(&line, "], \"counts\": [");
    for (size_t b = 0; b < h->count; b++) {
        add_number(&line, b > 0 ? ", " : "", h->counts[b]);
    }
    il_text_add(&line, "]}\n");
    status = journal_add(&r->histograms, step, &line, err);
    il_text_free(&line);
    return status;
}

bool il_record_histogram_of(const json_t *line, il_histogram *h, const char **tag)
{
    const json_t *limits = json_object_get(line, "limits");
    const json_t *counts = json_object_get(line, "counts");

    memset(h, 0, sizeof *h);
    *tag = json_string_value(json_object_get(line, "tag"));
    h->min = json_number_value(json_object_get(line, "min"));
    h->max = json_number_value(json_object_get(line, "max"));
    h->num = json_number_value(json_object_get(line, "num"));
    h->sum = json_number_value(json_object_get(line, "sum"));
    h->sum_squares = json_number_value(json_object_get(line, "sum_squares"));
    h->count = json_array_size(limits);
    if (*tag == NULL || h->count > IL_HISTOGRAM_BINS ||
        json_array_size(counts) != h->count) {
        return false;
    }
    for (size_t b = 0; b < h->count; b++) {
        h->limits[b] = json_number_value(json_array_get(limits, b));
        h->counts[b] = json_number_value(json_array_get(counts, b));
    }
    return true;
}

il_status il_record_sync(il_record *r, il_error *err)
{
    IL_TRY(journal_sync(&r->metrics, err));
    IL_TRY(journal_sync(&r->ledger, err));
    return journal_sync(&r->histograms, err);
}

il_status il_record_json(il_record *r, const char *name, const json_t *json,
                         il_error *err)
{
    char *path;
    il_status status;

    IL_TRY(il__name_check(r->folder, name, err));
    path = il_path_join(r->folder, name);
    if (path == NULL) {
        return out_of_memory(err, r->folder);
    }
    status = il__json_write(path, json, err);
    free(path);
    return status;
}

il_status il_record_finish(il_record *r, const il_metric *metrics, size_t count,
                           il_error *err)
{
    char *path = il_path_join(r->folder, FINISHED_FILE);
    il_text text = {0};
    il_status status;

    if (path == NULL) {
        return out_of_memory(err, r->folder);
    }
    il_text_add(&text, "{");
    il__json_add_metrics(&text, metrics, count, true);
    il_text_add(&text, "}\n");
    status = il_record_sync(r, err);
    if (status == IL_OK) {
        status = il__text_write(path, &text, err);
    }
    il_text_free(&text);
    free(path);
    return status;
}

il_status il_record_finished(const char *folder, json_t **out, il_error *err)
{
    char *path = il_path_join(folder, FINISHED_FILE);
    il_status status = IL_OK;

    if (path == NULL) {
        return out_of_memory(err, folder);
    }
    if (il_file_exists(path)) {
        status = il__json_read(path, out, err);
    } else {
        *out = NULL;
    }
    free(path);
    return status;
}

il_status il_record_read(const char *path,
                         il_status (*visit)(void *user, int64_t step,
                                            const json_t *line, il_error *err),
                         void *user, il_error *err)
{
    char *data;
    size_t size;
    size_t used = 0;
    int64_t number = 0;
    const char *end;
    il_status status = IL_OK;

    IL_TRY(il_file_read(path, METRICS_MAX, &data, &size, err));
    while (status == IL_OK && (end = memchr(data + used, '\n', size - used)) != NULL) {
        json_t *json;
        int64_t step;

        number++;
        if (!line_step(data + used, (size_t)(end - data) - used, &json, &step)) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "line %lld: expected an object with a whole number "
                                  "'step'",
                                  (long long)number);
            break;
        }
        status = visit(user, step, json, err);
        json_decref(json);
        used = (size_t)(end - data) + 1;
    }
    free(data);
    return status;
}
