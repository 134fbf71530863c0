/* Refits: see refit.h. */
#include "audit/refit.h"

#include <math.h>
#include <stdlib.h>
#include "audit/halves.h"
#include "detect/linear.h"
#include "detect/quality.h"

bool il_refit_can(const il_detector *d)
{
    return d->spec->fit.given && d->spec->label != NULL && d->fields.label != NULL &&
           d->member_count == 0 && d->spec->from == NULL && d->elsewhere == NULL &&
           d->spec->on == NULL && !il_detector_has_quality(d) &&
           d->site_count <= IL_PART_SITES;
}

/* ---- two fits -------------------------------------------------------------------- */

typedef struct refit_task {
    const il_audit_work *w;
    il_detector *detector;
    const il_acts *fit;
    const il_acts *judged;
    il_measured measured;
    il_error err;
} refit_task;

static il_status judge(const il_audit_work *w, const il_detector *d,
                       const il_acts *acts, il_measured *m, il_error *err)
{
    float *logits = calloc((size_t)acts->rows.count + 1, sizeof *logits);
    il_status status = logits != NULL
                           ? il_detector_logits(d, w->in->blas, acts, logits, err)
                           : il__audit_no_memory(err);

    if (status == IL_OK) {
        il_scores s = il__audit_scores(w, d, &acts->rows, logits);

        status = il_scores_measure(&s, 0, 0, 0, m, err);
    }
    free(logits);
    return status;
}

static void refit(void *user, int number, int worker)
{
    refit_task *t = (refit_task *)user + number;
    il_fit fit = {
        .blas = t->w->in->blas, .start = IL_FIT_FRESH, .seed = t->w->in->seed};

    (void)worker; /* a fit brings its own pass */
    if (il_detector_fit(t->detector, t->fit, &fit, &t->err) == IL_OK) {
        /* What fails is kept with the task. */
        (void)judge(t->w, t->detector, t->judged, &t->measured, &t->err);
    }
}

/* A second detector of the same recipe, not fitted, that alarms at the same rate. */
static il_status make_like(il_detector **out, const il_audit_work *w,
                           const il_detector *d, il_error *err)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_spec *spec = il_arena_calloc(w->out->arena, 1, sizeof *spec);
    il_detector_input in = {.registry = w->in->registry,
                            .spec = spec,
                            .model = w->in->model,
                            .seed = w->in->seed};
    il_status status;

    if (problems.arena == NULL || spec == NULL) {
        il_arena_destroy(problems.arena);
        return il__audit_no_memory(err);
    }
    *spec = *d->spec;
    spec->vault = false;
    spec->calibrate = (il_calibrate_spec){.given = false};
    spec->threshold = (il_threshold_spec){.kind = IL_THRESHOLD_NONE};
    spec->rezero = (il_rezero_spec){.split = NULL};
    spec->refit = (il_refit_spec){.kind = IL_REFIT_FROZEN};
    status = il_detector_create(out, &in, &problems, err);
    il_arena_destroy(problems.arena);
    if (status == IL_OK) {
        (*out)->fields = d->fields;
        (*out)->rate = d->rate;
    }
    return status;
}

static il_status take(il_refitted *out, il_audit_work *w, const il_detector *d,
                      const refit_task tasks[2], const char *name, il_error *err)
{
    il_measured own;

    for (int i = 0; i < 2; i++) {
        if (tasks[i].err.code != IL_OK) {
            return il__audit_unread(w, name, &tasks[i].err, err);
        }
    }
    IL_TRY(judge(w, d, tasks[0].judged, &own, err));
    out->done = true;
    out->caught = own.value[IL_MEASURE_TPR];
    out->cosine = out->drift[0] = out->drift[1] = NAN;
    for (int i = 0; i < 2; i++) {
        out->measured[i] = tasks[i].measured;
        w->out->looks++;
    }
    if (il_detector_linear(d) && il_detector_linear(tasks[0].detector)) {
        out->cosine = il_detector_cosine(tasks[0].detector, tasks[1].detector);
        for (int i = 0; i < 2; i++) {
            out->drift[i] = il_detector_cosine(d, tasks[i].detector);
        }
    }
    return IL_OK;
}

il_status il_refit_twice(il_refitted *out, il_audit_work *w, const il_detector *d,
                         const il_acts *const fit[2], const il_acts *judged,
                         const char *name, il_error *err)
{
    refit_task tasks[2] = {{.w = w, .fit = fit[0], .judged = judged},
                           {.w = w, .fit = fit[1], .judged = judged}};
    il_status status = IL_OK;

    out->done = false;
    for (int i = 0; status == IL_OK && i < 2; i++) {
        status = make_like(&tasks[i].detector, w, d, err);
    }
    if (status == IL_OK) {
        il_pool_run(w->in->pool, 2, refit, tasks);
        status = take(out, w, d, tasks, name, err);
    }
    for (int i = 0; i < 2; i++) {
        il_detector_destroy(tasks[i].detector);
    }
    return status;
}

/* ---- numbers --------------------------------------------------------------------- */

void il_refit_numbers(const il_refitted *r, il_refit_number out[IL_REFIT_NUMBERS])
{
    const double *a = r->measured[0].value;
    const double *b = r->measured[1].value;
    double recall = (a[IL_MEASURE_RECALL] + b[IL_MEASURE_RECALL]) / 2;
    const il_refit_number all[IL_REFIT_NUMBERS] = {
        {"refit.auroc", (a[IL_MEASURE_AUROC] + b[IL_MEASURE_AUROC]) / 2},
        {"refit.recall", recall},
        {"refit.cos", (r->drift[0] + r->drift[1]) / 2},
        {"noise.auroc", fabs(a[IL_MEASURE_AUROC] - b[IL_MEASURE_AUROC])},
        {"noise.recall", fabs(a[IL_MEASURE_RECALL] - b[IL_MEASURE_RECALL])},
        {"noise.cos", r->cosine},
        {"restored", recall - r->caught}};

    for (int i = 0; i < IL_REFIT_NUMBERS; i++) {
        out[i] = all[i];
    }
}

/* ---- on a split ------------------------------------------------------------------ */

il_status il__audit_refit(il_audit_work *w, const il_detector *d, const char *name,
                          const il_acts *judged, il_error *err)
{
    il_harvest h = il__audit_harvest(w, w->in->values);
    const char *noted = il_arena_printf(w->out->arena, "%s.refit", name);
    il_refit_number numbers[IL_REFIT_NUMBERS];
    il_refitted r = {.done = false};
    il_acts *anchors = NULL;
    il_part halves[2];
    int64_t half;
    il_status status;

    if (!w->in->whole || w->in->edits != NULL || d->spec->fit.draw.split == NULL ||
        !il_refit_can(d)) {
        return IL_OK;
    }
    IL_TRY(il_detector_harvest(&anchors, d, &h, NULL, err));
    half = il_part_row(anchors, 0.5);
    il_part_cut(&halves[0], anchors, 0, half);
    il_part_cut(&halves[1], anchors, half, anchors->rows.count - half);
    status = IL_OK;
    if (halves[0].both && halves[1].both) {
        const il_acts *const fit[] = {&halves[0].acts, &halves[1].acts};

        status = il_refit_twice(&r, w, d, fit, judged, noted, err);
    }
    il_acts_destroy(anchors);
    if (status != IL_OK || !r.done) {
        return status;
    }
    il_refit_numbers(&r, numbers);
    for (int i = 0; i < IL_REFIT_NUMBERS; i++) {
        if (isfinite(numbers[i].value)) {
            IL_TRY(il__audit_put(
                w, il_arena_printf(w->out->arena, "%s.%s", name, numbers[i].name),
                numbers[i].value, NULL, err));
        }
    }
    return IL_OK;
}
