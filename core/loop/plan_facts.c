/* The facts that the firewall judges, taken off a planned trainer.
 *
 * The universe of parameters is the model's, then, with a shadow, the shadow's, then
 * those of each reference. */
#include <math.h>
#include <string.h>
#include "loop/halt.h"
#include "loop/measured.h"
#include "loop/plan_private.h"

typedef struct facts {
    il_plan *plan;
    const il_trainer *t;
    size_t n;          /* parameters */
    size_t words;      /* of the flow's universe */
    size_t references; /* the first bit of theirs */
    size_t *source_of; /* [source]: its detector */
    const il_job_step *chain;
    size_t chain_count;
} facts;

static il_word *set_new(const facts *f)
{
    return il_arena_calloc(f->plan->arena, f->words, sizeof(il_word));
}

/* A set of parameters in the flow's universe: in the first of two passes what is
 * downstream is the shadow's. */
static il_word *lift(const facts *f, const il_word *set, int kind)
{
    il_word *out = set_new(f);
    bool shadow = f->t->terms->shadow >= 0 && kind == IL_PASS_FIRST;

    for (size_t i = 0; out != NULL && i < f->n; i++) {
        if (il_bits_has(set, i)) {
            il_bits_set(out,
                        shadow && il_bits_has(f->t->terms->below, i) ? f->n + i : i);
        }
    }
    return out;
}

/* Adds a set's parameters, as a reference holds them. */
static void add_reference(const facts *f, il_word *out, size_t reference,
                          const il_word *set)
{
    for (size_t i = 0; i < f->n; i++) {
        if (set == NULL || il_bits_has(set, i)) {
            il_bits_set(out, f->references + reference * f->n + i);
        }
    }
}

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
}

static il_status add_names(facts *f, il_error *err)
{
    const il_store *store = f->t->world->model->store;
    const il_pipeline *p = f->t->world->pipeline;
    const char **names =
        il_arena_calloc(f->plan->arena, f->plan->flow.bits + 1, sizeof *names);

    if (names == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n; i++) {
        names[i] = store->items[i].name;
        if (f->t->terms->shadow >= 0) {
            names[f->n + i] = il_arena_printf(f->plan->arena, "%s (shadow)", names[i]);
        }
        for (size_t r = 0; r < p->reference_count; r++) {
            names[f->references + r * f->n + i] = il_arena_printf(
                f->plan->arena, "%s (%s)", names[i], p->references[r].name);
        }
    }
    f->plan->flow.names = names;
    return IL_OK;
}

/* ---- sources -------------------------------------------------------------------- */

/* Whether one detector's score says something of the other's: a detector that reads
 * others counts for them, and they for it. -1 is akin to none. */
static bool akin(const facts *f, int a, int b)
{
    const il_world *w = f->t->world;

    return a >= 0 && b >= 0 &&
           (a == b || il_pipeline_akin(w->pipeline, w->detectors[a]->spec->name,
                                       w->detectors[b]->spec->name));
}

static bool enters(const facts *f, const il_term *term, size_t detector)
{
    return term->trains && (akin(f, term->detector, (int)detector) ||
                            akin(f, term->gate, (int)detector));
}

/* Whether a source sifts the examples that a term learns from. */
static bool sifted_by(const facts *f, const il_term *term, int d)
{
    const il_terms *t = f->t->terms;

    for (size_t i = 0; i < t->sift_count; i++) {
        if (term->trains && akin(f, t->sifts[i].detector, d) &&
            (t->sifts[i].lots == 0 || (t->sifts[i].lots & term->lots) != 0)) {
            return true;
        }
    }
    return false;
}

/* Whether a detector edits here, and whether it does where the own policy plays. */
static bool edits(const facts *f, size_t detector, bool *plays)
{
    const il_terms *t = f->t->terms;
    bool any = false;

    for (size_t i = 0; i < t->edit_count; i++) {
        if (akin(f, t->edits[i].detector, (int)detector)) {
            any = true;
            *plays = *plays || (t->edits[i].lots & t->own) != 0;
        }
    }
    return any;
}

static const char *requirement(facts *f, const char *detector)
{
    for (size_t s = 0; s < f->chain_count; s++) {
        for (size_t i = 0; i < f->chain[s].spec->requirement_count; i++) {
            const il_require_spec *r = &f->chain[s].spec->requirements[i];

            if (il_metric_measures(f->t->world->pipeline, &f->chain[s].spec->audit,
                                   r->metric, detector)) {
                return il_arena_printf(f->plan->arena, "%s %s", r->metric, r->text);
            }
        }
    }
    return NULL;
}

/* What of the stages so far halts by a detector, in the words of a path; NULL: nothing.
 * The alternatives of several multiply. */
static const char *halted(const facts *f, const char *detector)
{
    il_arena *arena = f->plan->arena;
    const char *out = NULL;
    double bits = 0;

    for (size_t c = 0; c < f->chain_count; c++) {
        const il_stage_spec *stage = f->chain[c].spec;

        for (size_t i = 0; i < stage->signal_count; i++) {
            const il_signal_spec *s = &stage->signals[i];

            if (il_halt_hangs_on(f->t->world->pipeline, stage, s, detector)) {
                int64_t ends = il_halt_ends(stage, &s->halt);

                bits += log2((double)ends);
                out = il_arena_printf(arena, "%s%s%s: %s → %s, one of %lld ends",
                                      out != NULL ? out : "", out != NULL ? "; " : "",
                                      s->name, il_halt_line(arena, &s->halt),
                                      il_halt_deed(arena, &s->halt), (long long)ends);
            }
        }
    }
    return out != NULL ? il_arena_printf(arena, "%s, %.1f bits", out, bits) : NULL;
}

/* Whether a detector pressed in one of the first stages of the chain. */
static bool pressed_within(const facts *f, const char *detector, size_t stages)
{
    const il_pipeline *p = f->t->world->pipeline;

    for (size_t c = 0; c < stages; c++) {
        const il_stage_spec *stage = f->chain[c].spec;

        for (size_t i = 0; i < stage->signal_count; i++) {
            const il_signal_spec *s = &stage->signals[i];

            if (il_signal_acts(s) && ((s->source.kind == IL_SOURCE_DETECTOR &&
                                       il_pipeline_akin(p, s->source.name, detector)) ||
                                      (s->gate.kind == IL_GATE_DETECTOR &&
                                       il_pipeline_akin(p, s->gate.name, detector)))) {
                return true;
            }
        }
    }
    return false;
}

/* Whether a detector pressed up to the stage that a reference is a copy of. One that is
 * not in the chain has been pressed as far as anyone knows. */
static bool pressed_by_then(const facts *f, const il_reference_spec *r,
                            const char *detector)
{
    for (size_t c = 0; c < f->chain_count; c++) {
        if (strcmp(f->chain[c].spec->name, r->of_stage) == 0) {
            return pressed_within(f, detector, c + 1);
        }
    }
    return true;
}

/* What came with the state, and with the references: a frozen one is as its stage left
 * it, which is no more than what has been changed since. */
static const il_word *inherit(const facts *f, const char *detector,
                              const il_word *changed)
{
    const il_pipeline *p = f->t->world->pipeline;
    il_word *out = lift(f, changed, IL_PASS_SECOND);

    for (size_t r = 0; out != NULL && r < p->reference_count; r++) {
        const il_reference_spec *spec = &p->references[r];

        if (spec->of_stage != NULL && pressed_by_then(f, spec, detector)) {
            add_reference(f, out, r, changed);
        }
    }
    return out;
}

static il_status add_sources(facts *f, const il_pressed *pressed, il_error *err)
{
    const il_world *w = f->t->world;
    il_flow_source *sources =
        il_arena_calloc(f->plan->arena, w->detector_count + 1, sizeof *sources);
    size_t count = 0;

    f->source_of =
        il_arena_calloc(f->plan->arena, w->detector_count + 1, sizeof *f->source_of);
    if (sources == NULL || f->source_of == NULL) {
        return no_memory(err);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        bool plays = false;
        bool presses = edits(f, d, &plays);

        for (size_t i = 0; i < f->t->terms->count; i++) {
            presses = presses || enters(f, &f->t->terms->items[i], d) ||
                      sifted_by(f, &f->t->terms->items[i], (int)d);
        }
        for (size_t i = 0; i < f->t->stage->signal_count; i++) {
            presses = presses || il_halt_hangs_on(f->t->world->pipeline, f->t->stage,
                                                  &f->t->stage->signals[i],
                                                  w->detectors[d]->spec->name);
        }
        if (presses || halted(f, w->detectors[d]->spec->name) != NULL ||
            il_bits_any(il_pressed_of(pressed, d), pressed->words)) {
            il_flow_source *s = &sources[count];

            s->name = w->detectors[d]->spec->name;
            s->halted = halted(f, s->name);
            s->inherited = inherit(f, s->name, il_pressed_of(pressed, d));
            if (il_bits_any(il_pressed_taught(pressed, d), pressed->words)) {
                s->taught = inherit(f, s->name, il_pressed_taught(pressed, d));
            }
            s->presses = presses;
            s->plays = plays;
            s->required = requirement(f, s->name);
            f->source_of[count++] = d;
        }
    }
    f->plan->flow.sources = sources;
    f->plan->flow.source_count = count;
    return IL_OK;
}

/* ---- signals -------------------------------------------------------------------- */

static bool reinforces(const il_term *term)
{
    return term->trains && term->channel == IL_CHANNEL_REWARD;
}

/* Whether a detector's reading is a part of the return. */
static bool in_return(const facts *f, int detector)
{
    const il_terms *terms = f->t->terms;

    for (size_t i = 0; i < terms->count; i++) {
        const il_term *term = &terms->items[i];

        if (reinforces(term) && term->kind == IL_TERM_REWARD &&
            (akin(f, term->detector, detector) || akin(f, term->gate, detector))) {
            return true;
        }
    }
    return false;
}

/* What a term of the return has in common with the others, in the words of a path;
 * NULL: nothing. */
static const char *in_common(const facts *f, const il_term *term)
{
    const il_algorithm_spec *a = &f->t->stage->train.algorithm;

    switch (term->kind) {
    case IL_TERM_BASELINE:
        return "the baseline";
    case IL_TERM_VALUE:
        return "the value's target";
    case IL_TERM_REWARD:
        if (a->kind == IL_ALGORITHM_PPO) {
            return "what is clipped by the advantage of all rewards";
        }
        if (a->kind == IL_ALGORITHM_GROUP_RELATIVE ? a->divide_by_std
                                                   : a->normalize_batch) {
            return "the advantages' common scale";
        }
        return NULL;
    default:
        return NULL;
    }
}

/* How a source's score enters a term, and through what. */
static uint8_t how_enters(const facts *f, const il_term *term, int d,
                          const char **shared)
{
    uint8_t how = IL_ENTERS_NOT;

    if (akin(f, term->detector, d)) {
        how |= reinforces(term) ? IL_ENTERS_CONSTANT : IL_ENTERS_SCORE;
    }
    if (akin(f, term->gate, d)) {
        how |= (uint8_t)(IL_ENTERS_CONSTANT |
                         (term->spec->gate.through ? IL_ENTERS_SCORE : 0));
    }
    if (sifted_by(f, term, d)) {
        how |= IL_ENTERS_CONSTANT | IL_ENTERS_DATA;
    }
    if (how == IL_ENTERS_NOT && reinforces(term) && in_return(f, d)) {
        *shared = in_common(f, term);
        how = *shared != NULL ? IL_ENTERS_CONSTANT : IL_ENTERS_NOT;
    }
    return how;
}

/* The parameters that choose what the model's own policy draws. Where no term of the
 * stage looks at its policy, anything in the model may have a part in it. */
static il_word *chooses(const facts *f, int kind)
{
    const il_word *acts = f->t->terms->acts_v;
    il_word *out = set_new(f);

    if (acts != NULL && il_bits_any(acts, f->t->terms->words)) {
        return lift(f, acts, kind);
    }
    for (size_t i = 0; out != NULL && i < f->n; i++) {
        il_bits_set(out, i);
    }
    return out;
}

/* What edits by a source do to a term: a bit more of how it enters, and what its score
 * is differentiated into. */
static uint8_t edit_enters(const facts *f, const il_term *term, int d, int kind,
                           const il_word **score)
{
    const il_terms *t = f->t->terms;
    uint8_t how = IL_ENTERS_NOT;

    for (size_t i = 0; i < t->edit_count; i++) {
        if (!akin(f, t->edits[i].detector, d) || !il_term_edited(t, term, i, kind)) {
            continue;
        }
        how |= IL_ENTERS_CONSTANT | IL_ENTERS_EDIT;
        if (t->edits[i].spec->edit.kind != IL_EDIT_STEER) {
            il_word *both = lift(f, t->edits[i].site_g[kind], kind);

            if (both != NULL && *score != NULL) {
                il_bits_or(both, *score, f->words);
            }
            *score = both;
            how |= IL_ENTERS_SCORE;
        }
    }
    return how;
}

static il_status add_signal(facts *f, il_flow_signal *s, const il_term *term, int kind,
                            il_error *err)
{
    size_t sources = f->plan->flow.source_count;
    uint8_t *how = il_arena_calloc(f->plan->arena, sources + 1, sizeof *how);
    const il_word **score = il_arena_calloc(f->plan->arena, sources + 1, sizeof *score);
    const char **shared =
        il_arena_calloc(f->plan->arena, sources + 1, sizeof(const char *));
    il_word *v = lift(f, term->v[kind], kind);

    if (how == NULL || score == NULL || shared == NULL || v == NULL) {
        return no_memory(err);
    }
    if (term->weigh_v != NULL) {
        il_bits_or(v, lift(f, term->weigh_v, kind), f->words);
    }
    if (term->reference >= 0) {
        add_reference(f, v, (size_t)term->reference, NULL);
    }
    s->name =
        kind == IL_PASS_FIRST && f->t->terms->shadow >= 0
            ? il_arena_printf(f->plan->arena, "%s (shadow pass)", term->spec->name)
            : term->spec->name;
    s->g = lift(f, term->g[kind], kind);
    s->v = v;
    s->updates = lift(f, term->updates[kind], kind);
    for (size_t j = 0; j < sources; j++) {
        score[j] = lift(f, term->score_g, kind);
        how[j] = how_enters(f, term, (int)f->source_of[j], &shared[j]);
        how[j] |= edit_enters(f, term, (int)f->source_of[j], kind, &score[j]);
    }
    s->enters = how;
    s->score_g = score;
    s->shared = shared;
    s->chosen_by = term->own ? chooses(f, kind) : NULL;
    s->reward = reinforces(term);
    s->implicit = term->implicit;
    return IL_OK;
}

/* A moving average follows the model tensor by tensor, as if a signal of its own
 * updated each. */
static il_status add_averages(facts *f, il_flow_signal *signals, size_t *count,
                              il_error *err)
{
    const il_pipeline *p = f->t->world->pipeline;

    for (size_t r = 0; r < p->reference_count; r++) {
        for (size_t i = 0; p->references[r].of_stage == NULL && i < f->n; i++) {
            il_word *follows = set_new(f);
            il_word *copy = set_new(f);

            if (follows == NULL || copy == NULL) {
                return no_memory(err);
            }
            il_bits_set(follows, i);
            il_bits_set(copy, f->references + r * f->n + i);
            signals[(*count)++] = (il_flow_signal){
                .name = il_arena_printf(f->plan->arena, "%s (moving average)",
                                        p->references[r].name),
                .g = set_new(f),
                .v = follows,
                .updates = copy,
                .implicit = true};
        }
    }
    return IL_OK;
}

/* What a halt may freeze of a signal, as a signal of its own that the detector's health
 * enters: whether those parameters are stepped is for that to say. */
static il_status add_freeze(facts *f, il_flow_signal *out, const il_flow_signal *of,
                            const il_signal_spec *halt, int kind, bool *any,
                            il_error *err)
{
    const il_store *store = f->t->world->model->store;
    size_t sources = f->plan->flow.source_count;
    uint8_t *how = il_arena_calloc(f->plan->arena, sources + 1, sizeof *how);
    il_word *groups = il_arena_calloc(f->plan->arena, f->words + 1, sizeof *groups);
    il_word *updates;

    if (how == NULL || groups == NULL) {
        return no_memory(err);
    }
    for (size_t p = 0; p < f->n; p++) {
        for (size_t i = 0; i < halt->halt.freeze.count; i++) {
            if (strcmp(store->items[p].group, halt->halt.freeze.items[i]) == 0) {
                il_bits_set(groups, p);
            }
        }
    }
    updates = lift(f, groups, kind);
    if (updates == NULL) {
        return no_memory(err);
    }
    il_bits_and(updates, of->updates, f->words);
    for (size_t j = 0; j < sources; j++) {
        if (il_halt_hangs_on(f->t->world->pipeline, f->t->stage, halt,
                             f->plan->flow.sources[j].name)) {
            how[j] = IL_ENTERS_CONSTANT | IL_ENTERS_FREEZE;
        }
    }
    *out = *of;
    out->updates = updates;
    out->enters = how;
    out->shared = NULL;
    *any = il_bits_any(updates, f->words);
    return IL_OK;
}

static il_status add_freezes(facts *f, il_flow_signal *signals, size_t *count,
                             size_t from, int kind, il_error *err)
{
    const il_stage_spec *stage = f->t->stage;
    size_t to = *count;

    for (size_t s = from; s < to; s++) {
        for (size_t i = 0; i < stage->signal_count; i++) {
            bool any = false;

            if (stage->signals[i].channel == IL_CHANNEL_HALT &&
                stage->signals[i].halt.action == IL_HALT_FREEZE) {
                IL_TRY(add_freeze(f, &signals[*count], &signals[s], &stage->signals[i],
                                  kind, &any, err));
                *count += any;
            }
        }
    }
    return IL_OK;
}

static il_status add_signals(facts *f, il_error *err)
{
    const il_terms *terms = f->t->terms;
    size_t most = 2 * terms->count * (1 + f->t->stage->signal_count) +
                  f->n * f->t->world->pipeline->reference_count;
    il_flow_signal *signals =
        il_arena_calloc(f->plan->arena, most + 1, sizeof *signals);
    size_t count = 0;

    if (signals == NULL) {
        return no_memory(err);
    }
    for (int kind = 0; kind < IL_PASS_KINDS; kind++) {
        size_t from = count;

        f->plan->facts[kind] = il_arena_calloc(f->plan->arena, terms->count + 1,
                                               sizeof(const il_flow_signal *));
        if (f->plan->facts[kind] == NULL) {
            return no_memory(err);
        }
        for (size_t i = 0; i < terms->count; i++) {
            if (terms->items[i].runs[kind]) {
                IL_TRY(add_signal(f, &signals[count], &terms->items[i], kind, err));
                f->plan->facts[kind][i] = &signals[count++];
            }
        }
        IL_TRY(add_freezes(f, signals, &count, from, kind, err));
    }
    IL_TRY(add_averages(f, signals, &count, err));
    f->plan->flow.signals = signals;
    f->plan->flow.signal_count = count;
    return IL_OK;
}

/* What a signal could learn from that no policy of the model's chose. */
static void add_offline(facts *f)
{
    const il_train_spec *train = &f->t->stage->train;
    const il_instance *env = f->t->world->environment;
    const il_environment_api *api = env != NULL ? il_instance_environment(env) : NULL;
    const il_named *policies = NULL;
    int64_t episodes = 0;
    int32_t count = 0;

    for (size_t i = 0; i < train->rollout_count; i++) {
        if (strcmp(train->rollouts[i].policy, "own") != 0) {
            f->plan->flow.offline = train->rollouts[i].name;
            return;
        }
        episodes = train->rollouts[i].episodes;
    }
    if (api != NULL && api->policies != NULL) {
        policies = api->policies(env->self, &count);
    }
    if (count > 0) {
        f->plan->flow.offline = "explore";
        f->plan->flow.declare_offline = il_arena_printf(
            f->plan->arena, "train.rollouts.explore: {policy: %s, episodes: %lld}",
            policies[0].name, (long long)episodes);
    }
}

/* ---- readers -------------------------------------------------------------------- */

static bool plays_text(const il_world *w)
{
    return w->environment == NULL ||
           il_instance_environment(w->environment)->form == IL_ENVIRONMENT_TEXT;
}

static il_flow_draw own_draw(const facts *f)
{
    return (il_flow_draw){chooses(f, IL_PASS_SECOND),
                          plays_text(f->t->world) ? "text that the model writes"
                                                  : "episodes that the model plays"};
}

static bool refits_on_own(const il_detector *d, bool trains_on_own)
{
    const il_refit_spec *refit = &d->spec->refit;

    for (size_t i = 0; i < d->member_count; i++) {
        if (refits_on_own(d->members[i], trains_on_own)) {
            return true;
        }
    }
    for (size_t i = 0; i < refit->rollout_count; i++) {
        if (strcmp(refit->rollouts[i].policy, "own") == 0) {
            return true;
        }
    }
    return refit->kind == IL_REFIT_ONLINE && trains_on_own;
}

/* By source: whether it had pressed before a detector, or one that it reads, was
 * fitted; NULL: none had. */
static const bool *fitted_after(const facts *f, const char *detector)
{
    const il_flow *flow = &f->plan->flow;
    const il_pipeline *p = f->t->world->pipeline;
    bool *out = il_arena_calloc(f->plan->arena, flow->source_count + 1, sizeof *out);
    bool any = false;

    for (size_t c = 0; out != NULL && c < f->chain_count; c++) {
        const il_names_spec *fit = &f->chain[c].spec->fit;

        for (size_t i = 0; i < fit->count; i++) {
            for (size_t s = 0; s < flow->source_count; s++) {
                if (strcmp(fit->items[i], detector) == 0 ||
                    il_pipeline_composed(p, il_pipeline_detector(p, detector),
                                         fit->items[i])) {
                    out[s] |= pressed_within(f, flow->sources[s].name, c);
                    any |= out[s];
                }
            }
        }
    }
    return any ? out : NULL;
}

static void add_detector(const facts *f, size_t d, il_flow_reader *r)
{
    const il_world *w = f->t->world;
    const il_detector_spec *spec = w->detectors[d]->spec;

    r->name = spec->name;
    r->reads = lift(f, f->t->terms->reads[d], IL_PASS_SECOND);
    for (size_t i = 0; spec->on != NULL && i < w->pipeline->reference_count; i++) {
        if (strcmp(w->pipeline->references[i].name, spec->on) == 0) {
            il_word *reads = set_new(f);

            add_reference(f, reads, i, f->t->terms->reads[d]);
            r->reads = reads;
        }
    }
    r->rezeroed = !il_detector_moves(w->detectors[d]) && spec->rezero.split != NULL;
    r->moves = r->rezeroed || il_detector_moves(w->detectors[d]);
    r->fitted_after = fitted_after(f, spec->name);
    r->vault = spec->vault;
    if (f->t->terms->own != 0) {
        r->inputs = own_draw(f);
    }
    if (refits_on_own(w->detectors[d], f->t->terms->own != 0)) {
        r->anchors = own_draw(f);
    }
}

/* What the audit reads besides: the same detectors on what the policy does where the
 * stage trains on given rows, and on given rows where it trains on what that does. */
static void add_audited(const facts *f, il_flow_reader *readers, size_t *count)
{
    const il_world *w = f->t->world;
    const il_audit_spec *audit = &f->t->stage->audit;
    bool text = plays_text(w);
    bool own = f->t->terms->own != 0;
    bool samples = w->data != NULL && il_instance_dataset(w->data)->prompt != NULL;
    bool plays =
        audit->rollouts.policy != NULL && strcmp(audit->rollouts.policy, "own") == 0;
    bool given = audit->splits.count > 0 || audit->reference.policy != NULL;
    const char *what = own    ? text ? "given text" : "given episodes"
                       : text ? "sampled text"
                              : "own episodes";

    if (!audit->given || !(own ? given : samples || plays)) {
        return;
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        il_flow_reader *r = &readers[(*count)++];

        *r = readers[d];
        r->name = il_arena_printf(f->plan->arena, "%s on %s", readers[d].name, what);
        r->audit_only = true;
        r->inputs = own ? (il_flow_draw){NULL, NULL} : own_draw(f);
    }
}

static il_status add_readers(facts *f, il_error *err)
{
    const il_world *w = f->t->world;
    const il_audit_spec *audit = &f->t->stage->audit;
    il_flow_reader *readers =
        il_arena_calloc(f->plan->arena, 2 * w->detector_count + 2, sizeof *readers);
    size_t count = 0;

    if (readers == NULL) {
        return no_memory(err);
    }
    for (size_t d = 0; d < w->detector_count; d++) {
        add_detector(f, d, &readers[count++]);
    }
    add_audited(f, readers, &count);
    if (audit->given && audit->fresh.count > 0 && w->detector_count > 0) {
        il_flow_reader *r = &readers[count++];

        *r = readers[0];
        r->name = "fresh readers";
        r->reads = lift(f, f->t->terms->probed_v, IL_PASS_SECOND);
        r->moves = false;
        r->fitted_after = NULL;
        r->vault = false;
        r->audit_only = true;
    }
    f->plan->flow.readers = readers;
    f->plan->flow.reader_count = count;
    return IL_OK;
}

/* ---- clip groups ---------------------------------------------------------------- */

static bool clip_has(const il_clip_spec *clip, const char *group)
{
    for (size_t i = 0; i < clip->groups.count; i++) {
        if (strcmp(clip->groups.items[i], group) == 0) {
            return true;
        }
    }
    return clip->all;
}

static il_status add_clips(facts *f, il_error *err)
{
    const il_train_spec *spec = &f->t->stage->train;
    const il_store *store = f->t->world->model->store;
    il_flow_clip *clips =
        il_arena_calloc(f->plan->arena, 2 * spec->clip_count + 1, sizeof *clips);
    il_word *members =
        il_arena_calloc(f->plan->arena, il_bits_words(f->n), sizeof *members);
    int kinds = f->t->terms->shadow >= 0 ? 2 : 1;
    size_t count = 0;

    if (clips == NULL || members == NULL) {
        return no_memory(err);
    }
    for (size_t c = 0; c < spec->clip_count; c++) {
        for (int kind = 0; kind < kinds; kind++) {
            il_bits_clear(members, il_bits_words(f->n));
            for (size_t p = 0; p < f->n; p++) {
                if (clip_has(&spec->clips[c], store->items[p].group) &&
                    f->t->stepped[kind][p]) {
                    il_bits_set(members, p);
                }
            }
            clips[count].name =
                spec->clips[c].all ? "all" : spec->clips[c].groups.items[0];
            clips[count++].members = lift(f, members, kind);
        }
    }
    f->plan->flow.clips = clips;
    f->plan->flow.clip_count = count;
    return IL_OK;
}

il_status il__plan_facts(il_plan *plan, const il_trainer *t, const il_pressed *pressed,
                         const il_job_step *chain, size_t chain_count, il_error *err)
{
    const il_pipeline *p = t->world->pipeline;
    facts f = {.plan = plan, .t = t, .chain = chain, .chain_count = chain_count};

    f.n = t->world->model->store->count;
    f.references = t->terms->shadow >= 0 ? 2 * f.n : f.n;
    plan->flow.bits = f.references + p->reference_count * f.n;
    f.words = il_bits_words(plan->flow.bits);
    plan->flow.moments_continue = t->stage->train.continue_optimizer;
    plan->flow.rollouts = t->terms->own != 0;
    IL_TRY(add_names(&f, err));
    IL_TRY(add_sources(&f, pressed, err));
    IL_TRY(add_signals(&f, err));
    add_offline(&f);
    IL_TRY(add_readers(&f, err));
    return add_clips(&f, err);
}
