/* Halts where a stage is trained twice, to be certified: see stage.h. */
#include <math.h>
#include <stdlib.h>
#include "interloop/rng.h"
#include "loop/measured.h"
#include "loop/stage_private.h"

struct il_stage_guard {
    il_stage_work work;
};

il_status il_stage_guard_open(il_stage_guard **out, const il_stage_host *host,
                              il_world *w, const il_job *job, size_t at, il_error *err)
{
    il_stage_guard *g = calloc(1, sizeof *g);
    il_status status;

    if (g == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, job->stage, "out of memory");
    }
    status = il__stage_open(&g->work, host, w, job, at, err);
    if (status == IL_OK) {
        status = il__stage_parent(&g->work, NULL, err);
    }
    if (status != IL_OK) {
        il_stage_guard_close(g);
        return status;
    }
    *out = g;
    return IL_OK;
}

void il_stage_guard_close(il_stage_guard *g)
{
    if (g != NULL) {
        il__stage_close(&g->work);
        free(g);
    }
}

bool il_stage_guard_ended(const il_stage_guard *g)
{
    return g->work.ended != NULL;
}

/* A reading well on one side of the line or well on the other, as a coin falls; the
 * first audit is healthy, so that there is something to compare. */
static double toss(const il_stage_work *s, const il_halt *h, int64_t step)
{
    const il_halt_spec *spec = &h->spec->halt;
    double far = fabs(spec->bound) + fabs(spec->until) + 1.0;
    bool ill;
    il_rng r;

    il_rng_open(&r, s->world->seed, (uint32_t)s->at, IL_RNG_SCRAMBLE, (uint64_t)step,
                UINT64_MAX / 2 - (uint64_t)(h - s->halts.items));
    ill = step > 0 && il_rng_below(&r, 2) == 1;
    return ill == spec->below ? -far : far;
}

il_status il_stage_guard_look(il_stage_guard *g, il_trainer *t, const char *scrambled,
                              il_error *err)
{
    il_stage_work *s = &g->work;
    int64_t every = s->spec->audit.every;
    bool measured = false;

    if (every < 1 || t->step % every != 0) {
        return IL_OK;
    }
    for (size_t i = 0; i < s->halts.count; i++) {
        il_halt *h = &s->halts.items[i];
        double reading = NAN;

        if (!il_signal_acts(h->spec)) {
            continue;
        }
        if (scrambled != NULL &&
            il_halt_hangs_on(s->world->pipeline, s->spec, h->spec, scrambled)) {
            reading = toss(s, h, t->step);
        } else {
            if (!measured) {
                IL_TRY(il__stage_audit(s, t->step, false, err));
                measured = true;
            }
            IL_TRY(il__stage_reading(s, h, t->step, &reading, err));
        }
        if (!(il_halt_judge(h, reading, t->step) & IL_HALT_FIRES)) {
            continue;
        }
        if (h->spec->halt.action == IL_HALT_FREEZE) {
            il_trainer_freeze(t, &h->spec->halt.freeze);
        } else if (s->ended == NULL) {
            s->ended = h;
            s->ended_at = t->step;
        }
    }
    return IL_OK;
}
