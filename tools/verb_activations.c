/* interloop activations: what a stage's model holds at its sites, over a whole split,
 * in shards. Each shard is written whole or not at all, so that a harvest that was
 * stopped goes on where it was, to the same bits. */
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "detector.h"

static const char usage[] =
    "usage: interloop activations PIPELINE --stage NAME --out DIR --site NAME [OPTION]...\n"
    "\n"
    "  Runs the stage's model over a split and writes what it holds at the named sites, in\n"
    "  shards: DIR/NNNNN.safetensors with acts.SITE (B,T,W) float32, tokens (B,T) int32, mask\n"
    "  (B,T) bool, ids (B,) int64, and labels (B,T) uint8 where a detector has a label.\n"
    "  DIR/index.json says what they are. Called again, it goes on after the shards that are\n"
    "  there; for another stage or other rows than theirs it refuses.\n"
    "\n"
    "  --site NAME         may be given more than once\n"
    "  --split NAME        rows of the data (train)\n"
    "  --rows N            of the split, from its first; all without\n"
    "  --batch N           rows a shard (1024), rounded up to whole chunks of 64\n"
    "  --tokens NAME       the mask (all)\n"
    "  --detector NAME     whose label to write\n"
    "  --variant NAME, --seed N, --set PATH=VALUE, --plugin-path DIR, --runs DIR, --workers N\n";

enum { SITES_MAX = 64, INDEX_MAX = 1 << 20 };

/* Rows of a shard: the split's, from `offset` on. */
typedef struct window {
    const il_instance *data;
    int32_t split;
    int64_t offset;
} window;

static il_status window_fetch(void *user, int64_t index, int64_t rows, il_batch *batch,
                              il_error *err)
{
    const window *w = user;

    return il_instance_dataset(w->data)->get(w->data->self, w->split, w->offset + index,
                                             rows, batch, err);
}

typedef struct crop {
    il_safetensor items[SITES_MAX + 4];
    size_t count;
} crop;

static void add(crop *c, const char *name, uint8_t code, uint8_t bits, int32_t ndim,
                const int64_t *shape, const void *data)
{
    il_safetensor *t = &c->items[c->count++];

    memset(t, 0, sizeof *t);
    t->name = name;
    t->dtype = (il_dtype){code, bits, 1};
    t->ndim = ndim;
    t->data = data;
    t->bytes = bits / 8;
    for (int32_t i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        t->bytes *= (size_t)shape[i];
    }
}

/* Writes one shard of what was harvested. */
static il_status write_shard(const char *path, const il_harvest *h, const il_acts *acts,
                             il_arena *arena, il_error *err)
{
    const il_scored *s = &acts->rows;
    const int64_t wide[2] = {s->batch, s->length};
    size_t positions = (size_t)(s->batch * s->length);
    uint8_t *mask = il_arena_calloc(arena, positions + 1, 1);
    uint8_t *labels = il_arena_calloc(arena, positions + 1, 1);
    int64_t *ids = il_arena_calloc(arena, (size_t)s->batch + 1, sizeof *ids);
    crop c = {.count = 0};

    if (mask == NULL || labels == NULL || ids == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    for (int64_t b = 0; b < s->batch; b++) {
        ids[b] = -1 - b; /* of a row that nothing is scored in */
    }
    for (int64_t i = 0; i < s->count; i++) {
        mask[s->rows[i]] = 1;
        labels[s->rows[i]] = s->labels != NULL && s->labels[i] != 0;
        ids[s->rows[i] / s->length] = s->documents[i];
    }
    for (size_t i = 0; i < acts->site_count; i++) {
        const int64_t shape[3] = {s->batch, s->length, acts->widths[i]};
        const char *name = il_arena_printf(arena, IL_GIVEN_ACTS "%s",
                                           h->model->sites[h->sites[i]].name);

        if (name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        }
        add(&c, name, IL_CODE_FLOAT, 32, 3, shape, acts->data[i]);
    }
    if (s->inputs != NULL) {
        add(&c, "tokens", IL_CODE_INT, 32, 2, wide, s->inputs);
    }
    if (s->labels != NULL) {
        add(&c, "labels", IL_CODE_UINT, 8, 2, wide, labels);
    }
    add(&c, "mask", IL_CODE_BOOL, 8, 2, wide, mask);
    add(&c, "ids", IL_CODE_INT, 64, 1, wide, ids);
    return il_safetensors_write(path, c.items, c.count, NULL, 0, err);
}

/* The index as it is to be: what decides the shards' bits, and how many there are. */
static char *index_text(const il_detector_stage *st, const il_harvest *h,
                        const char *split, int64_t rows, int64_t shard)
{
    json_t *sites = json_array();
    uint8_t print[32];
    char hex[65];
    char model[IL_HASH_HEX];
    json_t *o;
    char *text;

    il_stage_model(st->world, model);
    il_instance_dataset(h->data)->fingerprint(h->data->self, print);
    for (int i = 0; i < 32; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", print[i]);
    }
    for (size_t i = 0; i < h->site_count; i++) {
        json_array_append_new(sites, json_string(h->model->sites[h->sites[i]].name));
    }
    o = json_pack("{s:i, s:s, s:s, s:s, s:o, s:s, s:s*, s:I, s:I, s:I}", "interloop", 1,
                  "model", model, "data", hex, "split", split, "sites", sites, "tokens",
                  h->fields.tokens, "label", h->fields.label, "rows", (json_int_t)rows,
                  "rows_a_shard", (json_int_t)shard, "shards",
                  (json_int_t)((rows + shard - 1) / shard));
    text = json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(o);
    return text;
}

/* Holds the folder to its index, or writes one where there is none. */
static il_status claim(const char *folder, const char *text, il_error *err)
{
    char *path = il_path_join(folder, "index.json");
    char *old = NULL;
    size_t size = 0;
    il_status status = path != NULL && text != NULL
                           ? il_folder_make(folder, err)
                           : il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");

    if (status == IL_OK && !il_file_exists(path)) {
        status = il_file_write(path, text, strlen(text), err);
    } else if (status == IL_OK) {
        status = il_file_read(path, INDEX_MAX, &old, &size, err);
        if (status == IL_OK && strcmp(old, text) != 0) {
            status =
                il_error_set(err, IL_ERR_INPUT, path,
                             "is of another harvest: name another folder, or remove "
                             "this one");
        }
    }
    free(old);
    free(path);
    return status;
}

static il_status all_shards(const il_detector_cli *c, il_harvest *h, window *w,
                            int64_t rows, int64_t shard, il_error *err)
{
    int64_t count = (rows + shard - 1) / shard;
    int64_t kept = 0;
    il_status status = IL_OK;

    for (int64_t k = 0; status == IL_OK && k < count; k++) {
        il_arena *arena = il_arena_create(1 << 16);
        const char *path =
            arena != NULL
                ? il_arena_printf(arena, "%s/%05" PRId64 ".safetensors", c->out, k)
                : NULL;
        il_acts *acts = NULL;

        if (path == NULL) {
            status = il_error_set(err, IL_ERR_MEMORY, c->out, "out of memory");
        } else if (il_file_exists(path)) {
            kept++;
        } else {
            w->offset = k * shard;
            h->rows = rows - w->offset < shard ? rows - w->offset : shard;
            h->fields.first_document = w->offset;
            status = il_acts_harvest(&acts, h, err);
            if (status == IL_OK) {
                status = write_shard(path, h, acts, arena, err);
            }
            if (status == IL_OK) {
                fprintf(stderr, "shard %" PRId64 " of %" PRId64 "\n", k + 1, count);
            }
        }
        il_acts_destroy(acts);
        il_arena_destroy(arena);
    }
    if (status == IL_OK) {
        printf("%" PRId64 " rows in %" PRId64 " shards in %s, %" PRId64
               " of them there before\n",
               rows, count, c->out, kept);
    }
    return status;
}

/* What is harvested: sites, mask, label and rows, as the options say. */
static il_status harvest(const il_detector_stage *st, const il_detector_cli *c,
                         il_error *err)
{
    const il_world *world = st->world;
    int64_t sites[SITES_MAX];
    window w = {.data = world->data};
    il_harvest h = {.model = world->model,
                    .values = world->values,
                    .data = world->data,
                    .blas = world->host.blas,
                    .pool = world->host.pool,
                    .fetch = window_fetch,
                    .user = &w,
                    .sites = sites,
                    .site_count = c->site_count};
    int64_t shard = c->batch > 0 ? c->batch : 1024;
    int64_t have = 0;
    int64_t rows;
    char *text;
    il_status status;

    if (world->data == NULL) {
        return il_error_set(err, IL_ERR_INPUT, c->cli.run.path,
                            "there is no `data` that has splits");
    }
    h.split = c->split_count > 0 ? c->splits[0] : "train";
    h.fields.tokens = c->tokens != NULL ? c->tokens : "all";
    for (size_t i = 0; i < world->detector_count; i++) {
        const il_detector *d = world->detectors[i];

        if (c->detector_count > 0 && il_detector_wanted(c, d->spec->name)) {
            h.fields.label = d->fields.label;
        }
    }
    for (size_t i = 0; i < c->site_count; i++) {
        sites[i] = il_instance_site(world->model, c->sites[i]);
        if (sites[i] < 0) {
            return il_error_set(err, IL_ERR_INPUT, "--site",
                                "the model has no site '%s'", c->sites[i]);
        }
    }
    w.split = il_split_find(world->data, h.split, &have);
    rows = c->rows > 0 ? c->rows : have;
    if (w.split < 0 || rows < 1 || (have >= 0 && rows > have)) {
        return il_error_set(err, IL_ERR_INPUT, "--split",
                            w.split < 0 ? "there is no split '%s'"
                                        : "split '%s' has not so many rows; say --rows",
                            h.split);
    }
    shard = (shard + IL_HARVEST_CHUNK - 1) / IL_HARVEST_CHUNK * IL_HARVEST_CHUNK;
    text = index_text(st, &h, h.split, rows, shard);
    status = claim(c->out, text, err);
    free(text);
    return status == IL_OK ? all_shards(c, &h, &w, rows, shard, err) : status;
}

int il_verb_activations(int argc, char **argv)
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
    if (c.cli.run.path == NULL || c.out == NULL || c.site_count == 0) {
        return il_detector_wrong(usage, "expected a pipeline, --out and --site", "");
    }
    status = il_detector_session_open(&s, &c, usage, &err);
    if (status == IL_OK) {
        status = il_detector_stage_open(&st, &s, &c, &err);
    }
    if (status == IL_OK) {
        status = il_detector_names_check(&st, &c, &err);
    }
    if (status == IL_OK) {
        status = harvest(&st, &c, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, &c);
    return code;
}
