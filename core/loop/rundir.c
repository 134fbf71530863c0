#include "loop/rundir.h"

#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "loop/json.h"
#include "loop/run_private.h"
#include "loop/state.h"

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* Takes the run's lock. The gate is held meanwhile, so that no run begins while gc
 * finds out what runs refer to. */
static il_status run_lock(il_run *r, il_error *err)
{
    char *store = il_state_store(r->root);
    char *gate = store != NULL ? il_path_join(store, "gate.lock") : NULL;
    char *path = il_path_join(r->folder, ".lock");
    int fd;
    il_status status = gate == NULL || path == NULL ? out_of_memory(err, r->folder)
                                                    : il_folder_make(store, err);

    if (status == IL_OK) {
        status = il_file_lock(gate, true, &fd, err);
    }
    if (status == IL_OK) {
        status = il_folder_make(r->folder, err);
        if (status == IL_OK) {
            status = il_file_lock(path, false, &r->lock, err);
        }
        il_file_unlock(fd);
    }
    free(path);
    free(gate);
    free(store);
    return status;
}

il_status il_run_open(il_run **out, const char *runs, const char *name, il_error *err)
{
    il_arena *arena;
    il_run *r;
    il_status status;

    IL_TRY(il__name_check("the run's name", name, err));
    arena = il_arena_create(1 << 14);
    r = arena != NULL ? il_arena_calloc(arena, 1, sizeof *r) : NULL;
    if (r == NULL) {
        il_arena_destroy(arena);
        return out_of_memory(err, name);
    }
    r->arena = arena;
    r->lock = -1;
    r->root = il_arena_strdup(arena, runs);
    r->name = il_arena_strdup(arena, name);
    r->folder = il_arena_printf(arena, "%s/%s", runs, name);
    r->log = il_arena_printf(arena, "%s/%s/log.txt", runs, name);
    status = r->root == NULL || r->name == NULL || r->folder == NULL || r->log == NULL
                 ? out_of_memory(err, name)
                 : run_lock(r, err);
    if (status != IL_OK) {
        il_run_close(r);
        return status;
    }
    *out = r;
    return IL_OK;
}

void il_run_close(il_run *r)
{
    if (r == NULL) {
        return;
    }
    if (r->lock >= 0) {
        il_file_unlock(r->lock);
    }
    il_arena_destroy(r->arena);
}

const char *il_run_name(const il_run *r)
{
    return r->name;
}

const char *il_run_root(const il_run *r)
{
    return r->root;
}

const char *il_run_folder(const il_run *r)
{
    return r->folder;
}

il_status il_run_text(il_run *r, const char *file, const char *text, il_error *err)
{
    char *path;
    il_status status;

    IL_TRY(il__name_check(r->folder, file, err));
    path = il_path_join(r->folder, file);
    status = path != NULL ? il_file_write(path, text, strlen(text), err)
                          : out_of_memory(err, r->folder);
    free(path);
    return status;
}

il_status il_run_json(il_run *r, const char *file, const json_t *json, il_error *err)
{
    char *path;
    il_status status;

    IL_TRY(il__name_check(r->folder, file, err));
    path = il_path_join(r->folder, file);
    status =
        path != NULL ? il__json_write(path, json, err) : out_of_memory(err, r->folder);
    free(path);
    return status;
}

/* Writes a text that was built, and frees it. */
static il_status run_built(il_run *r, const char *file, il_text *text, il_error *err)
{
    char *path = il_path_join(r->folder, file);
    il_status status =
        path != NULL ? il__text_write(path, text, err) : out_of_memory(err, r->folder);

    free(path);
    il_text_free(text);
    return status;
}

static int plugin_compare(const void *a, const void *b)
{
    const il_run_plugin *one = a;
    const il_run_plugin *two = b;
    int order = strcmp(one->id, two->id);

    return order != 0 ? order : strcmp(one->sha256, two->sha256);
}

il_status il_run_plugins(il_run *r, const il_run_plugin *plugins, size_t count,
                         il_error *err)
{
    il_run_plugin *sorted = malloc((count + 1) * sizeof *sorted);
    il_text text = {0};

    if (sorted == NULL) {
        return out_of_memory(err, r->folder);
    }
    if (count > 0) {
        memcpy(sorted, plugins, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, plugin_compare);
    }
    for (size_t i = 0; i < count; i++) {
        il_text_add(&text, "{\"id\": ");
        il__json_add_string(&text, sorted[i].id);
        il_text_add(&text, ", \"version\": ");
        il__json_add_string(&text, sorted[i].version);
        il_text_add(&text, ", \"sha256\": ");
        il__json_add_string(&text, sorted[i].sha256);
        il_text_addf(&text, ", \"abi\": \"%lu.%lu\"}\n",
                     (unsigned long)sorted[i].abi_major,
                     (unsigned long)sorted[i].abi_minor);
    }
    free(sorted);
    return run_built(r, "plugins.lock", &text, err);
}

void il_run_log(void *run, il_log_level level, const char *component, const char *line)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const il_run *r = run;
    il_text text = {0};

    il_text_addf(&text, "%s %s: ", levels[level], component != NULL ? component : "");
    il_text_add(&text, line);
    il_text_add(&text, "\n");
    if (!text.failed) {
        (void)il_file_append(r->log, text.data, text.size, NULL); /* lost, as said */
    }
    il_text_free(&text);
}

il_status il_run_describe(il_run *r, const il_run_about *about, il_error *err)
{
    uint64_t *seeds = il_arena_calloc(r->arena, about->seed_count + 1, sizeof *seeds);

    r->about.numerics =
        il_arena_strdup(r->arena, about->numerics != NULL ? about->numerics : "");
    r->about.kernel =
        il_arena_strdup(r->arena, about->kernel != NULL ? about->kernel : "");
    if (seeds == NULL || r->about.numerics == NULL || r->about.kernel == NULL) {
        return out_of_memory(err, r->folder);
    }
    if (about->seed_count > 0) {
        memcpy(seeds, about->seeds, about->seed_count * sizeof *seeds);
    }
    r->about.seeds = seeds;
    r->about.seed_count = about->seed_count;
    r->described = true;
    return IL_OK;
}

/* The row's place: that of the same job, or a new one at the end; NULL when memory is
 * out. */
static il_run_row *row_place(il_run *r, const il_run_row *row)
{
    for (size_t i = 0; i < r->row_count; i++) {
        il_run_row *other = &r->rows[i];

        if (other->seed == row->seed && strcmp(other->stage, row->stage) == 0 &&
            strcmp(other->variant, row->variant) == 0) {
            return other;
        }
    }
    if (r->row_count == r->row_room) {
        size_t room = 2 * r->row_room + 16;
        il_run_row *grown = il_arena_calloc(r->arena, room, sizeof *grown);

        if (grown == NULL) {
            return NULL;
        }
        if (r->row_count > 0) {
            memcpy(grown, r->rows, r->row_count * sizeof *grown);
        }
        r->rows = grown;
        r->row_room = room;
    }
    return &r->rows[r->row_count];
}

il_status il_run_row_set(il_run *r, const il_run_row *row, il_error *err)
{
    il_metric *metrics =
        il_arena_calloc(r->arena, row->metric_count + 1, sizeof *metrics);
    il_run_row copy = *row;
    il_run_row *place;

    copy.stage = il_arena_strdup(r->arena, row->stage);
    copy.variant = il_arena_strdup(r->arena, row->variant != NULL ? row->variant : "");
    copy.state = il_arena_strdup(r->arena, row->state);
    copy.parent = row->parent != NULL ? il_arena_strdup(r->arena, row->parent) : NULL;
    copy.outcome =
        row->outcome != NULL ? il_arena_strdup(r->arena, row->outcome) : NULL;
    copy.point = row->point != NULL ? il_arena_strdup(r->arena, row->point) : NULL;
    copy.role = row->role != NULL ? il_arena_strdup(r->arena, row->role) : NULL;
    copy.twin = row->twin != NULL ? il_arena_strdup(r->arena, row->twin) : NULL;
    copy.placebos =
        row->placebos != NULL ? il_arena_strdup(r->arena, row->placebos) : NULL;
    copy.accepted =
        row->accepted != NULL ? il_arena_strdup(r->arena, row->accepted) : NULL;
    copy.metrics = metrics;
    if (metrics == NULL || (row->accepted != NULL && copy.accepted == NULL) ||
        (row->point != NULL && copy.point == NULL) ||
        (row->role != NULL && copy.role == NULL) ||
        (row->twin != NULL && copy.twin == NULL) ||
        (row->placebos != NULL && copy.placebos == NULL) || copy.stage == NULL ||
        copy.variant == NULL || copy.state == NULL ||
        (row->parent != NULL && copy.parent == NULL) ||
        (row->outcome != NULL && copy.outcome == NULL)) {
        return out_of_memory(err, r->folder);
    }
    for (size_t i = 0; i < row->metric_count; i++) {
        metrics[i] = row->metrics[i];
        metrics[i].name = il_arena_strdup(r->arena, row->metrics[i].name);
        if (metrics[i].name == NULL) {
            return out_of_memory(err, r->folder);
        }
    }
    place = row_place(r, &copy);
    if (place == NULL) {
        return out_of_memory(err, r->folder);
    }
    if (place == &r->rows[r->row_count]) {
        r->row_count++;
    }
    *place = copy;
    return IL_OK;
}

/* One row as it stands in a summary. */
static il_status row_read(il_run *r, const json_t *json, size_t number,
                          const char *path, il_error *err)
{
    json_t *given = json_object_get(json, "metrics");
    il_run_row row = {0};
    il_metric *metrics;
    const char *name;
    json_t *value;
    char *point = NULL;
    char *accepted = NULL;
    char *placebos = NULL;
    il_status status = IL_OK;

    row.stage = json_string_value(json_object_get(json, "stage"));
    row.variant = json_string_value(json_object_get(json, "variant"));
    row.state = json_string_value(json_object_get(json, "state"));
    row.parent = json_string_value(json_object_get(json, "parent"));
    row.outcome = json_string_value(json_object_get(json, "outcome"));
    row.role = json_string_value(json_object_get(json, "role"));
    row.twin = json_string_value(json_object_get(json, "twin"));
    if (row.stage == NULL || row.variant == NULL || row.state == NULL ||
        !json_is_object(given) ||
        !il__json_seed_read(json_object_get(json, "seed"), &row.seed)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "row %zu: expected stage, variant, seed, state and metrics",
                            number);
    }
    metrics = calloc(json_object_size(given) + 1, sizeof *metrics);
    if (metrics == NULL) {
        return out_of_memory(err, path);
    }
    json_object_foreach(given, name, value)
    {
        if (!json_is_number(value)) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "row %zu: expected a number for metric '%s'", number,
                                  name);
            break;
        }
        metrics[row.metric_count].name = name;
        metrics[row.metric_count++].value = json_number_value(value);
    }
    row.metrics = metrics;
    if (json_is_object(json_object_get(json, "point"))) {
        point = json_dumps(json_object_get(json, "point"), 0);
        row.point = point;
    }
    if (json_array_size(json_object_get(json, "accepted")) > 0) {
        accepted = json_dumps(json_object_get(json, "accepted"), 0);
        row.accepted = accepted;
    }
    if (json_array_size(json_object_get(json, "placebos")) > 0) {
        placebos = json_dumps(json_object_get(json, "placebos"), 0);
        row.placebos = placebos;
    }
    if (status == IL_OK) {
        status = il_run_row_set(r, &row, err);
    }
    free(placebos);
    free(accepted);
    free(point);
    free(metrics);
    return status;
}

size_t il_run_rows(const il_run *r)
{
    return r->row_count;
}

const il_run_row *il_run_row_at(const il_run *r, size_t i)
{
    return &r->rows[i];
}

il_status il_run_rows_load(il_run *r, il_error *err)
{
    char *path = il_path_join(r->folder, "summary.json");
    json_t *json = NULL;
    json_t *rows;
    il_status status = IL_OK;

    if (path == NULL) {
        return out_of_memory(err, r->folder);
    }
    if (il_file_exists(path)) {
        status = il__json_read(path, &json, err);
    }
    if (status == IL_OK && json != NULL) {
        rows = json_object_get(json, "rows");
        if (!json_is_array(rows)) {
            status = il_error_set(err, IL_ERR_INPUT, path, "expected a list of rows");
        }
        for (size_t i = 0; status == IL_OK && i < json_array_size(rows); i++) {
            status = row_read(r, json_array_get(rows, i), i + 1, path, err);
        }
    }
    json_decref(json);
    free(path);
    return status;
}

static void row_write(il_text *text, const il_run_row *row)
{
    il_text_add(text, "  {\"stage\": ");
    il__json_add_string(text, row->stage);
    il_text_add(text, ", \"variant\": ");
    il__json_add_string(text, row->variant);
    il_text_add(text, ", \"seed\": ");
    il__json_add_seed(text, row->seed);
    il_text_add(text, ",\n   \"state\": ");
    il__json_add_string(text, row->state);
    il_text_add(text, ",\n   \"parent\": ");
    if (row->parent != NULL) {
        il__json_add_string(text, row->parent);
    } else {
        il_text_add(text, "null");
    }
    if (row->point != NULL) {
        il_text_addf(text, ",\n   \"point\": %s", row->point);
    }
    if (row->accepted != NULL) {
        il_text_addf(text, ",\n   \"accepted\": %s", row->accepted);
    }
    if (row->outcome != NULL) {
        il_text_add(text, ",\n   \"outcome\": ");
        il__json_add_string(text, row->outcome);
    }
    if (row->role != NULL) {
        il_text_addf(text, ",\n   \"role\": \"%s\"", row->role);
    }
    if (row->twin != NULL) {
        il_text_add(text, ",\n   \"twin\": ");
        il__json_add_string(text, row->twin);
    }
    if (row->placebos != NULL) {
        il_text_addf(text, ",\n   \"placebos\": %s", row->placebos);
    }
    il_text_add(text, ",\n   \"metrics\": {");
    il__json_add_metrics(text, row->metrics, row->metric_count, true);
    il_text_add(text, "}}");
}

il_status il_run_summary(il_run *r, il_error *err)
{
    il_text text = {0};

    il_text_add(&text, "{\n \"name\": ");
    il__json_add_string(&text, r->name);
    il_text_add(&text, ",\n \"seeds\": [");
    for (size_t i = 0; i < r->about.seed_count; i++) {
        il_text_add(&text, i > 0 ? ", " : "");
        il__json_add_seed(&text, r->about.seeds[i]);
    }
    il_text_add(&text, "],\n \"numerics\": ");
    il__json_add_string(&text, r->described ? r->about.numerics : "");
    il_text_add(&text, ",\n \"kernel\": ");
    il__json_add_string(&text, r->described ? r->about.kernel : "");
    il_text_add(&text, ",\n \"rows\": [");
    for (size_t i = 0; i < r->row_count; i++) {
        il_text_add(&text, i > 0 ? ",\n" : "\n");
        row_write(&text, &r->rows[i]);
    }
    il_text_add(&text, r->row_count > 0 ? "\n ]\n}\n" : "]\n}\n");
    return run_built(r, "summary.json", &text, err);
}
