/* The folder of a job in a run's folder. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "formats/tfevents.h"
#include "loop/json.h"
#include "loop/run_private.h"

enum { EVENTS_FLUSH_SECONDS = 5, RECORD_FILE_MAX = 1 << 30 };

struct il_run_job {
    il_arena *arena;
    const char *folder;
    const char *events_path;
    const char *up; /* from the folder to RUNS */
    il_tfevents *events;
    double flushed; /* wall time of the last flush */
};

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

il_status il_run_job_open(il_run_job **out, il_run *r, const char *stage,
                          const char *variant, uint64_t seed, il_error *err)
{
    bool has_variant = variant != NULL && variant[0] != '\0';
    il_arena *arena;
    il_run_job *j;
    il_status status;

    IL_TRY(il__name_check("the stage's name", stage, err));
    if (has_variant) {
        IL_TRY(il__name_check("the variant's name", variant, err));
    }
    arena = il_arena_create(1 << 12);
    j = arena != NULL ? il_arena_calloc(arena, 1, sizeof *j) : NULL;
    if (j == NULL) {
        il_arena_destroy(arena);
        return out_of_memory(err, stage);
    }
    j->arena = arena;
    j->up = has_variant ? "../../../.." : "../../..";
    j->folder =
        il_arena_printf(arena, "%s/%s%s%s/seed-%" PRIu64, r->folder, stage,
                        has_variant ? "/" : "", has_variant ? variant : "", seed);
    j->events_path =
        j->folder != NULL
            ? il_arena_printf(arena, "%s/events.out.tfevents.interloop", j->folder)
            : NULL;
    status = j->events_path != NULL ? il_folder_make(j->folder, err)
                                    : out_of_memory(err, stage);
    if (status != IL_OK) {
        il_arena_destroy(arena);
        return status;
    }
    *out = j;
    return IL_OK;
}

il_status il_run_job_close(il_run_job *j, il_error *err)
{
    il_status status;

    if (j == NULL) {
        return IL_OK;
    }
    status = il_tfevents_close(j->events, err);
    il_arena_destroy(j->arena);
    return status;
}

const char *il_run_job_folder(const il_run_job *j)
{
    return j->folder;
}

/* Opens the events for points from `step` on. */
static il_status events_open(il_run_job *j, double wall_time, int64_t step,
                             il_error *err)
{
    if (j->events == NULL) {
        IL_TRY(il_tfevents_open(&j->events, j->events_path, step, wall_time, err));
        j->flushed = wall_time;
    }
    return IL_OK;
}

il_status il_run_job_point(il_run_job *j, double wall_time, int64_t step,
                           const il_metric *metrics, size_t count, il_error *err)
{
    IL_TRY(events_open(j, wall_time, step, err));
    for (size_t i = 0; i < count; i++) {
        if (isfinite(metrics[i].value)) {
            IL_TRY(il_tfevents_add(j->events, wall_time, step, metrics[i].name,
                                   (float)metrics[i].value, err));
        }
    }
    if (wall_time - j->flushed >= EVENTS_FLUSH_SECONDS) {
        j->flushed = wall_time;
        return il_tfevents_flush(j->events, err);
    }
    return IL_OK;
}

il_status il_run_job_histogram(il_run_job *j, double wall_time, int64_t step,
                               const char *tag, const il_histogram *h, il_error *err)
{
    IL_TRY(events_open(j, wall_time, step, err));
    return il_tfevents_add_histogram(j->events, wall_time, step, tag, h, err);
}

/* Copies a file of the record. A copy and not a link: the record may be cut back and
 * grow again under another run. One that is not there leaves none here. */
static il_status record_copy(const il_run_job *j, const char *record, const char *name,
                             il_error *err)
{
    char *from = il_path_join(record, name);
    char *to = il_path_join(j->folder, name);
    char *data = NULL;
    size_t size;
    il_status status = IL_OK;

    if (from == NULL || to == NULL) {
        status = out_of_memory(err, j->folder);
    } else if (!il_file_exists(from)) {
        (void)unlink(to); /* of an earlier run, if any */
    } else {
        status = il_file_read(from, RECORD_FILE_MAX, &data, &size, err);
        if (status == IL_OK) {
            status = il_file_write(to, data, size, err);
        }
    }
    free(data);
    free(to);
    free(from);
    return status;
}

/* Links `state` to the state's folder, relative, so that RUNS can be moved. */
static il_status state_link(const il_run_job *j, const char *address, il_error *err)
{
    char *target = il_arena_printf(j->arena, "%s/.stages/%s", j->up, address);
    char *path = il_arena_printf(j->arena, "%s/state", j->folder);
    char *fresh =
        il_arena_printf(j->arena, "%s/state.%ld.tmp", j->folder, (long)getpid());

    if (target == NULL || path == NULL || fresh == NULL) {
        return out_of_memory(err, j->folder);
    }
    (void)unlink(fresh); /* left by a run that was killed, if any */
    if (symlink(target, fresh) != 0 || rename(fresh, path) != 0) {
        il_status status =
            il_error_set(err, IL_ERR_IO, path, "cannot link: %s", strerror(errno));

        (void)unlink(fresh); /* perhaps made */
        return status;
    }
    return IL_OK;
}

/* The events of a record: its metrics, and between them its histograms by their steps.
 */
typedef struct replay {
    il_tfevents *events;
    double wall_time;
    json_t *histograms; /* lines, in the order of steps */
    size_t next;
} replay;

static il_status keep_line(void *user, int64_t step, const json_t *line, il_error *err)
{
    (void)step; /* it stands in the line */
    return json_array_append(user, (json_t *)line) == 0
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "histograms", "out of memory");
}

/* The histograms up to a step. */
static il_status histograms_replay(replay *to, int64_t step, il_error *err)
{
    const json_t *line;

    while ((line = json_array_get(to->histograms, to->next)) != NULL &&
           json_integer_value(json_object_get(line, "step")) <= step) {
        il_histogram h;
        const char *tag;

        if (il_record_histogram_of(line, &h, &tag)) {
            IL_TRY(il_tfevents_add_histogram(
                to->events, to->wall_time,
                json_integer_value(json_object_get(line, "step")), tag, &h, err));
        }
        to->next++;
    }
    return IL_OK;
}

static il_status line_replay(void *user, int64_t step, const json_t *line,
                             il_error *err)
{
    replay *to = user;
    const char *name;
    json_t *value;

    IL_TRY(histograms_replay(to, step, err));
    json_object_foreach((json_t *)line, name, value)
    {
        if (json_is_number(value) && strcmp(name, "step") != 0) {
            IL_TRY(il_tfevents_add(to->events, to->wall_time, step, name,
                                   (float)json_number_value(value), err));
        }
    }
    return IL_OK;
}

/* Makes the events anew from the record's files in the job's folder. */
static il_status events_make(const il_run_job *j, double wall_time, il_error *err)
{
    char *metrics = il_path_join(j->folder, "metrics.jsonl");
    char *histograms = il_path_join(j->folder, "histograms.jsonl");
    replay to = {.wall_time = wall_time, .histograms = json_array()};
    il_status status = IL_OK;

    if (metrics == NULL || histograms == NULL || to.histograms == NULL) {
        status = out_of_memory(err, j->folder);
    }
    if (status == IL_OK) {
        (void)unlink(j->events_path); /* whatever it holds is made anew */
        status = il_tfevents_open(&to.events, j->events_path, 0, wall_time, err);
    }
    if (status == IL_OK && il_file_exists(histograms)) {
        status = il_record_read(histograms, keep_line, to.histograms, err);
    }
    if (status == IL_OK && il_file_exists(metrics)) {
        status = il_record_read(metrics, line_replay, &to, err);
    }
    if (status == IL_OK) {
        status = histograms_replay(&to, INT64_MAX, err);
    }
    if (to.events != NULL) {
        il_status closed = il_tfevents_close(to.events, err);

        status = status == IL_OK ? closed : status;
    }
    json_decref(to.histograms);
    free(histograms);
    free(metrics);
    return status;
}

il_status il_run_job_publish(il_run_job *j, const char *address,
                             const char *record_folder, double wall_time, il_error *err)
{
    static const char *const files[] = {
        "metrics.jsonl", "audit.json",       "audit_time.json", "ledger.jsonl",
        "ledger.json",   "histograms.jsonl", "credit.json"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        IL_TRY(record_copy(j, record_folder, files[i], err));
    }
    IL_TRY(state_link(j, address, err));
    if (j->events != NULL) {
        return il_tfevents_flush(j->events, err);
    }
    return events_make(j, wall_time, err);
}
