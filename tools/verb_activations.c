/* interloop activations: what a stage's model holds at its sites, over a whole split,
 * in shards. Each shard is written whole or not at all, so that a harvest that was
 * stopped goes on where it was, to the same bits. */
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "activations.h"
#include "base/files.h"
#include "detector.h"
#include "pipeline/batch.h"
#include "teller.h"

static const char usage[] =
    "usage: interloop activations PIPELINE --stage NAME --out DIR --site NAME [OPTION]...\n"
    "\n"
    "  Runs the stage's model over a split and writes what it holds at the named sites, in\n"
    "  shards: DIR/NNNNN.safetensors with acts.SITE (B,T,W), tokens (B,T) int32, mask (B,T)\n"
    "  bool, ids (B,) int64, labels (B,T) uint8 where a detector has a label, and lengths (B,)\n"
    "  where rows are padded. DIR/index.json says what they are. Called again, it goes on after\n"
    "  the shards that are there; for another stage or other rows than theirs it refuses.\n"
    "\n"
    "  --site NAME         sites with commas, or a pattern: 'blocks.*.hook_resid_post'; may be\n"
    "                      given more than once\n"
    "  --split NAME        rows of the data (train)\n"
    "  --rows N            of the split, from its first; all without\n"
    "  --batch N           rows a shard, rounded up to whole chunks of 64 (as many as 256 MiB\n"
    "                      hold, at most 1024)\n"
    "  --tokens NAME       the mask (all)\n"
    "  --detector NAME     whose label to write\n"
    "  --dtype NAME        of activations: f32, f16 or bf16 (f32)\n"
    "  --format NAME       safetensors, or npy: a file NNNNN.NAME.npy a column (safetensors)\n"
    "  --quiet             warnings and errors alone\n"
    "  --json              an object of JSON a line on standard output\n"
    "  --variant NAME, --seed N, --set PATH=VALUE, --plugin-path DIR, --runs DIR, --workers N\n";

enum { INDEX_MAX = 1 << 20, SHARD_ROWS = 1024, SHARD_BYTES = 256 << 20 };

/* A harvest under way. */
typedef struct work {
    const il_session *session;
    const il_detector_stage *st;
    const il_detector_cli *c;
    il_activations_form form;
    il_harvest h;
    int64_t sites[IL_ACTIVATIONS_SITES];
    /* rows of a shard: the split's, from `offset` on */
    int32_t split;
    int64_t offset;
    const char *unit; /* the field that holds documents' ids, or NULL */
    int64_t *ids;     /* [rows of a shard] */
    int64_t rows, shard;
} work;

static il_status fetch_rows(void *user, int64_t index, int64_t rows, il_batch *batch,
                            il_error *err)
{
    const work *w = user;
    const il_instance *data = w->h.data;
    const il_tensor *unit;

    IL_TRY(il_instance_dataset(data)->get(data->self, w->split, w->offset + index, rows,
                                          batch, err));
    unit = w->unit != NULL ? il_batch_find(batch, w->unit) : NULL;
    for (int64_t i = 0; i < rows; i++) {
        w->ids[index + i] =
            unit != NULL ? il_i64(unit)[i] : w->h.fields.first_document + index + i;
    }
    return IL_OK;
}

/* ---- the index ------------------------------------------------------------------ */

/* The index as it is to be: what decides the shards' bits, and how many there are. */
static json_t *index_make(const work *w, json_t *models)
{
    const il_harvest *h = &w->h;
    const il_job *job = w->st->job;
    const char *dtype = w->c->dtype != NULL ? w->c->dtype : "f32";
    json_t *sites = json_array();
    uint8_t print[32];
    char hex[65];
    char model[IL_HASH_HEX];

    il_stage_model(w->st->world, model);
    il_instance_dataset(h->data)->fingerprint(h->data->self, print);
    for (int i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", print[i]);
    }
    for (size_t i = 0; i < h->site_count; i++) {
        json_array_append_new(sites, json_string(h->model->sites[h->sites[i]].name));
    }
    return json_pack(
        "{s:i, s:s, s:s, s:s, s:I, s:s, s:O, s:s, s:s, s:o, s:s, s:s, s:s*, s:s, s:s, "
        "s:I, s:I, s:I}",
        "interloop", 1, "pipeline", job->pipeline->name, "stage", job->stage, "variant",
        job->variant, "seed", (json_int_t)job->seed, "model", model, "models", models,
        "data", hex, "split", h->split, "sites", sites, "convention", IL_CONVENTION,
        "tokens", h->fields.tokens, "label", h->fields.label, "dtype", dtype, "format",
        w->form.npy ? "npy" : "safetensors", "rows", (json_int_t)w->rows,
        "rows_a_shard", (json_int_t)w->shard, "shards",
        (json_int_t)((w->rows + w->shard - 1) / w->shard));
}

/* The first key in which two indices differ, with what each has. */
static il_status differ(const char *path, const json_t *is, const json_t *old,
                        il_error *err)
{
    /* What a person would name first. */
    static const char *const keys[] = {
        "sites",  "split", "rows",    "rows_a_shard", "dtype", "format", "label",
        "tokens", "stage", "variant", "seed",         "data",  "model",  "models"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *a = json_object_get(is, keys[i]);
        const json_t *b = json_object_get(old, keys[i]);
        char *texts[2];
        il_status status;

        if (a == b || (a != NULL && b != NULL && json_equal(a, b))) {
            continue;
        }
        texts[0] = a != NULL ? json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        texts[1] = b != NULL ? json_dumps(b, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "is of another harvest: its %s is %.120s, and here it is "
                              "%.120s: name another folder, or remove this one",
                              keys[i], texts[1] != NULL ? texts[1] : "nothing",
                              texts[0] != NULL ? texts[0] : "nothing");
        free(texts[0]);
        free(texts[1]);
        return status;
    }
    return il_error_set(err, IL_ERR_INPUT, path,
                        "is of another harvest: name another folder, or remove this "
                        "one");
}

/* Holds the folder to its index, or writes one where there is none. */
static il_status claim(const work *w, const json_t *is, il_error *err)
{
    char *path = il_path_join(w->c->out, "index.json");
    char *text = json_dumps(is, JSON_INDENT(2) | JSON_SORT_KEYS);
    char *old = NULL;
    size_t size = 0;
    il_status status =
        path != NULL && text != NULL
            ? IL_OK
            : il_error_set(err, IL_ERR_MEMORY, w->c->out, "out of memory");

    if (status == IL_OK && !il_file_exists(path)) {
        status = il_file_write(path, text, strlen(text), err);
    } else if (status == IL_OK) {
        status = il_file_read(path, INDEX_MAX, &old, &size, err);
        if (status == IL_OK && strcmp(old, text) != 0) {
            json_t *was = json_loads(old, 0, NULL);

            status = differ(path, is, was, err);
            json_decref(was);
        }
    }
    free(old);
    free(path);
    free(text);
    return status;
}

/* ---- shards --------------------------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tell(const work *w, int64_t done, int64_t before, double since)
{
    double rate = (double)(done - before) / (seconds() - since + 1e-9);
    il_progress p = {.label = w->c->out,
                     .step = done,
                     .steps = w->rows,
                     .rate = rate,
                     .left = (double)(w->rows - done) / rate};

    w->c->cli.run.progress(w->c->cli.run.progress_user, &p);
}

static il_status one_shard(work *w, int64_t number, int64_t rows, il_error *err)
{
    il_acts *acts = NULL;
    il_status status;

    w->offset = number * w->shard;
    w->h.rows = rows;
    /* Documents without ids are numbered as a fit in the pipeline numbers them. */
    w->h.fields.first_document = ((int64_t)(w->split + 1) << 40) + w->offset;
    status = il_acts_harvest(&acts, &w->h, err);
    if (status == IL_OK) {
        status = il_activations_write(&w->form, number, acts, w->ids, err);
    }
    il_acts_destroy(acts);
    return status;
}

static il_status all_shards(work *w, il_error *err)
{
    const volatile sig_atomic_t *stop = il_cli_stop();
    int64_t count = (w->rows + w->shard - 1) / w->shard;
    int64_t kept = 0;
    int64_t before = 0; /* rows that were there */
    double since = seconds();

    for (int64_t k = 0; k < count; k++) {
        int64_t left = w->rows - k * w->shard;
        int64_t rows = left < w->shard ? left : w->shard;
        il_error why = {0};

        if (*stop) {
            return il_error_set(err, IL_ERR_INTERRUPTED, w->c->out,
                                "stopped after %" PRId64 " of %" PRId64
                                " shards: the same again goes on",
                                k, count);
        }
        if (il_activations_there(&w->form, k, rows, &why)) {
            kept++;
            before += rows;
            continue;
        }
        if (why.code != IL_OK) {
            il_log_write(w->c->cli.run.log, IL_LOG_WARN, w->c->out,
                         "shard %" PRId64 " is written again: %s: %s", k, why.where,
                         why.message);
        }
        IL_TRY(one_shard(w, k, rows, err));
        tell(w, k * w->shard + rows, before, since);
    }
    il_log_write(w->c->cli.run.log, IL_LOG_INFO, w->c->out,
                 "%" PRId64 " rows in %" PRId64 " shards, %" PRId64
                 " of them there before",
                 w->rows, count, kept);
    return IL_OK;
}

/* ---- what is harvested ---------------------------------------------------------- */

/* Whether a name is what a pattern means, whose `*` stands for any text. */
static bool matches(const char *pattern, size_t size, const char *name)
{
    if (size == 0) {
        return *name == '\0';
    }
    if (*pattern == '*') {
        do {
            if (matches(pattern + 1, size - 1, name)) {
                return true;
            }
        } while (*name++ != '\0');
        return false;
    }
    return *name == *pattern && matches(pattern + 1, size - 1, name + 1);
}

static il_status add_sites(work *w, const char *pattern, size_t size, il_error *err)
{
    const il_instance *model = w->h.model;
    bool any = false;

    for (size_t i = 0; i < model->site_count; i++) {
        bool there = false;

        if (!matches(pattern, size, model->sites[i].name)) {
            continue;
        }
        any = true;
        for (size_t k = 0; k < w->h.site_count; k++) {
            there = there || w->sites[k] == (int64_t)i;
        }
        if (!there && w->h.site_count == IL_ACTIVATIONS_SITES) {
            return il_error_set(err, IL_ERR_INPUT, "--site",
                                "expected at most %d sites at once",
                                IL_ACTIVATIONS_SITES);
        }
        if (!there) {
            w->sites[w->h.site_count++] = (int64_t)i;
        }
    }
    if (!any) {
        char word[160];
        const char **names = calloc(model->site_count + 1, sizeof *names);
        const char *near = NULL;

        (void)snprintf(word, sizeof word, "%.*s", (int)size, pattern);
        for (size_t i = 0; names != NULL && i < model->site_count; i++) {
            names[i] = model->sites[i].name;
        }
        near = names != NULL ? il_nearest(word, names, model->site_count) : NULL;
        free(names);
        return il_error_set(err, IL_ERR_INPUT, "--site",
                            "the model has no site '%s'%s%s%s", word,
                            near != NULL ? ", did you mean '" : "",
                            near != NULL ? near : "", near != NULL ? "'?" : "");
    }
    return IL_OK;
}

static il_status find_sites(work *w, il_error *err)
{
    for (size_t i = 0; i < w->c->site_count; i++) {
        const char *list = w->c->sites[i];

        while (*list != '\0') {
            size_t n = strcspn(list, ", ");

            if (n > 0) {
                IL_TRY(add_sites(w, list, n, err));
            }
            list += n + strspn(list + n, ", ");
        }
    }
    return w->h.site_count > 0
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, "--site", "expected a site's name");
}

/* Rows a shard where nobody says: as many as SHARD_BYTES hold, since a shard is in
 * memory as a whole before it is written. */
static il_status usual_shard(const work *w, int64_t *out, il_error *err)
{
    const il_instance *data = w->h.data;
    const char *input = il_field_of_role(data, IL_FIELD_INPUT);
    const il_tensor *x = NULL;
    il_batch *batch = NULL;
    int64_t width = 1;
    il_status status = il_batch_create(&batch, err);

    for (size_t i = 0; i < w->h.site_count; i++) {
        width += w->h.model->sites[w->sites[i]].width;
    }
    if (status == IL_OK) {
        il_batch_reset(batch, 1);
        status = il_instance_dataset(data)->get(data->self, w->split, 0, 1, batch, err);
    }
    if (status == IL_OK) {
        status = il_batch_status(batch, err);
    }
    if (status == IL_OK) {
        x = input != NULL ? il_batch_find(batch, input) : NULL;
        width *= x != NULL && x->ndim > 1 && x->shape[1] > 0 ? x->shape[1] : 1;
        *out = SHARD_BYTES / (width * (int64_t)sizeof(float)) / IL_HARVEST_CHUNK *
               IL_HARVEST_CHUNK;
        *out = *out > SHARD_ROWS ? SHARD_ROWS : *out;
        *out = *out < IL_HARVEST_CHUNK ? IL_HARVEST_CHUNK : *out;
    }
    il_batch_destroy(batch);
    return status;
}

static il_status find_rows(work *w, il_error *err)
{
    const il_detector_cli *c = w->c;
    int64_t have = 0;

    w->h.split = c->split_count > 0 ? c->splits[0] : "train";
    w->split = il_split_find(w->h.data, w->h.split, &have);
    w->rows = c->rows > 0 ? c->rows : have;
    if (w->split < 0 || w->rows < 1 || (have >= 0 && w->rows > have)) {
        return il_error_set(err, IL_ERR_INPUT, "--split",
                            w->split < 0
                                ? "there is no split '%s'"
                                : "split '%s' has not so many rows; say --rows",
                            w->h.split);
    }
    w->shard = c->batch;
    if (w->shard <= 0) {
        IL_TRY(usual_shard(w, &w->shard, err));
    }
    if (w->shard > INT32_MAX) {
        return il_error_set(err, IL_ERR_INPUT, "--batch", "too many rows a shard");
    }
    w->shard = (w->shard + IL_HARVEST_CHUNK - 1) / IL_HARVEST_CHUNK * IL_HARVEST_CHUNK;
    w->ids = calloc((size_t)w->shard, sizeof *w->ids);
    return w->ids != NULL ? IL_OK
                          : il_error_set(err, IL_ERR_MEMORY, c->out, "out of memory");
}

/* Sites, mask, label and rows, as the options say. */
static il_status prepare(work *w, il_error *err)
{
    const il_world *world = w->st->world;
    const il_detector_cli *c = w->c;

    w->h = (il_harvest){.model = world->model,
                        .values = world->values,
                        .data = world->data,
                        .blas = world->host.blas,
                        .pool = world->host.pool,
                        .fetch = fetch_rows,
                        .user = w,
                        .sites = w->sites};
    if (world->data == NULL) {
        return il_error_set(err, IL_ERR_INPUT, c->cli.run.path,
                            "there is no `data` that has splits");
    }
    w->h.fields.tokens = c->tokens != NULL ? c->tokens : "all";
    w->unit = il_field_of_role(world->data, IL_FIELD_UNIT);
    for (size_t i = 0; i < world->detector_count; i++) {
        const il_detector *d = world->detectors[i];

        if (c->detector_count > 0 && il_detector_wanted(c, d->spec->name)) {
            w->h.fields.label = d->fields.label;
        }
    }
    w->form.folder = c->out;
    w->form.harvest = &w->h;
    IL_TRY(find_sites(w, err));
    return find_rows(w, err);
}

/* With the folder to itself: its index, then what is missing. */
static il_status harvest(work *w, il_error *err)
{
    il_stage_host host = il_detector_stage_host(w->session, w->c);
    json_t *models = NULL;
    json_t *is = NULL;
    char *lock = il_path_join(w->c->out, ".lock");
    int held = -1;
    il_status status = prepare(w, err);

    if (status == IL_OK) {
        status = lock != NULL
                     ? il_folder_make(w->c->out, err)
                     : il_error_set(err, IL_ERR_MEMORY, w->c->out, "out of memory");
    }
    if (status == IL_OK) {
        status = il_file_lock(lock, false, &held, err);
    }
    if (status == IL_OK) {
        status = il_activations_tidy(&w->form, err);
    }
    if (status == IL_OK) {
        status = il_stage_models(&host, w->st->world, w->st->job,
                                 (int64_t)w->st->job->chain_count - 1, &models, err);
    }
    if (status == IL_OK) {
        is = index_make(w, models);
        status = claim(w, is, err);
    }
    if (status == IL_OK) {
        status = all_shards(w, err);
    }
    if (held >= 0) {
        il_file_unlock(held);
    }
    json_decref(models);
    json_decref(is);
    free(lock);
    free(w->ids);
    return status;
}

int il_verb_activations(int argc, char **argv)
{
    il_detector_cli c;
    il_teller teller;
    il_session s = {0};
    il_detector_stage st = {.world = NULL};
    work w = {.session = &s, .st = &st, .c = &c};
    il_error err = {0};
    int code = il_detector_parse(&c, argc, argv, usage);
    il_status status;

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path == NULL || c.out == NULL || c.site_count == 0) {
        return il_detector_wrong(usage, "expected a pipeline, --out and --site", "");
    }
    il_teller_open(&teller, c.cli.quiet, c.json);
    c.cli.run.log = il_teller_log(&teller);
    c.cli.run.progress = il_teller_progress;
    c.cli.run.progress_user = &teller;
    status = il_activations_form_read(&w.form, c.dtype, c.format, &err);
    if (status == IL_OK) {
        status = il_session_open(&s, &c.cli.run, &err);
    }
    if (status == IL_OK) {
        status = il_detector_stage_open(&st, &s, &c, &err);
    }
    if (status == IL_OK) {
        status = il_detector_names_check(&st, &c, &err);
    }
    if (status == IL_OK) {
        status = harvest(&w, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_teller_end(&teller, code, status == IL_OK ? c.out : NULL);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, &c);
    return code;
}
