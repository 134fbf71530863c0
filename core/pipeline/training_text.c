/* The training text: what of a stage decides its result, in one canonical form.
 *
 * It is written from the typed pipeline, so that defaults are filled in and 1 and
 * 1.0 are the same. Names of stages and signals, what only observes (audits,
 * ledgers, requirements, signals on `monitor`) and what only forbids (the firewall,
 * the vault) stay out. The order of signals stays in: it is the order of sums. */
#include "pipeline/jobs.h"

#include <stdlib.h>
#include <string.h>

typedef struct writer {
    il_text out;
    const il_pipeline *pipeline;
    const il_stage_spec *stage;
    const char *const *chain;
    size_t chain_count;
} writer;

static void put_key(writer *w, const char *key)
{
    size_t size = w->out.size;
    char last = size > 0 ? w->out.data[size - 1] : '{';

    il_text_addf(&w->out, "%s\"%s\":", last == '{' || last == '[' ? "" : ",", key);
}

static void put_text(writer *w, const char *key, const char *text)
{
    if (text != NULL) {
        put_key(w, key);
        il_text_add_json(&w->out, text);
    }
}

static void put_int(writer *w, const char *key, int64_t value)
{
    put_key(w, key);
    il_text_addf(&w->out, "%lld", (long long)value);
}

static void put_real(writer *w, const char *key, double value)
{
    char text[32];

    il_format_real(value, text);
    put_key(w, key);
    il_text_add(&w->out, text);
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* A set of names: their order says nothing. */
static void put_set(writer *w, const char *key, const il_names_spec *names)
{
    const char **order = malloc((names->count + 1) * sizeof(const char *));

    if (order == NULL) {
        w->out.failed = true;
        return;
    }
    for (size_t i = 0; i < names->count; i++) {
        order[i] = names->items[i];
    }
    qsort(order, names->count, sizeof(const char *), by_text);
    put_key(w, key);
    il_text_add(&w->out, "[");
    for (size_t i = 0; i < names->count; i++) {
        il_text_add(&w->out, i > 0 ? "," : "");
        il_text_add_json(&w->out, order[i]);
    }
    il_text_add(&w->out, "]");
    free(order);
}

/* Names in the order in which they are given. */
static void put_list(writer *w, const char *key, const il_names_spec *names)
{
    put_key(w, key);
    il_text_add(&w->out, "[");
    for (size_t i = 0; i < names->count; i++) {
        il_text_add(&w->out, i > 0 ? "," : "");
        il_text_add_json(&w->out, names->items[i]);
    }
    il_text_add(&w->out, "]");
}

static void open_map(writer *w, const char *key)
{
    if (key != NULL) {
        put_key(w, key);
    } else if (w->out.data[w->out.size - 1] == '}') {
        il_text_add(&w->out, ",");
    }
    il_text_add(&w->out, "{");
}

static void close_map(writer *w)
{
    il_text_add(&w->out, "}");
}

static void open_list(writer *w, const char *key)
{
    put_key(w, key);
    il_text_add(&w->out, "[");
}

static void close_list(writer *w)
{
    il_text_add(&w->out, "]");
}

static void put_component(writer *w, const char *key, const il_component_spec *c)
{
    if (c->use == NULL) {
        return;
    }
    open_map(w, key);
    put_key(w, "use");
    /* A bare id is the namespace's own; the range says which versions would do, not
     * which did. */
    il_text_addf(&w->out, "\"%s%s\"", strchr(c->use, '.') != NULL ? "" : "interloop.",
                 c->use);
    if (c->params != NULL && c->params->count > 0) {
        put_key(w, "params");
        il_node_write_canonical(&w->out, c->params);
    }
    close_map(w);
}

static void put_rollout(writer *w, const char *key, const il_rollout_spec *r)
{
    if (r->policy == NULL) {
        return;
    }
    open_map(w, key);
    put_text(w, "name", r->name);
    put_text(w, "policy", r->policy);
    put_int(w, "episodes", r->episodes);
    put_int(w, "prompts", r->prompts);
    put_int(w, "samples", r->samples);
    close_map(w);
}

static void put_draw(writer *w, const il_draw_spec *d)
{
    put_text(w, "split", d->split);
    put_rollout(w, "rollouts", &d->rollouts);
}

/* --- detectors and references --- */

static bool has_name(const il_names_spec *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

/* Whether what an audit measures decides about the training. */
static bool halts(const il_stage_spec *s)
{
    for (size_t i = 0; i < s->signal_count; i++) {
        if (s->signals[i].channel == IL_CHANNEL_HALT &&
            il_signal_acts(&s->signals[i])) {
            return true;
        }
    }
    return false;
}

static bool uses_itself(const il_stage_spec *s, const il_detector_spec *d)
{
    if (has_name(&s->fit, d->name) || same(s->train.shadow, d->name) || halts(s)) {
        return true; /* what an audit measures may hang on any of them */
    }
    if (s->train.given && d->refit.kind != IL_REFIT_FROZEN) {
        return true; /* the stage leaves it changed, pressed or not */
    }
    for (size_t i = 0; i < s->signal_count; i++) {
        const il_signal_spec *g = &s->signals[i];

        if (il_signal_acts(g) &&
            ((g->source.kind == IL_SOURCE_DETECTOR && same(g->source.name, d->name)) ||
             (g->gate.kind == IL_GATE_DETECTOR && same(g->gate.name, d->name)) ||
             (g->route.target_is_detector && same(g->route.target, d->name)))) {
            return true;
        }
    }
    return false;
}

/* Does the detector take part in what the stage leaves, itself or through one that
 * reads it? */
static bool uses_detector(const writer *w, const il_detector_spec *d)
{
    bool used = uses_itself(w->stage, d);

    for (size_t i = 0; i < w->pipeline->detector_count && !used; i++) {
        const il_detector_spec *other = &w->pipeline->detectors[i];

        used = uses_itself(w->stage, other) &&
               il_pipeline_composed(w->pipeline, other, d->name);
    }
    return used;
}

static bool uses_reference(const writer *w, const il_reference_spec *r)
{
    for (size_t i = 0; i < w->stage->signal_count; i++) {
        const il_signal_spec *g = &w->stage->signals[i];

        if (il_signal_acts(g) && g->source.kind == IL_SOURCE_KL &&
            same(g->source.name, r->name)) {
            return true;
        }
    }
    for (size_t i = 0; i < w->pipeline->detector_count; i++) {
        const il_detector_spec *d = &w->pipeline->detectors[i];

        if (same(d->on, r->name) && uses_detector(w, d)) {
            return true;
        }
    }
    return false;
}

static void put_references(writer *w)
{
    open_list(w, "references");
    for (size_t i = 0; i < w->pipeline->reference_count; i++) {
        const il_reference_spec *r = &w->pipeline->references[i];

        if (!uses_reference(w, r)) {
            continue;
        }
        open_map(w, NULL);
        put_text(w, "name", r->name);
        if (r->of_stage == NULL) {
            put_real(w, "moving_average", r->moving_average);
        }
        /* The stage's depth stands for its name: its own address is hashed with the
         * chain's. */
        for (size_t depth = 0; depth < w->chain_count; depth++) {
            if (same(r->of_stage, w->chain[depth])) {
                put_int(w, "of", (int64_t)depth);
            }
        }
        close_map(w);
    }
    close_list(w);
}

static void put_refit(writer *w, const il_refit_spec *r)
{
    static const char *const kinds[] = {"frozen", "every", "fresh", "online",
                                        "through_fit"};

    open_map(w, "refit");
    put_text(w, "kind", kinds[r->kind]);
    if (r->kind != IL_REFIT_FROZEN) {
        put_int(w, "every", r->every);
        put_int(w, "steps", r->steps);
        put_real(w, "lr", r->lr);
        put_text(w, "split", r->split);
        put_int(w, "rows", r->rows);
        open_map(w, "rollouts");
        for (size_t i = 0; i < r->rollout_count; i++) {
            put_int(w, r->rollouts[i].policy, r->rollouts[i].episodes);
        }
        close_map(w);
    }
    close_map(w);
}

static void put_detector(writer *w, const il_detector_spec *d)
{
    open_map(w, NULL);
    put_text(w, "name", d->name);
    /* Its bytes are part of the address, wherever they lie. */
    put_text(w, "from", d->from != NULL ? "file" : NULL);
    put_component(w, "component", &d->component);
    open_list(w, "sites");
    for (size_t i = 0; i < d->sites.count; i++) {
        il_text_add(&w->out, i > 0 ? "," : "");
        il_text_add_json(&w->out, d->sites.items[i]);
    }
    close_list(w);
    if (d->of.count > 0) {
        open_list(w, "of");
        for (size_t i = 0; i < d->of.count; i++) {
            il_text_add(&w->out, i > 0 ? "," : "");
            il_text_add_json(&w->out, d->of.items[i]);
        }
        close_list(w);
    }
    put_text(w, "on", d->on);
    put_text(w, "tokens", d->tokens);
    if (d->keys != NULL) {
        put_text(w, "keys", d->keys);
    }
    put_text(w, "context", il_context_name(d->context));
    put_text(w, "pool", d->pool);
    put_text(w, "label", d->fit.given ? NULL : d->label);
    if (d->fit.given) {
        open_map(w, "fit");
        put_draw(w, &d->fit.draw);
        put_text(w, "label", d->fit.label);
        put_text(w, "method", d->fit.method);
        put_int(w, "steps", d->fit.steps);
        put_int(w, "batch", d->fit.batch);
        put_real(w, "lr", d->fit.lr);
        put_real(w, "l2", d->fit.l2);
        put_real(w, "weight_decay", d->fit.weight_decay);
        if (d->fit.warmup >= 0 || d->fit.decay >= 0 || d->fit.lanes > 0 ||
            d->fit.hold > 0) {
            put_int(w, "warmup", d->fit.warmup);
            put_real(w, "decay", d->fit.decay);
            put_int(w, "lanes", d->fit.lanes);
            put_int(w, "hold", d->fit.hold);
        }
        close_map(w);
    }
    if (d->calibrate.given) {
        open_map(w, "calibrate");
        put_text(w, "method", d->calibrate.method);
        put_draw(w, &d->calibrate.draw);
        close_map(w);
    }
    if (d->threshold.kind == IL_THRESHOLD_LOGIT) {
        put_real(w, "logit", d->threshold.logit);
    } else if (d->threshold.kind == IL_THRESHOLD_RATE) {
        open_map(w, "threshold");
        put_real(w, "fpr", d->threshold.fpr);
        put_text(w, "unit", il_unit_name(d->threshold.unit));
        put_draw(w, &d->threshold.draw);
        close_map(w);
    }
    if (d->rezero.split != NULL) {
        put_text(w, "rezero", d->rezero.split);
        put_int(w, "rezero_rows", d->rezero.rows);
    }
    put_refit(w, &d->refit);
    close_map(w);
}

/* --- training --- */

static void put_optimizer(writer *w, const il_optimizer_spec *o)
{
    static const char *const kinds[] = {"adamw", "adam", "sgd"};
    static const char *const schedules[] = {"constant", "linear", "cosine", "step"};

    open_map(w, "optimizer");
    put_text(w, "use", kinds[o->kind]);
    if (o->rate_count == 0) {
        put_real(w, "lr", o->lr);
    } else {
        open_map(w, "lr");
        for (size_t i = 0; i < o->rate_count; i++) {
            put_real(w, o->rates[i].group, o->rates[i].lr);
        }
        close_map(w);
    }
    if (o->kind == IL_OPTIMIZER_SGD) {
        put_real(w, "momentum", o->momentum);
    } else {
        put_real(w, "beta1", o->beta1);
        put_real(w, "beta2", o->beta2);
        put_real(w, "eps", o->eps);
    }
    put_real(w, "weight_decay", o->weight_decay);
    put_text(w, "schedule", schedules[o->schedule.kind]);
    put_int(w, "warmup", o->schedule.warmup);
    put_real(w, "final", o->schedule.final);
    put_real(w, "at", o->schedule.at);
    put_real(w, "factor", o->schedule.factor);
    close_map(w);
}

static void put_algorithm(writer *w, const il_algorithm_spec *a)
{
    static const char *const kinds[] = {"none", "a2c", "group_relative", "ppo"};

    if (a->kind == IL_ALGORITHM_NONE) {
        return;
    }
    open_map(w, "algorithm");
    put_text(w, "use", kinds[a->kind]);
    put_real(w, "gamma", a->gamma);
    put_real(w, "lambda", a->lambda);
    put_real(w, "reward_scale", a->reward_scale);
    put_real(w, "value_weight", a->value_weight);
    put_int(w, "normalize_batch", a->normalize_batch);
    put_int(w, "divide_by_std", a->divide_by_std);
    if (a->kind == IL_ALGORITHM_PPO) {
        put_real(w, "clip", a->clip);
        put_int(w, "epochs", a->epochs);
        put_int(w, "minibatches", a->minibatches);
    }
    close_map(w);
}

static void put_train(writer *w, const il_train_spec *t)
{
    if (!t->given) {
        return;
    }
    open_map(w, "train");
    put_int(w, "steps", t->steps);
    put_int(w, "updates", t->updates);
    put_int(w, "batch", t->batch);
    put_int(w, "micro_batch", t->micro_batch);
    put_int(w, "lanes", t->lanes);
    put_optimizer(w, &t->optimizer);
    put_int(w, "continue", t->continue_optimizer);
    open_list(w, "clip");
    for (size_t i = 0; i < t->clip_count; i++) {
        open_map(w, NULL);
        put_int(w, "all", t->clips[i].all);
        put_set(w, "groups", &t->clips[i].groups);
        put_real(w, "norm", t->clips[i].norm);
        close_map(w);
    }
    close_list(w);
    put_text(w, "shadow", t->shadow);
    open_list(w, "rollouts");
    for (size_t i = 0; i < t->rollout_count; i++) {
        put_rollout(w, NULL, &t->rollouts[i]);
    }
    close_list(w);
    put_algorithm(w, &t->algorithm);
    if (t->sample.site != NULL) {
        put_text(w, "sample", t->sample.site);
        put_text(w, "mean", t->sample.mean);
        put_real(w, "std", t->sample.std);
    }
    close_map(w);
}

/* --- signals --- */

static void put_gate(writer *w, const il_gate_spec *g)
{
    static const char *const kinds[] = {"none", "detector", "constant", "label"};

    if (g->kind == IL_GATE_NONE) {
        return;
    }
    open_map(w, "gate");
    put_text(w, "kind", kinds[g->kind]);
    put_text(w, "name", g->name);
    put_real(w, "constant", g->constant);
    put_int(w, "scramble", g->scramble);
    put_int(w, "through", g->through);
    close_map(w);
}

static void put_edit(writer *w, const il_edit_spec *e)
{
    static const char *const kinds[] = {"", "ablate", "clamp", "steer", "splice"};

    open_map(w, "edit");
    put_text(w, "kind", kinds[e->kind]);
    put_real(w, "value", e->value);
    put_int(w, "classes", e->classes);
    put_int(w, "to_middle", e->to_middle);
    put_int(w, "keep_error", e->keep_error);
    open_list(w, "features");
    for (size_t i = 0; i < e->feature_count; i++) {
        il_text_addf(&w->out, "%s%d", i > 0 ? "," : "", (int)e->features[i]);
    }
    close_list(w);
    close_map(w);
}

static void put_halt(writer *w, const il_halt_spec *h)
{
    static const char *const actions[] = {"stop", "alarm", "freeze"};
    static const char *const keeps[] = {"last", "before", "best"};

    open_map(w, "halt");
    put_text(w, "metric", h->metric);
    put_text(w, "minus", h->minus);
    put_int(w, "below", h->below);
    put_real(w, "bound", h->bound);
    put_real(w, "until", h->until);
    put_int(w, "for", h->patience);
    put_text(w, "do", actions[h->action]);
    put_set(w, "freeze", &h->freeze);
    put_text(w, "keep", keeps[h->keep]);
    close_map(w);
}

static void put_sift(writer *w, const il_sift_spec *s)
{
    static const char *const kinds[] = {"below",   "above",      "lowest",
                                        "highest", "complement", "exponential"};

    open_map(w, "sift");
    put_text(w, "kind", kinds[s->kind]);
    put_real(w, "value", s->value);
    close_map(w);
}

/* Of an audit what its metrics on the way hang on. */
static void put_audit(writer *w, const il_audit_spec *a)
{
    open_map(w, "audit");
    put_int(w, "every", a->every);
    put_list(w, "splits", &a->splits);
    put_rollout(w, "rollouts", &a->rollouts);
    put_rollout(w, "reference", &a->reference);
    put_int(w, "samples", a->samples);
    put_list(w, "fresh", &a->fresh);
    put_text(w, "anchors", a->anchors);
    put_text(w, "against", a->against);
    put_text(w, "tokens", a->tokens);
    close_map(w);
}

static void put_signal(writer *w, const il_signal_spec *s)
{
    static const char *const sources[] = {
        "loss", "detector", "cross_entropy", "reward", "label", "entropy", "kl"};
    static const char *const routes[] = {"all", "none", "groups", "downstream",
                                         "upstream"};
    static const char *const scrambles[] = {NULL, "rows", "constant", "noise"};

    open_map(w, NULL);
    put_text(w, "source", sources[s->source.kind]);
    put_text(w, "name", s->source.name);
    put_text(w, "targets", s->source.targets);
    put_text(w, "mask", s->source.mask);
    put_text(w, "channel", il_channel_name(s->channel));
    put_real(w, "from", s->weight.from);
    put_real(w, "to", s->weight.to);
    put_int(w, "over", s->weight.over);
    put_real(w, "scale", s->scale);
    put_gate(w, &s->gate);
    if (s->has_trigger) {
        put_real(w, "above", s->trigger_above);
    }
    put_text(w, "tokens", s->tokens);
    put_text(w, "route", routes[s->route.kind]);
    put_text(w, "target", s->route.target);
    put_set(w, "groups", &s->route.groups);
    put_set(w, "on", &s->on);
    if (s->credit_sample) {
        put_int(w, "credit_sample", 1);
    }
    if (s->channel == IL_CHANNEL_EDIT) {
        put_edit(w, &s->edit);
    }
    if (s->channel == IL_CHANNEL_HALT) {
        put_halt(w, &s->halt);
    }
    if (s->channel == IL_CHANNEL_DATA) {
        put_sift(w, &s->sift);
    }
    put_text(w, "scramble", scrambles[s->scramble]);
    close_map(w);
}

const char *il_training_text(il_arena *arena, const il_pipeline *pipeline,
                             const il_stage_spec *stage, const char *const *chain,
                             size_t chain_count)
{
    writer w = {.pipeline = pipeline,
                .stage = stage,
                .chain = chain,
                .chain_count = chain_count};
    const char *text = NULL;

    il_text_add(&w.out, "{");
    put_component(&w, "model", &pipeline->model);
    put_component(&w, "data", &pipeline->data);
    put_component(&w, "environment", &pipeline->environment);
    put_references(&w);
    open_list(&w, "detectors");
    for (size_t i = 0; i < pipeline->detector_count; i++) {
        if (uses_detector(&w, &pipeline->detectors[i])) {
            put_detector(&w, &pipeline->detectors[i]);
        }
    }
    close_list(&w);
    put_train(&w, &stage->train);
    put_set(&w, "fit", &stage->fit);
    open_list(&w, "signals");
    for (size_t i = 0; i < stage->signal_count; i++) {
        if (il_signal_acts(&stage->signals[i])) {
            put_signal(&w, &stage->signals[i]);
        }
    }
    close_list(&w);
    if (halts(stage)) {
        put_audit(&w, &stage->audit);
    }
    il_text_add(&w.out, "}");
    if (!w.out.failed) {
        text = il_arena_strdup(arena, w.out.data);
    }
    il_text_free(&w.out);
    return text;
}
