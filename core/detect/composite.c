#include "detect/composite.h"

#include <stdlib.h>
#include <string.h>
#include "detect/logits_private.h"
#include "interloop/abi.h"

static bool has_features(const il_detector *d)
{
    return IL_HAS(il_instance_detector(d->instance), features) &&
           IL_HAS(il_instance_detector(d->instance), feature_width);
}

static il_status place_sites(il_detector *d, size_t i, il_error *err)
{
    const il_detector *m = d->members[i];

    d->member_sites[i] =
        il_arena_calloc(d->arena, m->site_count + 1, sizeof *d->member_sites[i]);
    if (d->member_sites[i] == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t s = 0; s < m->site_count; s++) {
        size_t at = 0;

        while (at < d->site_count && d->sites[at] != m->sites[s]) {
            at++;
        }
        if (at == d->site_count) {
            return il_error_set(err, IL_ERR_INTERNAL, d->spec->name,
                                "a site of its member '%s' is none of its own",
                                m->spec->name);
        }
        d->member_sites[i][s] = at;
    }
    return IL_OK;
}

il_status il__detector_compose(il_detector *d, il_detector *const *members,
                               il_error *err)
{
    size_t n = d->spec->of.count;

    d->members = il_arena_calloc(d->arena, n + 1, sizeof(il_detector *));
    d->member_widths = il_arena_calloc(d->arena, n + 1, sizeof *d->member_widths);
    d->member_sites = il_arena_calloc(d->arena, n + 1, sizeof(size_t *));
    if (d->members == NULL || d->member_widths == NULL || d->member_sites == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        const il_detector_api *api;

        if (members == NULL || members[i] == NULL) {
            return il_error_set(err, IL_ERR_INTERNAL, d->spec->name,
                                "it reads detector '%s', which was not handed to it",
                                d->spec->of.items[i]);
        }
        api = il_instance_detector(members[i]->instance);
        if (members[i]->spec->pooled && has_features(members[i])) {
            return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                "it reads the features of '%s', a position at a time: "
                                "give `pool` to '%s' and not to '%s'",
                                members[i]->spec->name, d->spec->name,
                                members[i]->spec->name);
        }
        d->members[i] = members[i];
        d->member_widths[i] = has_features(members[i])
                                  ? api->feature_width(members[i]->instance->self)
                                  : 1;
        IL_TRY(place_sites(d, i, err));
    }
    d->member_count = n;
    return IL_OK;
}

il_tensor *il__detector_member(const il_detector *d, size_t i, il_pass *pass,
                               const il_scored *rows, il_tensor *const *acts,
                               bool gathered)
{
    const il_detector *m = d->members[i];
    il_tensor **own = il_pass_alloc(pass, (m->site_count + 1) * sizeof(il_tensor *));

    if (own == NULL) {
        return NULL;
    }
    for (size_t s = 0; s < m->site_count; s++) {
        own[s] = acts[d->member_sites[i][s]];
    }
    if (m->calibration.kind == IL_CALIBRATION_ISOTONIC) {
        il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                     "a member is calibrated by steps, which have no log-odds");
    }
    if (has_features(m)) {
        return il__detector_features(m, pass, rows, own, gathered);
    }
    return il_reshape(
        pass,
        il_calibration_odds(&m->calibration, pass,
                            il_detector_score(m, pass, rows, own, gathered, -1)),
        IL_SHAPE(rows->count, 1));
}

/* Every position of the batch, padding too: what stands there is nobody's to read. */
static bool all_positions(il_pass *pass, const il_scored *rows, il_scored *out)
{
    int64_t n = rows->batch * rows->length;

    *out = *rows;
    out->count = n;
    out->labels = NULL;
    out->first = NULL;
    out->rows = il_pass_alloc(pass, ((size_t)n + 1) * sizeof *out->rows);
    for (int64_t i = 0; out->rows != NULL && i < n; i++) {
        out->rows[i] = (int32_t)i;
    }
    return out->rows != NULL;
}

il_tensor **il__detector_member_acts(const il_detector *d, il_pass *pass,
                                     const il_scored *rows, il_tensor *const *acts,
                                     bool gathered)
{
    bool by_row = il_instance_detector(d->instance)->reads == IL_READS_ROWS;
    il_tensor **out = il_pass_alloc(pass, (d->member_count + 1) * sizeof(il_tensor *));
    il_scored all = il__detector_reads_pooled(d) ? *rows : il_scored_tokens(rows);

    if (out == NULL || (!by_row && !all_positions(pass, rows, &all))) {
        return NULL;
    }
    for (size_t i = 0; i < d->member_count; i++) {
        out[i] = il__detector_member(d, i, pass, &all, acts, gathered);
        if (!by_row) {
            out[i] = il_reshape(
                pass, out[i], IL_SHAPE(rows->batch, rows->length, d->member_widths[i]));
        }
    }
    return out;
}

/* ---- off the tape --------------------------------------------------------------- */

/* A harvest of inputs under way. */
typedef struct filling {
    const il_detector *d;
    const il_scored *rows;
    float **data; /* [member] */
    bool by_row;
    bool pooled;
} filling;

static il_status fill(void *user, il_pass *pass, const il_acts *part, int64_t first,
                      int64_t row, il_error *err)
{
    filling *f = user;
    il_tensor *x[IL_DETECTOR_SITES_MAX];
    il_tensor **inputs;

    IL_TRY(il__detector_borrow(f->d, pass, part, x, err));
    inputs = il__detector_member_acts(f->d, pass, &part->rows, x, part->gathered);
    IL_TRY(il_pass_status(pass, err));
    for (size_t i = 0; i < f->d->member_count; i++) {
        int64_t at = !f->by_row  ? first * part->rows.length
                     : f->pooled ? row
                                 : il_scored_first(f->rows, row);

        memcpy(f->data[i] + at * f->d->member_widths[i], il_f32(inputs[i]),
               (size_t)il_count(inputs[i]) * sizeof(float));
    }
    return IL_OK;
}

il_status il__detector_member_harvest(il_acts **out, const il_detector *d,
                                      const il_blas *blas, const il_acts *acts,
                                      il_error *err)
{
    il_arena *arena = il_arena_create(1 << 16);
    il_acts *own = arena != NULL ? il_arena_calloc(arena, 1, sizeof *own) : NULL;
    filling f = {.d = d,
                 .rows = &acts->rows,
                 .pooled = il__detector_reads_pooled(d),
                 .by_row = il_instance_detector(d->instance)->reads == IL_READS_ROWS};
    int64_t n = !f.by_row  ? acts->rows.batch * acts->rows.length
                : f.pooled ? acts->rows.count
                           : il_scored_first(&acts->rows, acts->rows.count);
    il_status status = IL_OK;

    f.data = own != NULL ? il_arena_calloc(arena, d->member_count + 1, sizeof(float *))
                         : NULL;
    for (size_t i = 0; f.data != NULL && i < d->member_count; i++) {
        f.data[i] = il_arena_calloc(arena, (size_t)n * (size_t)d->member_widths[i] + 1,
                                    sizeof(float));
        if (f.data[i] == NULL) {
            f.data = NULL;
        }
    }
    status = f.data != NULL
                 ? il__detector_chunks(d, blas, acts, fill, &f, err)
                 : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    if (status != IL_OK) {
        il_arena_destroy(arena);
        return status;
    }
    *own = (il_acts){.rows = f.pooled ? il_scored_flat(&acts->rows) : acts->rows,
                     .site_count = d->member_count,
                     .sites = NULL,
                     .widths = d->member_widths,
                     .data = (const float *const *)f.data,
                     .gathered = f.by_row,
                     .inputs = true,
                     .arena = arena};
    *out = own;
    return IL_OK;
}

void il_detector_hash(const il_detector *d, char hex[IL_HASH_HEX])
{
    const il_store *store = d->instance->store;
    il_hash *h = il_hash_create();

    hex[0] = '\0';
    if (h == NULL) {
        return;
    }
    il_hash_text(h, d->instance->offer->id);
    for (size_t i = 0; i < store->count; i++) {
        il_hash_part(h, store->values + store->items[i].offset,
                     (size_t)store->items[i].count * sizeof(float));
    }
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        size_t bytes = (size_t)il_detector_input_width(d, i) * sizeof(float);

        il_hash_text(h, il_detector_input_name(d, i));
        if (d->mean[i] != NULL) {
            il_hash_part(h, d->mean[i], bytes);
            il_hash_part(h, d->inv[i], bytes);
        }
    }
    if (d->calibration.kind != IL_CALIBRATION_NONE) {
        il_hash_text(h, il_calibration_name(d->calibration.kind));
        il_hash_part(h, &d->calibration.slope, sizeof d->calibration.slope);
        il_hash_part(h, &d->calibration.shift, sizeof d->calibration.shift);
    }
    for (size_t i = 0; i < d->member_count; i++) {
        char member[IL_HASH_HEX];

        il_detector_hash(d->members[i], member);
        il_hash_text(h, member);
    }
    il_hash_done(h, hex);
}
