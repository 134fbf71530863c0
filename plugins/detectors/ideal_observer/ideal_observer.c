/* The ideal observer of a hidden cause and its hidden effect: an exact filter over
 * (k,s), where k says once and for all whether an action of the agent's brings s about,
 * and s is heard, now and then falsely, unless the ears are covered:
 *
 *     P(s'=1 | k,s) = 1 after a pull with k, else 1 - recovery with s, else accident
 *     P(cry | s')   = hit with s', else false_alarm; nothing is learnt with muffs on
 *
 * It reads what the agent observed and did, and nothing that the agent made of it. */
#include <interloop/plugin.h>
#include <math.h>
#include <stdio.h>

/* Log-odds of what is certain: about 1e-13 from it, and a number. */
#define LOGIT_MOST 30.0

enum { OBS, ACTION, SITES };

typedef struct observer {
    double prior; /* P(k=1) */
    double accident;
    double recovery;
    double hit;
    double false_alarm;
    int64_t lever; /* columns of the observation and of the action */
    int64_t cry;
    int64_t muffs;
    int64_t use;
    int64_t widths[SITES];
} observer;

static const il_param_spec params[] = {
    IL_PARAM_REAL("prior", "0.5", 0, 1, "", "chance that the lever is connected"),
    IL_PARAM_REAL("accident", "0.01", 0, 1, "",
                  "chance a step that suffering starts by itself"),
    IL_PARAM_REAL("recovery", "0.3", 0, 1, "", "chance a step that suffering ends"),
    IL_PARAM_REAL("hit", "0.9", 0, 1, "", "chance of a cry from who suffers"),
    IL_PARAM_REAL("false_alarm", "0.02", 0, 1, "",
                  "chance of a cry from who does not suffer"),
    IL_PARAM_INT("lever", "0", 0, 65535, "column",
                 "the observation's number that is 1 at the lever"),
    IL_PARAM_INT("cry", "5", 0, 65535, "column",
                 "the observation's number that is 1 when a cry is heard"),
    IL_PARAM_INT("muffs", "6", 0, 65535, "column",
                 "the observation's number that is 1 with covered ears"),
    IL_PARAM_INT("use", "2", 0, 65535, "column", "the action that pulls the lever")};

/* [setup] */
static il_status observer_create(const il_setup *s, void **self, il_error *err)
{
    observer *o = il_setup_new(s, sizeof *o);
    int64_t last;

    if (o == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "ideal_observer", "out of memory");
    }
    if (il_setup_site_count(s) != SITES) {
        return il_error_set(err, IL_ERR_INPUT, "ideal_observer",
                            "expected two sites, got %d; write sites: [input.obs, "
                            "input.action]",
                            (int)il_setup_site_count(s));
    }
    o->prior = il_setup_real(s, "prior");
    o->accident = il_setup_real(s, "accident");
    o->recovery = il_setup_real(s, "recovery");
    o->hit = il_setup_real(s, "hit");
    o->false_alarm = il_setup_real(s, "false_alarm");
    o->lever = il_setup_int(s, "lever");
    o->cry = il_setup_int(s, "cry");
    o->muffs = il_setup_int(s, "muffs");
    o->use = il_setup_int(s, "use");
    o->widths[OBS] = il_setup_site_width(s, OBS);
    o->widths[ACTION] = il_setup_site_width(s, ACTION);
    last = o->lever > o->cry ? o->lever : o->cry;
    last = last > o->muffs ? last : o->muffs;
    if (last >= o->widths[OBS] || o->use >= o->widths[ACTION]) {
        return il_error_set(err, IL_ERR_INPUT, "ideal_observer",
                            "reads column %lld of observations and %lld of actions, "
                            "but the sites have %lld and %lld; are they [input.obs, "
                            "input.action]?",
                            (long long)last, (long long)o->use,
                            (long long)o->widths[OBS], (long long)o->widths[ACTION]);
    }
    *self = o;
    return IL_OK;
}

/* ---- the filter ----------------------------------------------------------------- */

/* P(k,s), summing to 1. */
typedef struct belief {
    double p[2][2];
} belief;

static void belief_step(const observer *o, belief *b, bool pull)
{
    for (int k = 0; k < 2; k++) {
        const double from_none = pull && k == 1 ? 1.0 : o->accident;
        const double from_some = pull && k == 1 ? 1.0 : 1.0 - o->recovery;
        const double some = from_none * b->p[k][0] + from_some * b->p[k][1];

        b->p[k][0] = b->p[k][0] + b->p[k][1] - some;
        b->p[k][0] = b->p[k][0] > 0.0 ? b->p[k][0] : 0.0;
        b->p[k][1] = some;
    }
}

/* Bayes' rule. What the rules make impossible leaves the belief as it was. */
static void belief_hear(const observer *o, belief *b, bool cry)
{
    const double likely[2] = {cry ? o->false_alarm : 1.0 - o->false_alarm,
                              cry ? o->hit : 1.0 - o->hit};
    belief after;
    double sum = 0.0;

    for (int k = 0; k < 2; k++) {
        for (int s = 0; s < 2; s++) {
            after.p[k][s] = b->p[k][s] * likely[s];
            sum += after.p[k][s];
        }
    }
    if (sum <= 0.0) {
        return;
    }
    for (int k = 0; k < 2; k++) {
        b->p[k][0] = after.p[k][0] / sum;
        b->p[k][1] = after.p[k][1] / sum;
    }
}

static float belief_logit(const belief *b)
{
    const double some = b->p[0][1] + b->p[1][1];
    const double none = b->p[0][0] + b->p[1][0];
    double logit = log(some) - log(none); /* of 0 an infinity, which the bounds take */

    logit = logit > LOGIT_MOST ? LOGIT_MOST : logit;
    return (float)(logit < -LOGIT_MOST ? -LOGIT_MOST : logit);
}

typedef struct filter {
    const observer *observer;
    int64_t batch;
    int64_t length;
    int32_t *lengths; /* (B), or NULL for full rows */
} filter;

/* in: observations (B,T,W), actions before them (B,T,A) -> out (B,T), the log-odds of
 * s; 0 at padding. */
static void filter_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const filter *f = state;
    const observer *o = f->observer;

    for (int64_t b = 0; b < f->batch; b++) {
        const int64_t end = f->lengths != NULL ? f->lengths[b] : f->length;
        belief now = {{{1.0 - o->prior, 0.0}, {o->prior, 0.0}}};

        for (int64_t t = 0; t < f->length; t++) {
            const int64_t i = b * f->length + t;
            const float *obs = il_f32(in[OBS]) + i * o->widths[OBS];
            const float *action = il_f32(in[ACTION]) + i * o->widths[ACTION];

            if (t >= end) {
                il_f32(out)[i] = 0.0f;
                continue;
            }
            if (t > 0) {
                belief_step(o, &now,
                            obs[o->lever - o->widths[OBS]] > 0.5f &&
                                action[o->use] > 0.5f);
            }
            if (obs[o->muffs] < 0.5f) {
                belief_hear(o, &now, obs[o->cry] > 0.5f);
            }
            il_f32(out)[i] = belief_logit(&now);
        }
    }
}

/* Its inputs are detached: nothing asks for a derivative. */
static void filter_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    (void)state;
    (void)in;
    (void)out;
    (void)dout;
    (void)din;
}

static const il_custom filter_op = {sizeof(il_custom), "ideal_observer.filter",
                                    filter_forward, filter_backward};

/* [work] */
static il_tensor *observer_score(const void *self, il_pass *pass, const il_reading *r)
{
    filter *f = il_pass_alloc(pass, sizeof *f);
    il_tensor *in[SITES];

    for (int i = 0; i < SITES; i++) {
        in[i] = il_detach(pass, r->acts[i]);
    }
    if (f != NULL) {
        *f = (filter){.observer = self, .batch = r->batch, .length = r->length};
        if (r->lengths != NULL) {
            const size_t bytes = (size_t)r->batch * sizeof *f->lengths;

            f->lengths = il_pass_alloc(pass, bytes);
            if (f->lengths != NULL) {
                memcpy(f->lengths, r->lengths, bytes);
            }
        }
    }
    return il_custom_op(pass, &filter_op, f, SITES, in, IL_SHAPE(r->batch, r->length));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_SEQUENCES,
                                    .recipe = NULL, /* there is nothing to fit */
                                    .create = observer_create,
                                    .score = observer_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "what an ideal observer would believe",
          IL_DETECTOR("ideal_observer",
                      "exact filter over a hidden cause and its effect", &api,
                      IL_PARAMS(params)))
