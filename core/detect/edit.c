/* Edits: see edit.h. */
#include "detect/edit.h"

#include <math.h>
#include <string.h>
#include "detect/linear.h"
#include "interloop/abi.h"

/* ---- along a direction ---------------------------------------------------------- */

typedef struct turning {
    const double *u; /* (W), of norm 1 */
    bool sets;       /* the coordinate becomes `value`; else it grows by that */
    double value;
    double strength;
    int64_t count;
    const int32_t *rows; /* NULL: all */
} turning;

static double along(const double *u, const float *x, int64_t width)
{
    double c = 0;

    for (int64_t k = 0; k < width; k++) {
        c += u[k] * (double)x[k];
    }
    return c;
}

static void turn_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const turning *t = state;
    int64_t width = il_width(out);

    memcpy(out->data, in[0]->data, (size_t)il_count(out) * sizeof(float));
    for (int64_t i = 0; i < t->count; i++) {
        float *y = il_f32(out) + (t->rows != NULL ? t->rows[i] : i) * width;
        double by =
            t->strength * (t->sets ? t->value - along(t->u, y, width) : t->value);

        for (int64_t k = 0; k < width; k++) {
            y[k] = (float)((double)y[k] + by * t->u[k]);
        }
    }
}

/* y = x + s (value - u.x) u: dx = dy - s (u.dy) u. */
static void turn_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const turning *t = state;
    int64_t width = il_width(out);

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < il_count(out); i++) {
        din[0][i] += dout[i];
    }
    for (int64_t i = 0; din[0] != NULL && t->sets && i < t->count; i++) {
        int64_t at = (t->rows != NULL ? t->rows[i] : i) * width;
        double by = -t->strength * along(t->u, dout + at, width);

        for (int64_t k = 0; k < width; k++) {
            din[0][at + k] += (float)(by * t->u[k]);
        }
    }
}

static il_tensor *turn(const il_editor *e, il_pass *pass, il_tensor *x,
                       const il_edit_at *at)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "edit",
                                 .forward = turn_forward,
                                 .backward = turn_backward};
    const il_edit_spec *spec = e->spec;
    int64_t width = il_width(x);
    turning *t = il_pass_alloc(pass, sizeof *t);
    double *u = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *u);
    double norm = 0;

    if (t == NULL || u == NULL) {
        return x; /* the error sticks */
    }
    il_detector_direction(e->detector, u);
    for (int64_t k = 0; k < width; k++) {
        norm += u[k] * u[k];
    }
    norm = sqrt(norm);
    if (!(norm > 0 && norm < INFINITY)) {
        return x;
    }
    if ((spec->classes || spec->to_middle) && e->detector->apart == 0) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "edit: where classes lie along this direction is not on record, "
                     "as with one that was not fitted here; expected a clamp, or "
                     "`unit: direction`");
        return x;
    }
    for (int64_t k = 0; k < width; k++) {
        u[k] /= norm;
    }
    *t = (turning){.u = u,
                   .sets = spec->kind != IL_EDIT_STEER,
                   .value = spec->kind != IL_EDIT_ABLATE ? spec->value
                            : spec->to_middle            ? e->detector->middle
                                                         : 0.0,
                   .strength = at->strength,
                   .count = at->rows != NULL ? at->count : il_rows(x),
                   .rows = at->rows};
    if (spec->kind == IL_EDIT_STEER && spec->classes) {
        t->value *= e->detector->apart;
    }
    return il_custom_op(pass, &op, t, 1, &x, x->ndim, x->shape);
}

/* ---- rows in the place of rows -------------------------------------------------- */

typedef struct placing {
    float strength;
    int64_t count;
    const int32_t *rows; /* NULL: all */
} placing;

static void place_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const placing *p = state;
    int64_t width = il_width(out);

    memcpy(out->data, in[0]->data, (size_t)il_count(out) * sizeof(float));
    for (int64_t i = 0; i < p->count; i++) {
        float *y = il_f32(out) + (p->rows != NULL ? p->rows[i] : i) * width;
        const float *to = il_f32(in[1]) + i * width;

        for (int64_t k = 0; k < width; k++) {
            y[k] = p->strength == 1.0f ? to[k] : y[k] + p->strength * (to[k] - y[k]);
        }
    }
}

static void place_backward(const void *state, const il_tensor *const *in,
                           const il_tensor *out, const float *dout, float *const *din)
{
    const placing *p = state;
    int64_t width = il_width(out);

    (void)in;
    for (int64_t i = 0; din[0] != NULL && i < il_count(out); i++) {
        din[0][i] += dout[i];
    }
    for (int64_t i = 0; i < p->count; i++) {
        int64_t at = (p->rows != NULL ? p->rows[i] : i) * width;

        for (int64_t k = 0; din[0] != NULL && k < width; k++) {
            din[0][at + k] -= p->strength * dout[at + k];
        }
        for (int64_t k = 0; din[1] != NULL && k < width; k++) {
            din[1][i * width + k] += p->strength * dout[at + k];
        }
    }
}

/* x with the rows (N,W) of y where the edit applies. */
static il_tensor *place(il_pass *pass, il_tensor *x, il_tensor *y, const il_edit_at *at)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "edit",
                                 .forward = place_forward,
                                 .backward = place_backward};
    il_tensor *in[] = {x, y};
    placing *p = il_pass_alloc(pass, sizeof *p);
    int64_t count = at->rows != NULL ? at->count : il_rows(x);

    if (p == NULL || il_pass_failed(pass)) {
        return x;
    }
    if (il_rows(y) != count || il_width(y) != il_width(x)) {
        il_pass_fail(pass, IL_ERR_SHAPE,
                     "edit: expected as many rows back as it was given, of one width");
        return x;
    }
    *p = (placing){at->strength, count, at->rows};
    return il_custom_op(pass, &op, p, 2, in, x->ndim, x->shape);
}

/* ---- features ------------------------------------------------------------------- */

typedef struct choosing {
    const il_edit_spec *spec;
} choosing;

static void choose_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const il_edit_spec *spec = ((const choosing *)state)->spec;
    int64_t width = il_width(out);

    memcpy(out->data, in[0]->data, (size_t)il_count(out) * sizeof(float));
    for (int64_t i = 0; i < il_rows(out); i++) {
        for (size_t k = 0; k < spec->feature_count; k++) {
            float *f = il_f32(out) + i * width + spec->features[k];

            *f = spec->kind == IL_EDIT_ABLATE  ? 0.0f
                 : spec->kind == IL_EDIT_CLAMP ? (float)spec->value
                                               : *f + (float)spec->value;
        }
    }
}

static void choose_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    const il_edit_spec *spec = ((const choosing *)state)->spec;
    int64_t width = il_width(out);

    (void)in;
    if (din[0] == NULL) {
        return;
    }
    for (int64_t i = 0; i < il_count(out); i++) {
        din[0][i] += dout[i];
    }
    for (int64_t i = 0; spec->kind != IL_EDIT_STEER && i < il_rows(out); i++) {
        for (size_t k = 0; k < spec->feature_count; k++) {
            int64_t at = i * width + spec->features[k];

            din[0][at] -= dout[at];
        }
    }
}

/* (N,F) with the named features set, or shifted. */
static il_tensor *choose(const il_editor *e, il_pass *pass, il_tensor *features)
{
    static const il_custom op = {.struct_size = sizeof op,
                                 .name = "edit features",
                                 .forward = choose_forward,
                                 .backward = choose_backward};
    choosing *c = il_pass_alloc(pass, sizeof *c);

    if (c == NULL || il_pass_failed(pass)) {
        return features;
    }
    c->spec = e->spec;
    return il_custom_op(pass, &op, c, 1, &features, features->ndim, features->shape);
}

/* Rows (N,W) of a dictionary's site -> edited ones. */
static il_tensor *by_features(const il_editor *e, il_pass *pass, il_tensor *x)
{
    const il_detector *d = e->detector;
    const il_detector_api *api = il_instance_detector(d->instance);
    const void *self = d->instance->self;
    const il_reading r = {.struct_size = sizeof r,
                          .sites = 1,
                          .acts = &x,
                          .batch = il_rows(x),
                          .length = 1,
                          .context = IL_CONTEXT_SELF};
    il_tensor *features;
    il_tensor *y;

    if (e->spec->kind == IL_EDIT_SPLICE) {
        y = api->reconstruct(self, pass, &r);
        return e->spec->keep_error
                   ? il_add(pass, y, il_detach(pass, il_sub(pass, x, y)))
                   : y;
    }
    features = api->features(self, pass, &r);
    y = api->decode(self, pass, choose(e, pass, features));
    return il_add(pass, x, il_sub(pass, y, api->decode(self, pass, features)));
}

/* ---- the component's own -------------------------------------------------------- */

static il_tensor *by_itself(const il_editor *e, il_pass *pass, il_tensor *x)
{
    const il_detector *d = e->detector;
    const il_edit_spec *spec = e->spec;
    const il_edit edit = {.struct_size = sizeof edit,
                          .kind = spec->kind,
                          .value = (float)spec->value,
                          .feature_count = (int32_t)spec->feature_count,
                          .features = spec->features,
                          .keep_error = spec->keep_error};
    int64_t width = d->widths[0];
    float *spread = il_pass_alloc(pass, ((size_t)width + 1) * sizeof *spread);
    il_tensor *mean = NULL;

    if (d->mean[0] != NULL && spread != NULL) {
        mean = il_constant(pass, IL_SHAPE(width), d->mean[0]);
        x = il_mul(pass, il_sub(pass, x, mean),
                   il_constant(pass, IL_SHAPE(width), d->inv[0]));
    }
    x = il_instance_detector(d->instance)->edit(d->instance->self, pass, x, &edit);
    for (int64_t k = 0; mean != NULL && k < width; k++) {
        spread[k] = 1.0f / d->inv[0][k];
    }
    return mean == NULL
               ? x
               : il_add(pass,
                        il_mul(pass, x, il_constant(pass, IL_SHAPE(width), spread)),
                        mean);
}

/* ---- editors -------------------------------------------------------------------- */

static bool has_own(const il_detector *d)
{
    return IL_HAS(il_instance_detector(d->instance), edit);
}

static il_tensor *apply(const void *user, il_pass *pass, il_tensor *x,
                        const il_edit_at *at)
{
    const il_editor *e = user;
    const il_detector *d = e->detector;
    il_scope scope = {.label = d->spec->name,
                      .store = d->instance->store,
                      .values = d->values,
                      .first_bit = -1};
    il_tensor *y;

    if (il_width(x) != d->widths[0]) {
        il_pass_fail(pass, IL_ERR_SHAPE,
                     "edit: the site has another width than its "
                     "detector was made for");
        return x;
    }
    if (!has_own(d) && il_detector_linear(d)) {
        return turn(e, pass, x, at);
    }
    y = at->rows != NULL ? il_gather_rows(pass, x, at->count, at->rows)
                         : il_reshape(pass, x, IL_SHAPE(il_rows(x), il_width(x)));
    il_pass_enter(pass, &scope);
    y = has_own(d) ? by_itself(e, pass, y) : by_features(e, pass, y);
    il_pass_leave(pass);
    return place(pass, x, y, at);
}

void il_editor_open(il_editor *out, const il_detector *d, const il_edit_spec *spec,
                    const char *tokens)
{
    *out = (il_editor){
        .detector = d,
        .spec = spec,
        .site = {.site = (int32_t)d->sites[0],
                 .tokens = tokens != NULL ? tokens : d->spec->tokens,
                 .marker = -1,
                 .apply = apply,
                 .user = out},
    };
}

/* Whether the features that an edit names are among those there are. */
static void check_features(const il_detector *d, const il_edit_spec *spec,
                           il_problems *problems)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    int64_t width =
        IL_HAS(api, feature_width) ? api->feature_width(d->instance->self) : 0;

    for (size_t i = 0; i < spec->feature_count; i++) {
        if (width == 0) {
            il_problem_add(problems, spec->place, "detector '%s' has no features",
                           d->spec->name);
            return;
        }
        if (spec->features[i] >= width) {
            il_problem_add(problems, spec->place,
                           "detector '%s' has no feature %d, expected 0 to %lld",
                           d->spec->name, (int)spec->features[i], (long long)width - 1);
        }
    }
}

/* Whether a dictionary's slots give the edit. */
static void check_dictionary(const il_detector *d, const il_edit_spec *spec,
                             il_problems *problems)
{
    const il_detector_api *api = il_instance_detector(d->instance);

    if (spec->kind == IL_EDIT_SPLICE) {
        if (!IL_HAS(api, reconstruct)) {
            il_problem_add(problems, spec->place,
                           "detector '%s' gives no reconstruction to splice in: %s is "
                           "no dictionary",
                           d->spec->name, d->instance->offer->id);
        }
        return;
    }
    if (!IL_HAS(api, features) || !IL_HAS(api, decode)) {
        il_problem_add(problems, spec->place,
                       "detector '%s' cannot edit: %s is neither linear nor a "
                       "dictionary, and has no edit of its own",
                       d->spec->name, d->instance->offer->id);
        return;
    }
    if (spec->feature_count == 0) {
        il_problem_add(problems, spec->place,
                       "detector '%s' is a dictionary: say which of its features are "
                       "edited, as in `features: [7]`",
                       d->spec->name);
    }
    check_features(d, spec, problems);
}

void il_editor_check(const il_detector *d, const il_edit_spec *spec,
                     il_problems *problems)
{
    const char *name = d->spec->name;

    if (d->spec->on != NULL) {
        il_problem_add(problems, spec->place,
                       "detector '%s' reads the reference '%s': there is no site of "
                       "the model's to edit",
                       name, d->spec->on);
        return;
    }
    if (d->member_count > 0) {
        il_problem_add(problems, spec->place,
                       "detector '%s' reads detectors: an edit is made by one that "
                       "reads a site",
                       name);
        return;
    }
    if (d->site_count != 1) {
        il_problem_add(problems, spec->place,
                       "detector '%s' reads %zu sites: an edit is made by one that "
                       "reads one",
                       name, d->site_count);
        return;
    }
    if ((spec->to_middle || spec->classes) && !il_detector_linear(d)) {
        il_problem_add(problems, spec->place,
                       "detector '%s' has no direction along which classes lie: `to: "
                       "middle` and `unit: classes` are for linear ones",
                       name);
    }
    if (has_own(d)) {
        check_features(d, spec, problems);
        return;
    }
    if (!il_detector_linear(d)) {
        check_dictionary(d, spec, problems);
        return;
    }
    if (spec->kind == IL_EDIT_SPLICE) {
        il_problem_add(problems, spec->place,
                       "detector '%s' is one direction, which gives no reconstruction "
                       "to splice in: expected ablate, clamp or steer",
                       name);
    }
    if (spec->feature_count > 0) {
        il_problem_add(problems, spec->place,
                       "detector '%s' is one direction and has no features", name);
    }
}

/* ---- binding -------------------------------------------------------------------- */

il_status il_edits_bind(const il_site_edits *edits, il_pass *pass,
                        const il_batch *batch, const il_scored_fields *names,
                        il_arena *arena, il_error *err)
{
    for (size_t i = 0; edits != NULL && i < edits->count; i++) {
        const il_site_edit *e = &edits->items[i];
        il_edit_at at = {.strength = edits->strengths[i]};

        if (strcmp(e->tokens, "all") != 0) {
            il_scored_fields fields = {.tokens = e->tokens, .input = names->input};
            il_scored rows = {0};

            IL_TRY(il_scored_find(&rows, batch, &fields, arena, err));
            at.count = rows.count;
            at.rows = rows.rows;
        }
        IL_TRY(il_pass_edit(pass, e, &at, err));
    }
    return IL_OK;
}

/* Hands on what it gets: only the mark counts. */
static il_tensor *mark_only(const void *user, il_pass *pass, il_tensor *x,
                            const il_edit_at *at)
{
    (void)user;
    (void)pass;
    (void)at;
    return x;
}

/* Whether anything that was handed over depends on the marked site. */
static bool goes_on(il_pass *pass, const il_instance *model)
{
    for (size_t i = 0; i < model->output_count; i++) {
        const il_tensor *x = il_pass_output(pass, model->outputs[i].name);

        if (x != NULL && il_bits_has(il_tensor_v(x), 0)) {
            return true;
        }
    }
    for (size_t i = 0; i < model->loss_count; i++) {
        const il_tensor *x = il_pass_loss(pass, model->losses[i].name);

        if (x != NULL && il_bits_has(il_tensor_v(x), 0)) {
            return true;
        }
    }
    return false;
}

il_status il_edits_check(const il_site_edits *edits, const il_instance *model,
                         const float *const *values, const il_batch *batch,
                         const il_blas *blas, il_error *err)
{
    il_scope scope = {.label = model->label,
                      .store = model->store,
                      .values = values,
                      .first_bit = -1};
    il_pass *pass = NULL;
    il_status status = IL_OK;

    if (edits == NULL || edits->count == 0) {
        return IL_OK;
    }
    IL_TRY(il_pass_create(&pass, blas, 1, err));
    for (size_t i = 0; status == IL_OK && i < edits->count; i++) {
        const il_site_edit probe = {
            .site = edits->items[i].site, .tokens = "all", .apply = mark_only};
        const il_edit_at at = {.strength = 1.0f};

        il_pass_begin(pass);
        il_pass_sites_clear(pass);
        status = il_pass_edit(pass, &probe, &at, err);
        if (status == IL_OK) {
            il_pass_enter(pass, &scope);
            il_instance_model(model)->forward(model->self, pass, batch);
            il_pass_leave(pass);
            status = il_pass_status(pass, err);
        }
        if (status == IL_OK && !goes_on(pass, model)) {
            status = il_error_set(
                err, IL_ERR_INPUT, model->sites[probe.site].name,
                "this site cannot be edited: %s shows it and goes on without what is "
                "handed back there",
                model->offer->id);
        }
    }
    il_pass_destroy(pass);
    return status;
}
