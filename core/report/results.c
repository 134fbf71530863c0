/* Reading a run folder. Everything is checked here, once, so that tables and charts can
 * take what they find. */
#include "report/results.h"

#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "report/results_private.h"

enum { SERIES_LIMIT = 512 << 20 };

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A name that becomes a folder's may not lead out of the run folder. */
static il_status check_name(il__field_place at, const char *name, il_error *err)
{
    if (name != NULL && (*name == '\0' || *name == '.' || strchr(name, '/') != NULL)) {
        return il_error_set(err, IL_ERR_INPUT, at.file,
                            "%s: \"%s\" cannot be the name of a stage or variant",
                            at.path, name);
    }
    return IL_OK;
}

const char *il__plan_variant(const json_t *entry)
{
    const char *variant = json_string_value(json_object_get(entry, "variant"));

    return variant != NULL && *variant != '\0' ? variant : NULL;
}

/* --- one row: its folder --------------------------------------------------------- */

/* One line of metrics.jsonl. Training and audits both have lines; what is asked of a
 * line are metrics by name, so they need not be told apart. */
static il_status read_line(il__results *r, il__field_place at, const char *text,
                           size_t size, il__audit_point *point, il_error *err)
{
    json_error_t why;
    json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);

    point->metrics = NULL;
    if (line == NULL) {
        return il_error_set(err, IL_ERR_INPUT, at.file, "%s: %s", at.path, why.text);
    }
    if (json_array_append_new(r->documents, line) != 0) {
        return il__results_no_memory(at.file, err);
    }
    IL_TRY(il__field_check_object(at, line, err));
    IL_TRY(il__field_integer(at, line, "step", &point->step, err));
    IL_TRY(il__field_object(at, line, "audit", false, &point->metrics, err));
    /* Without a map of their own, the numbers stand beside the step. */
    if (point->metrics == NULL) {
        point->metrics = line;
        return IL_OK;
    }
    return il__field_check_numbers(at, point->metrics, "audit", err);
}

/* The audits of one metrics.jsonl. A last line without its newline was being written
 * when the run was killed, and is left out. */
static il_status read_series(il__results *r, const char *path, il__result_row *row,
                             il_error *err)
{
    il__audit_point *points;
    il_status status = IL_OK;
    char *data = NULL;
    size_t size;
    size_t lines = 0;

    if (!il_file_exists(path)) {
        return IL_OK;
    }
    IL_TRY(il_file_read(path, SERIES_LIMIT, &data, &size, err));
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    points = il_arena_calloc(r->arena, lines + 1, sizeof *points);
    if (points == NULL) {
        free(data);
        return il__results_no_memory(path, err);
    }
    const char *text = data;
    for (size_t i = 1; status == IL_OK && i <= lines; i++) {
        const char *end = memchr(text, '\n', size - (size_t)(text - data));
        char place[32];

        (void)snprintf(place, sizeof place, "line %zu", i);
        if (end > text) {
            status = read_line(r, (il__field_place){path, place}, text,
                               (size_t)(end - text), &points[row->point_count], err);
        }
        if (status == IL_OK && points[row->point_count].metrics != NULL) {
            row->point_count++;
        }
        text = end + 1;
    }
    free(data);
    row->points = points;
    return status;
}

/* The last audit with its intervals, and the floors of its fresh readers. */
static il_status read_audit(il__results *r, const char *path, il__result_row *row,
                            il_error *err)
{
    il__field_place at = {path, ""};
    const json_t *section;
    const char *name;
    json_t *value;

    IL_TRY(il__results_document(r, path, true, &row->audit, err));
    if (row->audit == NULL) {
        return IL_OK;
    }
    IL_TRY(il__field_check_object(at, row->audit, err));
    IL_TRY(il__field_object(at, row->audit, "metrics", false, &section, err));
    json_object_foreach((json_t *)section, name, value)
    {
        at.path = "metrics";
        if (!json_is_object(value)) {
            const json_t *none;

            return il__field_object(at, section, name, true, &none, err);
        }
        IL_TRY(il__field_check_numbers(at, value, name, err));
    }
    at.path = "";
    IL_TRY(il__field_object(at, row->audit, "floors", false, &section, err));
    json_object_foreach((json_t *)section, name, value)
    {
        const json_t *floor;

        at.path = "floors";
        IL_TRY(il__field_object(at, section, name, true, &floor, err));
        IL_TRY(il__field_check_numbers(at, floor, name, err));
    }
    return IL_OK;
}

/* ledger.json or credit.json, which have an object for each signal. */
static il_status read_signals(il__results *r, const char *folder, const char *name,
                              const json_t **out, il_error *err)
{
    const char *path = il_arena_printf(r->arena, "%s/%s", folder, name);
    il__field_place at = {path, ""};
    const json_t *signals;
    const json_t *signal;
    const char *key;
    json_t *value;

    if (path == NULL) {
        return il__results_no_memory(folder, err);
    }
    IL_TRY(il__results_document(r, path, true, out, err));
    if (*out == NULL) {
        return IL_OK;
    }
    IL_TRY(il__field_check_object(at, *out, err));
    IL_TRY(il__field_object(at, *out, "signals", false, &signals, err));
    at.path = "signals";
    json_object_foreach((json_t *)signals, key, value)
    {
        IL_TRY(il__field_object(at, signals, key, true, &signal, err));
    }
    return IL_OK;
}

static il_status read_accepted(il__field_place at, const json_t *item,
                               il__result_row *row, il_error *err)
{
    static const char *const keys[] = {"detector", "what", "expected", "got", "why"};

    IL_TRY(il__field_array(at, item, "accepted", false, &row->accepted, err));
    for (size_t i = 0; i < json_array_size(row->accepted); i++) {
        const json_t *entry = json_array_get(row->accepted, i);
        const char *text;

        IL_TRY(il__field_check_object(at, entry, err));
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            IL_TRY(il__field_string(at, entry, keys[k], true, &text, err));
        }
    }
    return IL_OK;
}

static il_status read_row(il__results *r, il__field_place at, const json_t *item,
                          il__result_row *row, il_error *err)
{
    const char *folder;
    const char *audit;
    const char *series;

    IL_TRY(il__field_check_object(at, item, err));
    IL_TRY(il__field_string(at, item, "stage", true, &row->stage, err));
    IL_TRY(il__field_string(at, item, "variant", false, &row->variant, err));
    if (row->variant != NULL && *row->variant == '\0') {
        row->variant = NULL;
    }
    IL_TRY(check_name(at, row->stage, err));
    IL_TRY(check_name(at, row->variant, err));
    IL_TRY(il__field_integer(at, item, "seed", &row->seed, err));
    IL_TRY(il__field_string(at, item, "state", false, &row->state, err));
    IL_TRY(il__field_string(at, item, "parent", false, &row->parent, err));
    IL_TRY(il__field_string(at, item, "role", false, &row->role, err));
    IL_TRY(il__field_string(at, item, "twin", false, &row->twin, err));
    IL_TRY(il__field_array(at, item, "placebos", false, &row->placebos, err));
    IL_TRY(il__field_check_strings(at, row->placebos, "placebos", err));
    IL_TRY(read_accepted(at, item, row, err));
    IL_TRY(il__field_object(at, item, "metrics", false, &row->metrics, err));
    IL_TRY(il__field_check_numbers(at, row->metrics, "metrics", err));

    folder =
        il_arena_printf(r->arena, "%s/%s%s%s/seed-%lld", r->folder, row->stage,
                        row->variant != NULL ? "/" : "",
                        row->variant != NULL ? row->variant : "", (long long)row->seed);
    if (folder == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    audit = il_arena_printf(r->arena, "%s/audit.json", folder);
    series = il_arena_printf(r->arena, "%s/metrics.jsonl", folder);
    if (audit == NULL || series == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    if (r->depth == IL__RESULTS_WHOLE) {
        IL_TRY(read_series(r, series, row, err));
        IL_TRY(read_signals(r, folder, "ledger.json", &row->ledger, err));
        IL_TRY(read_signals(r, folder, "credit.json", &row->credit, err));
    }
    return r->depth >= IL__RESULTS_AUDITS ? read_audit(r, audit, row, err) : IL_OK;
}

/* --- the files of the run -------------------------------------------------------- */

static il_status read_summary(il__results *r, il_error *err)
{
    const char *path = il_arena_printf(r->arena, "%s/summary.json", r->folder);
    il__field_place at = {path, ""};
    const json_t *summary;
    const json_t *rows;

    if (path == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    IL_TRY(il__results_document(r, path, false, &summary, err));
    IL_TRY(il__field_check_object(at, summary, err));
    IL_TRY(il__field_string(at, summary, "name", true, &r->name, err));
    IL_TRY(il__field_string(at, summary, "numerics", false, &r->numerics, err));
    IL_TRY(il__field_string(at, summary, "kernel", false, &r->kernel, err));
    IL_TRY(il__field_string(at, summary, "verdict", false, &r->verdict, err));
    IL_TRY(il__field_array(at, summary, "seeds", false, &r->seeds, err));
    for (size_t i = 0; i < json_array_size(r->seeds); i++) {
        if (!json_is_integer(json_array_get(r->seeds, i))) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "seeds[%zu]: expected an integer", i);
        }
    }
    IL_TRY(il__field_array(at, summary, "rows", true, &rows, err));
    r->rows = il_arena_calloc(r->arena, json_array_size(rows) + 1, sizeof *r->rows);
    if (r->rows == NULL) {
        return il__results_no_memory(path, err);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char place[32];

        (void)snprintf(place, sizeof place, "rows[%zu]", i);
        at.path = place;
        IL_TRY(read_row(r, at, json_array_get(rows, i), &r->rows[i], err));
        r->row_count++;
    }
    return IL_OK;
}

/* --- what belongs together ------------------------------------------------------- */

static const json_t *find_plan(const il__results *r, const char *stage,
                               const char *variant)
{
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *entry = json_array_get(r->plans, i);

        if (same(json_string_value(json_object_get(entry, "stage")), stage) &&
            same(il__plan_variant(entry), variant)) {
            return entry;
        }
    }
    return NULL;
}

static const il__result_arm *find_arm(const il__results *r, const char *stage,
                                      const char *variant)
{
    for (size_t i = 0; i < r->arm_count; i++) {
        if (same(r->arms[i].stage, stage) && same(r->arms[i].variant, variant)) {
            return &r->arms[i];
        }
    }
    return NULL;
}

/* Whether two stages have variants: then a variant's name alone says too little. */
static bool many_stages(const il__results *r)
{
    const char *first = NULL;

    for (size_t i = 0; i < r->row_count; i++) {
        if (r->rows[i].variant == NULL) {
            continue;
        }
        if (first != NULL && strcmp(first, r->rows[i].stage) != 0) {
            return true;
        }
        first = r->rows[i].stage;
    }
    return false;
}

static il_status gather_arms(il__results *r, il_error *err)
{
    bool many = many_stages(r);

    r->arms = il_arena_calloc(r->arena, r->row_count + 1, sizeof *r->arms);
    if (r->arms == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    for (size_t i = 0; i < r->row_count; i++) {
        const il__result_row *row = &r->rows[i];
        const il__result_row **rows;
        il__result_arm *arm;

        if (json_object_size(row->metrics) == 0 ||
            find_arm(r, row->stage, row->variant) != NULL) {
            continue;
        }
        arm = &r->arms[r->arm_count];
        arm->stage = row->stage;
        arm->variant = row->variant;
        arm->label = row->variant == NULL ? row->stage
                     : many
                         ? il_arena_printf(r->arena, "%s/%s", row->stage, row->variant)
                         : row->variant;
        arm->plan = find_plan(r, row->stage, row->variant);
        rows = il_arena_calloc(r->arena, r->row_count, sizeof *rows);
        if (rows == NULL || arm->label == NULL) {
            return il__results_no_memory(r->folder, err);
        }
        for (size_t j = i; j < r->row_count; j++) {
            if (same(r->rows[j].stage, row->stage) &&
                same(r->rows[j].variant, row->variant) &&
                json_object_size(r->rows[j].metrics) > 0) {
                rows[arm->row_count++] = &r->rows[j];
            }
        }
        arm->rows = rows;
        r->arm_count++;
    }
    return IL_OK;
}

static bool known_metric(const il__results *r, const char *name)
{
    for (size_t i = 0; i < r->metric_count; i++) {
        if (strcmp(r->metrics[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static il_status gather_metrics(il__results *r, il_error *err)
{
    size_t most = 0;

    for (size_t i = 0; i < r->row_count; i++) {
        most += json_object_size(r->rows[i].metrics);
    }
    r->metrics = il_arena_calloc(r->arena, most + 1, sizeof *r->metrics);
    if (r->metrics == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    for (size_t i = 0; i < r->row_count; i++) {
        const char *name;
        json_t *value;

        json_object_foreach((json_t *)r->rows[i].metrics, name, value)
        {
            if (json_is_number(value) && !known_metric(r, name)) {
                r->metrics[r->metric_count++] = name;
            }
        }
    }
    return IL_OK;
}

/* The detector that presses, by the plan; without a plan the first whose AUROC is
 * known. */
static il_status find_detector(il__results *r, il_error *err)
{
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        const json_t *pairs = json_object_get(json_array_get(r->plans, i), "pairs");
        const json_t *source = json_object_get(json_array_get(pairs, 0), "source");

        if (source != NULL) {
            r->detector = json_string_value(source);
            return IL_OK;
        }
    }
    for (size_t i = 0; i < r->metric_count; i++) {
        const char *end = strstr(r->metrics[i], ".auroc");

        if (end != NULL && end[6] == '\0' && strncmp(r->metrics[i], "fresh.", 6) != 0 &&
            strncmp(r->metrics[i], "floor.", 6) != 0) {
            r->detector = il_arena_printf(r->arena, "%.*s", (int)(end - r->metrics[i]),
                                          r->metrics[i]);
            return r->detector != NULL ? IL_OK : il__results_no_memory(r->folder, err);
        }
    }
    return IL_OK;
}

il_status il__results_read(const char *run_dir, il__results_depth depth, il__results *r,
                           il_error *err)
{
    il_status status = IL_OK;

    *r = (il__results){.depth = depth};
    r->arena = il_arena_create((size_t)64 << 10);
    r->documents = json_array();
    r->folder = r->arena != NULL ? il_arena_strdup(r->arena, run_dir) : NULL;
    if (r->folder == NULL || r->documents == NULL) {
        status = il__results_no_memory(run_dir, err);
    }
    if (status == IL_OK) {
        status = read_summary(r, err);
    }
    if (status == IL_OK) {
        status = il__results_plan(r, err);
    }
    if (status == IL_OK) {
        status = il__results_certificates(r, err);
    }
    if (status == IL_OK) {
        status = gather_arms(r, err);
    }
    if (status == IL_OK) {
        status = gather_metrics(r, err);
    }
    if (status == IL_OK) {
        status = find_detector(r, err);
    }
    if (status == IL_OK) {
        status = il__results_roles(r, err);
    }
    if (status == IL_OK) {
        status = il__results_conclusions(r, err);
    }
    if (status != IL_OK) {
        il__results_free(r);
    }
    return status;
}

void il__results_free(il__results *r)
{
    json_decref(r->documents);
    il_arena_destroy(r->arena);
    *r = (il__results){0};
}

bool il__row_metric(const il__result_row *row, const char *metric, double *value)
{
    const json_t *found = json_object_get(row->metrics, metric);

    if (!json_is_number(found)) {
        return false;
    }
    *value = json_number_value(found);
    return true;
}

const il__result_row *il__arm_row(const il__result_arm *arm, int64_t seed)
{
    for (size_t i = 0; i < arm->row_count; i++) {
        if (arm->rows[i]->seed == seed) {
            return arm->rows[i];
        }
    }
    return NULL;
}

bool il__results_have(const il__results *r, const char *metric)
{
    return known_metric(r, metric);
}
