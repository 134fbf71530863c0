/* interloop detector harvest: a stage's activations with labels, ids and masks, as
 * .npy and safetensors files, for readers elsewhere. */
#include "detector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "episode/recorded.h"
#include "formats/npy.h"

static const char usage[] =
    "usage: interloop detector harvest PIPELINE --stage NAME --out DIR [OPTION]...\n"
    "\n"
    "  Runs the stage's model over rows and writes what it holds at the named sites: DIR has\n"
    "  activations.safetensors, and the same as .npy files: acts.SITE (B,T,W) float32, labels\n"
    "  (B,T) uint8, mask (B,T) bool, ids (B,) int64, and lengths (B,) where rows are padded.\n"
    "  The metadata say what they are, so that `fit` and `eval` hold them to a contract.\n"
    "\n"
    "  --detector NAME     whose sites, tokens and label to take (the first that has a label)\n"
    "  --site NAME         a site instead of the detector's; may be given more than once\n"
    "  --tokens NAME       the mask, or all\n"
    "  --split NAME        rows of the data (those of the stage's audit); without data the\n"
    "                      episodes of the stage's audit are read\n"
    "  --rows N            of the split, from its first\n"
    "  --scored            only the scored positions: acts.SITE (N,W), labels and ids (N,)\n"
    "  --variant NAME, --seed N, --set PATH=VALUE, --plugin-path DIR, --runs DIR, --workers N\n";

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};
static const il_dtype u8 = {IL_CODE_UINT, 8, 1};
static const il_dtype flags = {IL_CODE_BOOL, 8, 1};

/* What is written, one array after the other. */
typedef struct crop {
    il_arena *arena;
    const char *folder;
    il_safetensor items[80];
    size_t count;
} crop;

static il_status add(crop *c, const char *name, il_dtype dtype, int32_t ndim,
                     const int64_t *shape, const void *data, il_error *err)
{
    il_safetensor *t = &c->items[c->count];

    if (c->count == sizeof c->items / sizeof c->items[0]) {
        return il_error_set(err, IL_ERR_INPUT, name, "too many sites at once");
    }
    memset(t, 0, sizeof *t);
    t->name = name;
    t->dtype = dtype;
    t->ndim = ndim;
    t->data = data;
    t->bytes = dtype.bits / 8;
    for (int32_t i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        t->bytes *= (size_t)shape[i];
    }
    c->count++;
    return IL_OK;
}

/* ---- what is read --------------------------------------------------------------- */

/* The detector whose words stand where the command line has none; NULL without any. */
static const il_detector *model_reader(const il_detector_stage *st,
                                       const il_detector_cli *c)
{
    const il_detector *first = NULL;

    for (size_t i = 0; i < st->world->detector_count; i++) {
        const il_detector *d = st->world->detectors[i];

        if (il_detector_wanted(c, d->spec->name) &&
            (first == NULL ||
             (first->fields.label == NULL && d->fields.label != NULL))) {
            first = d;
        }
    }
    return first;
}

static il_status find_sites(const il_world *w, const il_detector *d,
                            const il_detector_cli *c, il_arena *arena, il_harvest *h,
                            il_error *err)
{
    int64_t *sites;

    if (c->site_count == 0) {
        h->sites = d->sites;
        h->site_count = d->site_count;
        return IL_OK;
    }
    sites = il_arena_calloc(arena, c->site_count, sizeof *sites);
    if (sites == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    for (size_t i = 0; i < c->site_count; i++) {
        sites[i] = il_instance_site(w->model, c->sites[i]);
        if (sites[i] < 0) {
            const char *names[512];
            size_t n = 0;
            const char *nearest;

            for (; n < w->model->site_count && n < 512; n++) {
                names[n] = w->model->sites[n].name;
            }
            nearest = il_nearest(c->sites[i], names, n);
            return il_error_set(
                err, IL_ERR_INPUT, "--site", "the model has no site '%s'%s%s%s",
                c->sites[i], nearest != NULL ? ", did you mean '" : "",
                nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
        }
    }
    h->sites = sites;
    h->site_count = c->site_count;
    return IL_OK;
}

/* Rows of a split, or of the audit's episodes; `from` is what they are called. */
static il_status read_rows(il_acts **out, const il_detector_stage *st,
                           const il_detector_cli *c, il_harvest *h, const char **from,
                           il_error *err)
{
    const il_world *w = st->world;
    il_draw_spec draw;
    il_rollout key = {.environment = w->environment,
                      .model = w->model,
                      .values = w->values,
                      .seed = w->seed};
    il_recorded *episodes = NULL;
    il_status status;

    IL_TRY(il_detector_judge_draw(st->spec, c->split_count > 0 ? c->splits[0] : NULL,
                                  &draw, &key.draw, from, err));
    if (draw.split != NULL) {
        if (w->data == NULL) {
            return il_error_set(err, IL_ERR_INPUT, c->cli.run.path,
                                "there is no `data` that has splits");
        }
        h->data = w->data;
        h->split = draw.split;
        h->rows = c->rows;
        return il_acts_harvest(out, h, err);
    }
    if (c->rows > 0) {
        draw.rollouts.episodes = c->rows;
    }
    IL_TRY(il_recorded_draw(&episodes, &draw.rollouts, &key, w->host.blas, w->host.pool,
                            err));
    h->data = w->environment;
    h->fetch = il_recorded_fetch;
    h->user = episodes;
    h->rows = il_recorded_count(episodes);
    h->split = "episodes";
    status = il_acts_harvest(out, h, err);
    il_recorded_destroy(episodes);
    return status;
}

/* ---- what is written ------------------------------------------------------------ */

/* One value a position, 0 where nothing is scored, and one id a row. */
static il_status spread(crop *c, const il_acts *acts, il_error *err)
{
    const il_scored *s = &acts->rows;
    const int64_t wide[2] = {s->batch, s->length};
    size_t positions = (size_t)(s->batch * s->length);
    uint8_t *labels = il_arena_calloc(c->arena, positions + 1, 1);
    uint8_t *mask = il_arena_calloc(c->arena, positions + 1, 1);
    int64_t *ids = il_arena_calloc(c->arena, (size_t)s->batch + 1, sizeof *ids);
    int64_t *lengths = il_arena_calloc(c->arena, (size_t)s->batch + 1, sizeof *lengths);

    if (labels == NULL || mask == NULL || ids == NULL || lengths == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    for (int64_t b = 0; b < s->batch; b++) {
        ids[b] = -1 - b; /* of a row that nothing is scored in */
        lengths[b] = s->lengths != NULL ? s->lengths[b] : s->length;
    }
    for (int64_t i = 0; i < s->count; i++) {
        mask[s->rows[i]] = 1;
        labels[s->rows[i]] = s->labels != NULL && s->labels[i] != 0;
        ids[s->rows[i] / s->length] = s->documents[i];
    }
    if (s->labels != NULL) {
        IL_TRY(add(c, "labels", u8, 2, wide, labels, err));
    }
    IL_TRY(add(c, "mask", flags, 2, wide, mask, err));
    IL_TRY(add(c, "ids", i64, 1, wide, ids, err));
    return s->lengths != NULL ? add(c, "lengths", i64, 1, wide, lengths, err) : IL_OK;
}

static il_status gather(crop *c, const il_harvest *h, const il_acts *acts, bool scored,
                        il_error *err)
{
    const il_scored *s = &acts->rows;

    for (size_t i = 0; i < acts->site_count; i++) {
        const int64_t rows[2] = {s->count, acts->widths[i]};
        const int64_t wide[3] = {s->batch, s->length, acts->widths[i]};
        const char *name = il_arena_printf(c->arena, IL_GIVEN_ACTS "%s",
                                           h->model->sites[h->sites[i]].name);

        if (name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
        }
        IL_TRY(add(c, name, f32, scored ? 2 : 3, scored ? rows : wide, acts->data[i],
                   err));
    }
    if (!scored) {
        return spread(c, acts, err);
    }
    if (s->labels != NULL) {
        IL_TRY(add(c, "labels", u8, 1, &s->count, s->labels, err));
    }
    return add(c, "ids", i64, 1, &s->count, s->documents, err);
}

static json_t *about(const il_detector_stage *st, const il_harvest *h, const char *from,
                     json_t *models)
{
    json_t *sites = json_array();
    char hash[IL_HASH_HEX];

    il_stage_model(st->world, hash);
    for (size_t i = 0; i < h->site_count; i++) {
        json_array_append_new(sites, json_string(h->model->sites[h->sites[i]].name));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:s, s:s*, s:s, s:O}",
                     "pipeline", st->job->pipeline->name, "stage", st->job->stage,
                     "variant", st->job->variant, "seed", (json_int_t)st->job->seed,
                     "rows", from, "sites", sites, "convention", IL_CONVENTION,
                     "tokens", h->fields.tokens, "label", h->fields.label, "model",
                     hash, "models", models);
}

static il_status write_all(crop *c, json_t *words, il_error *err)
{
    char *text = json_dumps(words, JSON_COMPACT | JSON_SORT_KEYS);
    il_safetensors_pair pair = {IL_GIVEN_KEY, text};
    char *path = il_path_join(c->folder, "activations.safetensors");
    il_status status =
        text != NULL && path != NULL
            ? il_folder_make(c->folder, err)
            : il_error_set(err, IL_ERR_MEMORY, c->folder, "out of memory");

    if (status == IL_OK) {
        status = il_safetensors_write(path, c->items, c->count, &pair, 1, err);
    }
    for (size_t i = 0; status == IL_OK && i < c->count; i++) {
        il_array a = il_safetensor_array(&c->items[i]);
        const char *name =
            il_arena_printf(c->arena, "%s/%s.npy", c->folder, c->items[i].name);

        status = name != NULL
                     ? il_npy_write(name, &a, err)
                     : il_error_set(err, IL_ERR_MEMORY, c->folder, "out of memory");
    }
    free(path);
    free(text);
    return status;
}

static void say(const crop *c, const il_acts *acts, const char *from)
{
    char shape[96];
    char type[16];

    printf("%" PRId64 " scored rows of %" PRId64 " documents of %s, in %s:\n",
           acts->rows.count, acts->rows.batch, from, c->folder);
    for (size_t i = 0; i < c->count; i++) {
        const il_safetensor *t = &c->items[i];

        printf("  %s.npy  %s %s\n", t->name, il_dtype_text(t->dtype, type),
               il_array_shape(t->ndim, t->shape, shape));
    }
    printf("  activations.safetensors  all of them\n");
}

static il_status harvest(const il_session *s, const il_detector_stage *st,
                         const il_detector_cli *c, il_error *err)
{
    const il_world *w = st->world;
    const il_detector *d = model_reader(st, c);
    crop all = {.arena = il_arena_create(1 << 16), .folder = c->out};
    il_harvest h = {.model = w->model,
                    .values = w->values,
                    .blas = w->host.blas,
                    .pool = w->host.pool,
                    .gathered = c->rows_only};
    il_stage_host host = il_detector_stage_host(s, c);
    il_acts *acts = NULL;
    json_t *models = NULL;
    json_t *words = NULL;
    const char *from = "";
    il_status status = IL_OK;

    if (all.arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "harvest", "out of memory");
    }
    if (d == NULL && c->site_count == 0) {
        status = il_error_set(err, IL_ERR_INPUT, c->cli.run.path,
                              "there is no detector whose sites to take: name one by "
                              "--site");
    }
    if (status == IL_OK) {
        h.fields.tokens = c->tokens != NULL ? c->tokens
                          : d != NULL       ? d->fields.tokens
                                            : "all";
        h.fields.label = d != NULL ? d->fields.label : NULL;
        status = find_sites(w, d, c, all.arena, &h, err);
    }
    if (status == IL_OK) {
        status = read_rows(&acts, st, c, &h, &from, err);
    }
    if (status == IL_OK) {
        status = gather(&all, &h, acts, c->rows_only, err);
    }
    if (status == IL_OK) {
        status = il_stage_models(&host, w, st->job, (int64_t)st->job->chain_count - 1,
                                 &models, err);
    }
    if (status == IL_OK) {
        words = about(st, &h, from, models);
        status = write_all(&all, words, err);
    }
    if (status == IL_OK) {
        say(&all, acts, from);
    }
    json_decref(words);
    json_decref(models);
    il_acts_destroy(acts);
    il_arena_destroy(all.arena);
    return status;
}

int il_detector_harvest_verb(int argc, char **argv)
{
    il_detector_cli c;
    il_session s = {0};
    il_detector_stage st = {.world = NULL};
    il_error err = {0};
    int code = il_detector_parse(&c, argc, argv, usage);
    il_status status;

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path == NULL || c.out == NULL) {
        return il_detector_wrong(usage, "expected a pipeline and --out", "");
    }
    status = il_detector_session_open(&s, &c, usage, &err);
    if (status == IL_OK) {
        status = il_detector_stage_open(&st, &s, &c, &err);
    }
    if (status == IL_OK) {
        status = il_detector_names_check(&st, &c, &err);
    }
    if (status == IL_OK) {
        status = harvest(&s, &st, &c, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, &c);
    return code;
}
