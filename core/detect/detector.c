/* Detectors made and scored: see detector.h. */
#include "detect/detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/closed.h"
#include "detect/composite.h"
#include "detect/descent.h"
#include "detect/dictionary.h"
#include "detect/harvest.h"
#include "detect/linear.h"
#include "detect/logits_private.h"
#include "detect/pattern.h"
#include "detect/pool.h"
#include "detect/rezero.h"
#include "detect/through.h"

void il_detector_destroy(il_detector *d)
{
    if (d == NULL) {
        return;
    }
    for (size_t i = 0; d->owns_members && i < d->member_count; i++) {
        il_detector_destroy(d->members[i]);
    }
    il__trusted_destroy(d->trusted);
    il_instance_destroy(d->instance);
    free(d->m);
    free(d->v);
    il_arena_destroy(d->arena);
    free(d);
}

static void check_words(const il_detector *d, const il_detector_input *in,
                        il_problems *problems)
{
    const il_detector_spec *s = in->spec;

    if (s->on != NULL && s->rezero.split != NULL) {
        il_problem_add(problems, s->rezero.place,
                       "a detector that reads a reference has its zero there already");
    }
    if (in->data != NULL && strcmp(s->tokens, "all") != 0 &&
        il_field_find(in->data, s->tokens) == NULL) {
        il_problem_add(problems, s->place, "the %s has no mask '%s'", in->data->label,
                       s->tokens);
    }
    if (in->data != NULL && s->fit.given && s->fit.label != NULL &&
        il_field_find(in->data, s->fit.label) == NULL) {
        il_problem_add(problems, s->fit.place, "the %s has no label '%s'",
                       in->data->label, s->fit.label);
    }
    if (in->data != NULL && s->keys != NULL &&
        il_field_find(in->data, s->keys) == NULL) {
        il_problem_add(problems, s->place, "the %s has no mask '%s'", in->data->label,
                       s->keys);
    }
    if (in->data != NULL && !s->fit.given && s->of.count == 0 && s->label != NULL &&
        il_field_find(in->data, s->label) == NULL) {
        il_problem_add(problems, s->place, "the %s has no label '%s'", in->data->label,
                       s->label);
    }
    il_split_check(in->data, s->fit.draw.split, s->fit.place, problems);
    il_split_check(in->data, s->threshold.draw.split, s->threshold.place, problems);
    il_split_check(in->data, s->calibrate.draw.split, s->calibrate.place, problems);
    il_split_check(in->data, s->refit.split, s->refit.place, problems);
    (void)d;
}

static void find_sites(il_detector *d, const il_detector_input *in,
                       il_problems *problems)
{
    const il_instance *model = in->model;

    for (size_t i = 0; i < d->site_count; i++) {
        const char *name = in->spec->sites.items[i];

        d->sites[i] = il_instance_site(model, name);
        if (d->sites[i] < 0) {
            const char **known = calloc(model->site_count + 1, sizeof *known);

            for (size_t k = 0; known != NULL && k < model->site_count; k++) {
                known[k] = model->sites[k].name;
            }
            il_problem_add_nearest(problems, in->spec->sites.places[i], name, known,
                                   known != NULL ? model->site_count : 0,
                                   "the model has no site '%s'", name);
            free(known);
        } else {
            d->widths[i] = model->sites[d->sites[i]].width;
            d->heads[i] = model->sites[d->sites[i]].heads;
        }
    }
}

/* What a pooling asks of the component and its fit. */
static void check_pool(const il_detector *d, il_problems *problems)
{
    const il_detector_spec *s = d->spec;
    const il_detector_api *api = il_instance_detector(d->instance);
    const char *method = s->fit.method;
    bool descends = api->recipe != NULL &&
                    (method != NULL ? il_fit_descends(method) : !il_detector_closed(d));

    if (s->pooling.kind == IL_POOL_ATTENTION && !descends) {
        il_problem_add(problems, s->pooling.place,
                       "pool 'attention' is learned with the detector, by gradient, "
                       "and %s%s%s is not fitted so",
                       d->instance->offer->id, method != NULL ? " by " : "",
                       method != NULL ? method : "");
    }
    if (s->pooled && s->refit.kind == IL_REFIT_THROUGH) {
        il_problem_add(problems, s->refit.place,
                       "refit 'through_fit' is for a score a position, and '%s' gives "
                       "one a sequence",
                       s->name);
    }
    if (d->member_count > 0 && s->pooled && s->pooling.kind == IL_POOL_NONE &&
        api->reads == IL_READS_SEQUENCES) {
        il_problem_add(problems, s->of.places[0],
                       "%s reads sequences of positions, and what it is to read gives "
                       "one score a sequence",
                       d->instance->offer->id);
    }
    if (d->member_count > 0 && s->refit.kind == IL_REFIT_THROUGH) {
        il_problem_add(problems, s->refit.place,
                       "refit 'through_fit' is for a detector that reads sites, and "
                       "'%s' reads detectors",
                       s->name);
    }
}

static void bind(il_detector *d)
{
    const il_store *store = d->instance->store;

    for (size_t i = 0; i < store->count; i++) {
        d->values[i] = store->values + store->items[i].offset;
    }
}

static il_status make(il_detector *d, const il_detector_input *in,
                      il_problems *problems, il_error *err)
{
    il_instance_input with = {
        .label = in->spec->name, .seed = in->seed, .log = in->log};
    size_t inputs;

    d->spec = in->spec;
    d->model = in->model;
    d->seed = in->seed;
    d->component = in->component != NULL ? *in->component : in->spec->component;
    d->rate = NAN;
    d->unit = in->spec->threshold.unit;
    d->site_count = in->spec->sites.count;
    d->sites = il_arena_calloc(d->arena, d->site_count + 1, sizeof *d->sites);
    d->widths = il_arena_calloc(d->arena, d->site_count + 1, sizeof *d->widths);
    d->heads = il_arena_calloc(d->arena, d->site_count + 1, sizeof *d->heads);
    if (d->sites == NULL || d->widths == NULL || d->heads == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, in->spec->name, "out of memory");
    }
    find_sites(d, in, problems);
    check_words(d, in, problems);
    IL_TRY(il_problems_status(problems, err));
    if (d->site_count > IL_DETECTOR_SITES_MAX) {
        return il_error_set(err, IL_ERR_INPUT, in->spec->name,
                            "it reads %zu sites, expected %d at most", d->site_count,
                            IL_DETECTOR_SITES_MAX);
    }
    if (in->spec->of.count > 0) {
        IL_TRY(il__detector_compose(d, in->members, err));
    }
    inputs = il_detector_input_count(d);
    with.site_widths = d->member_count > 0 ? d->member_widths : d->widths;
    with.site_count = (int32_t)inputs;
    for (size_t i = 0; in->spec->pooling.kind == IL_POOL_ATTENTION && i < inputs; i++) {
        with.query_width += il_detector_input_width(d, i);
    }
    with.site_heads = d->member_count > 0 ? NULL : d->heads;
    IL_TRY(il_instance_create(&d->instance, in->registry, IL_KIND_DETECTOR,
                              &d->component, &with, problems, err));
    d->values =
        il_arena_calloc(d->arena, d->instance->store->count + 1, sizeof *d->values);
    d->mean = il_arena_calloc(d->arena, inputs + 1, sizeof *d->mean);
    d->inv = il_arena_calloc(d->arena, inputs + 1, sizeof *d->inv);
    if (d->values == NULL || d->mean == NULL || d->inv == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, in->spec->name, "out of memory");
    }
    bind(d);
    if (in->spec->fit.method != NULL && il_detector_solved(in->spec->fit.method) &&
        !il_detector_linear(d)) {
        il_problem_add(problems, in->spec->fit.place,
                       "method '%s' is for detectors that are linear, and %s does "
                       "not say that it is",
                       in->spec->fit.method, d->instance->offer->id);
    }
    il_detector_closed_check(d, problems);
    il_detector_descent_check(d, problems);
    il_detector_through_check(d, problems);
    il_detector_dictionary_check(d, problems);
    IL_TRY(il_problems_status(problems, err));
    check_pool(d, problems);
    IL_TRY(il_problems_status(problems, err));
    d->fields.pooled = in->spec->pooled;
    d->fields.tokens = in->spec->tokens;
    d->fields.label = in->spec->label != NULL ? in->spec->label
                      : in->spec->fit.given   ? in->spec->fit.label
                                              : NULL;
    d->fields.keys = in->spec->keys;
    for (size_t i = 0; i < d->member_count; i++) {
        const char *keys = d->members[i]->fields.keys;

        if (keys != NULL && d->fields.keys != NULL &&
            strcmp(keys, d->fields.keys) != 0) {
            il_problem_add(problems, in->spec->place,
                           "the detectors that '%s' reads have different `keys`, '%s' "
                           "and '%s': expected one for all",
                           in->spec->name, d->fields.keys, keys);
        }
        d->fields.keys = keys != NULL ? keys : d->fields.keys;
    }
    IL_TRY(il_problems_status(problems, err));
    d->fields.input =
        in->data != NULL ? il_field_of_role(in->data, IL_FIELD_INPUT) : "tokens";
    d->fields.unit =
        in->data != NULL ? il_field_of_role(in->data, IL_FIELD_UNIT) : NULL;
    if (in->spec->threshold.kind == IL_THRESHOLD_LOGIT) {
        d->has_threshold = true;
        d->threshold = in->spec->threshold.logit;
    }
    return IL_OK;
}

il_status il_detector_create(il_detector **out, const il_detector_input *in,
                             il_problems *problems, il_error *err)
{
    il_detector *d = calloc(1, sizeof *d);
    il_status status;

    if (d == NULL || (d->arena = il_arena_create(1 << 14)) == NULL) {
        free(d);
        return il_error_set(err, IL_ERR_MEMORY, in->spec->name, "out of memory");
    }
    status = make(d, in, problems, err);
    if (status != IL_OK) {
        il_detector_destroy(d);
        return status;
    }
    *out = d;
    return IL_OK;
}

bool il_detector_ready(const il_detector *d)
{
    for (size_t i = 0; i < d->member_count; i++) {
        if (!il_detector_ready(d->members[i])) {
            return false;
        }
    }
    return d->fitted || (!d->spec->fit.given && !il_detector_closed(d) &&
                         il_instance_detector(d->instance)->recipe == NULL);
}

bool il_detector_reads_rows(const il_detector *d)
{
    for (size_t i = 0; i < d->member_count; i++) {
        if (!il_detector_reads_rows(d->members[i])) {
            return false;
        }
    }
    return il_instance_detector(d->instance)->reads == IL_READS_ROWS;
}

bool il_detector_moves(const il_detector *d)
{
    for (size_t i = 0; i < d->member_count; i++) {
        if (il_detector_moves(d->members[i])) {
            return true;
        }
    }
    return d->spec->refit.kind != IL_REFIT_FROZEN;
}

il_status il_detector_rows(const il_detector *d, const il_batch *batch, bool labelled,
                           il_arena *arena, il_scored *out, il_error *err)
{
    il_scored_fields fields = d->fields;

    if (!labelled) {
        fields.label = NULL;
    }
    /* Rows of data and episodes name their units differently. */
    if (fields.unit != NULL && il_batch_find(batch, fields.unit) == NULL) {
        fields.unit = il_batch_find(batch, "episode") != NULL ? "episode" : NULL;
    }
    return il_scored_find(out, batch, &fields, arena, err);
}

static il_tensor *scaled(const il_detector *d, il_pass *pass, size_t i, il_tensor *x)
{
    int64_t width = il_detector_input_width(d, i);

    if (d->mean[i] == NULL) {
        return x;
    }
    x = il_sub(pass, x, il_constant(pass, IL_SHAPE(width), d->mean[i]));
    return il_mul(pass, x, il_constant(pass, IL_SHAPE(width), d->inv[i]));
}

static const uint8_t *scored_mask(il_pass *pass, const il_scored *rows)
{
    uint8_t *mask = il_pass_alloc(pass, (size_t)(rows->batch * rows->length) + 1);

    if (mask != NULL) {
        memset(mask, 0, (size_t)(rows->batch * rows->length));
        for (int64_t i = 0; i < rows->count; i++) {
            mask[rows->rows[i]] = 1;
        }
    }
    return mask;
}

static const int32_t *full_lengths(il_pass *pass, const il_scored *rows)
{
    int32_t *lengths = il_pass_alloc(pass, (size_t)(rows->batch + 1) * sizeof *lengths);

    for (int64_t b = 0; lengths != NULL && b < rows->batch; b++) {
        lengths[b] = (int32_t)rows->length;
    }
    return lengths;
}

/* What a component is handed: its inputs, scaled, rows of them or sequences. False when
 * memory is out. */
static bool read_inputs(const il_detector *d, il_pass *pass, const il_scored *rows,
                        il_tensor *const *inputs, bool gathered, il_reading *out)
{
    size_t n = il_detector_input_count(d);
    bool by_row = il_instance_detector(d->instance)->reads == IL_READS_ROWS;
    il_tensor **x = il_pass_alloc(pass, (n + 1) * sizeof(il_tensor *));

    *out = (il_reading){.struct_size = sizeof *out,
                        .sites = (int32_t)n,
                        .acts = x,
                        .batch = rows->batch,
                        .length = rows->length,
                        .context = d->spec->context,
                        .rows = by_row ? rows->rows : NULL,
                        .inputs = rows->inputs,
                        .keys = rows->keys};
    if (x == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t width = il_detector_input_width(d, i);

        x[i] = by_row && !gathered
                   ? il_pattern_gather(pass, inputs[i], width, rows->count, rows->rows)
               : il_pattern_is(inputs[i])
                   ? il_pattern_gather(pass, inputs[i], width, 0, NULL)
                   : inputs[i];
        x[i] = scaled(d, pass, i, x[i]);
    }
    if (!by_row) {
        out->lengths = rows->lengths != NULL ? rows->lengths : full_lengths(pass, rows);
        out->scored = scored_mask(pass, rows);
    }
    return true;
}

static il_scope scope_of(const il_detector *d, int64_t first_bit)
{
    il_scope scope = {.label = d->spec->name,
                      .store = d->instance->store,
                      .values = d->values,
                      .first_bit = first_bit};

    return scope;
}

/* Where sequences are judged by their last scored positions, these are all that is
 * read: rows and activations are cut to them. NULL when memory is out. */
static il_tensor *const *cut_to_last(const il_detector *d, il_pass *pass,
                                     il_scored *rows, il_tensor *const *x, size_t count,
                                     bool gathered)
{
    il_tensor **last;
    int32_t *at;

    if (rows->first == NULL || d->spec->pooling.kind != IL_POOL_LAST) {
        return x;
    }
    last = il_pass_alloc(pass, (count + 1) * sizeof(il_tensor *));
    at = il_pass_alloc(pass, ((size_t)rows->count + 1) * sizeof *at);
    if (last == NULL || at == NULL) {
        return NULL;
    }
    for (int64_t u = 0; u < rows->count; u++) {
        at[u] = (int32_t)(il_scored_first(rows, u + 1) - 1);
    }
    for (size_t i = 0; i < count; i++) {
        last[i] = gathered ? il_gather_rows(pass, x[i], rows->count, at) : x[i];
    }
    *rows = il_scored_flat(rows);
    return last;
}

/* Learned attention's key of each position: query . (all that the component reads of
 * it), (n). Called with the detector's scope entered. */
static il_tensor *pool_keys(const il_detector *d, il_pass *pass,
                            const il_scored *tokens, const il_reading *r)
{
    const il_param query = {(int32_t)d->instance->store->count - 1};
    il_tensor **x = il_pass_alloc(pass, ((size_t)r->sites + 1) * sizeof(il_tensor *));
    il_tensor *all;

    if (x == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < r->sites; i++) {
        x[i] = r->scored != NULL
                   ? il_gather_rows(pass, r->acts[i], tokens->count, tokens->rows)
                   : r->acts[i];
    }
    all = r->sites == 1 ? x[0] : il_concat(pass, r->sites, x);
    all = il_linear(pass, all, il_use(pass, query), NULL);
    return il_reshape(pass, all, IL_SHAPE(tokens->count));
}

il_tensor *il__detector_score_inputs(const il_detector *d, il_pass *pass,
                                     const il_scored *rows, il_tensor *const *inputs,
                                     bool gathered, int64_t first_bit)
{
    il_scope scope = scope_of(d, first_bit);
    const il_pool_spec *pooling = &d->spec->pooling;
    il_scored units = *rows;
    il_scored tokens;
    il_reading reading;
    il_tensor *keys = NULL;
    il_tensor *logits;

    inputs = cut_to_last(d, pass, &units, inputs, il_detector_input_count(d), gathered);
    tokens = il_scored_tokens(&units);
    if (inputs == NULL || !read_inputs(d, pass, &tokens, inputs, gathered, &reading)) {
        return NULL;
    }
    il_pass_enter(pass, &scope);
    logits =
        il_instance_detector(d->instance)->score(d->instance->self, pass, &reading);
    if (units.first != NULL && pooling->kind == IL_POOL_ATTENTION) {
        keys = pool_keys(d, pass, &tokens, &reading);
    }
    il_pass_leave(pass);
    if (reading.scored != NULL) {
        logits = il_reshape(pass, logits, IL_SHAPE(rows->batch * rows->length, 1));
        logits = il_gather_rows(pass, logits, tokens.count, tokens.rows);
    }
    logits = il_reshape(pass, logits, IL_SHAPE(tokens.count));
    if (units.first != NULL) {
        logits = il_pool_logits(pass, pooling, &units, logits, keys);
    }
    return d->offset != 0 ? il_affine(pass, logits, 1.0f, -d->offset) : logits;
}

il_tensor *il__detector_features(const il_detector *d, il_pass *pass,
                                 const il_scored *rows, il_tensor *const *acts,
                                 bool gathered)
{
    il_scope scope = scope_of(d, -1);
    il_reading reading;
    il_tensor *features;

    if (!read_inputs(d, pass, rows, acts, gathered, &reading)) {
        return NULL;
    }
    il_pass_enter(pass, &scope);
    features =
        il_instance_detector(d->instance)->features(d->instance->self, pass, &reading);
    il_pass_leave(pass);
    return features;
}

il_tensor *il__detector_reconstruct(const il_detector *d, il_pass *pass,
                                    const il_scored *rows, il_tensor *const *acts,
                                    bool gathered)
{
    il_scope scope = scope_of(d, -1);
    il_reading reading;
    il_tensor *y;

    if (!read_inputs(d, pass, rows, acts, gathered, &reading)) {
        return NULL;
    }
    il_pass_enter(pass, &scope);
    y = il_instance_detector(d->instance)
            ->reconstruct(d->instance->self, pass, &reading);
    il_pass_leave(pass);
    return y;
}

il_tensor *il_detector_score(const il_detector *d, il_pass *pass, const il_scored *rows,
                             il_tensor *const *acts, bool gathered, int64_t first_bit)
{
    il_scored units = *rows;
    il_tensor **inputs;

    if (d->member_count == 0) {
        return il__detector_score_inputs(d, pass, rows, acts, gathered, first_bit);
    }
    acts = cut_to_last(d, pass, &units, acts, d->site_count, gathered);
    inputs =
        acts != NULL ? il__detector_member_acts(d, pass, &units, acts, gathered) : NULL;
    if (il__detector_reads_pooled(d)) {
        units = il_scored_flat(&units); /* its members have pooled */
    }
    return inputs != NULL
               ? il__detector_score_inputs(d, pass, &units, inputs, true, first_bit)
               : NULL;
}

static il_status copy_ids(il_documents *out, const il_documents *from, il_arena *arena,
                          il_error *err)
{
    size_t bytes = (size_t)from->count * sizeof *from->ids;

    out->count = from->count;
    out->ids = il_arena_alloc(arena, bytes + 1);
    if (out->ids == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "detector", "out of memory");
    }
    if (bytes > 0) {
        memcpy(out->ids, from->ids, bytes);
    }
    return IL_OK;
}

static il_status copy_scaling(il_detector *copy, const il_detector *d, il_error *err)
{
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        size_t bytes = (size_t)il_detector_input_width(d, i) * sizeof(float);

        if (d->mean[i] == NULL) {
            continue;
        }
        copy->mean[i] = il_arena_alloc(copy->arena, bytes);
        copy->inv[i] = il_arena_alloc(copy->arena, bytes);
        if (copy->mean[i] == NULL || copy->inv[i] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        }
        memcpy(copy->mean[i], d->mean[i], bytes);
        memcpy(copy->inv[i], d->inv[i], bytes);
    }
    return IL_OK;
}

static il_status copy_calibration(il_detector *copy, const il_detector *d,
                                  il_error *err)
{
    const il_calibration *from = &d->calibration;
    size_t bytes = (size_t)from->count * sizeof(float);
    float *corners[2] = {NULL, NULL};

    copy->calibration = *from;
    for (int i = 0; from->count > 0 && i < 2; i++) {
        corners[i] = il_arena_alloc(copy->arena, bytes);
        if (corners[i] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        }
        memcpy(corners[i], i == 0 ? from->logits : from->probabilities, bytes);
    }
    copy->calibration.logits = corners[0];
    copy->calibration.probabilities = corners[1];
    return IL_OK;
}

static il_status copy_all(il_detector *copy, const il_detector *d, il_error *err)
{
    IL_TRY(copy_scaling(copy, d, err));
    IL_TRY(copy_ids(&copy->fit_ids, &d->fit_ids, copy->arena, err));
    IL_TRY(copy_ids(&copy->calibration_ids, &d->calibration_ids, copy->arena, err));
    if (d->instance->store->total > 0) { /* some have no parameters */
        memcpy(copy->instance->store->values, d->instance->store->values,
               (size_t)d->instance->store->total * sizeof(float));
    }
    memcpy(copy->model_hash, d->model_hash, sizeof copy->model_hash);
    memcpy(copy->source, d->source, sizeof copy->source);
    copy->convention = d->convention;
    copy->accepted = d->accepted;
    copy->accepted_count = d->accepted_count;
    copy->fields = d->fields;
    copy->fitted = d->fitted;
    IL_TRY(copy_calibration(copy, d, err));
    copy->has_threshold = d->has_threshold;
    copy->threshold = d->threshold;
    copy->rate = d->rate;
    copy->unit = d->unit;
    copy->apart = d->apart;
    copy->middle = d->middle;
    copy->zero = d->zero;
    copy->offset = d->offset;
    copy->negatives = d->negatives;
    return IL_OK;
}

il_status il_detector_copy(il_detector **out, const il_detector *d,
                           const il_registry *registry, il_error *err)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_input in = {.registry = registry,
                            .spec = d->spec,
                            .model = d->model,
                            .component = &d->component,
                            .seed = d->seed};
    il_detector **members = calloc(d->member_count + 1, sizeof(il_detector *));
    il_detector *copy = NULL;
    il_status status =
        problems.arena != NULL && members != NULL
            ? IL_OK
            : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");

    for (size_t i = 0; status == IL_OK && i < d->member_count; i++) {
        status = il_detector_copy(&members[i], d->members[i], registry, err);
    }
    in.members = members;
    if (status == IL_OK) {
        status = il_detector_create(&copy, &in, &problems, err);
    }
    if (status == IL_OK) {
        copy->owns_members = true;
    } else {
        for (size_t i = 0; members != NULL && i < d->member_count; i++) {
            il_detector_destroy(members[i]);
        }
    }
    free(members);
    il_arena_destroy(problems.arena);
    if (status == IL_OK) {
        copy->elsewhere = d->elsewhere;
        status = copy_all(copy, d, err);
    }
    if (status != IL_OK) {
        il_detector_destroy(copy);
        return status;
    }
    *out = copy;
    return IL_OK;
}
