/* From a resolved document to the typed pipeline: the top level and the stages. */
#include "pipeline/pipeline.h"

#include <math.h>
#include <string.h>
#include "pipeline/read.h"
#include "pipeline/resolve.h"

static const char *const demands[] = {"direct", "credit", "relay",  "state",
                                      "data",   "input",  "reader", "selection"};

const char *il_demand_name(unsigned bit)
{
    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        if (bit == 1u << i) {
            return demands[i];
        }
    }
    return "none";
}

const il_detector_spec *il_pipeline_detector(const il_pipeline *p, const char *name)
{
    for (size_t i = 0; name != NULL && i < p->detector_count; i++) {
        if (strcmp(p->detectors[i].name, name) == 0) {
            return &p->detectors[i];
        }
    }
    return NULL;
}

const il_reference_spec *il_pipeline_reference(const il_pipeline *p, const char *name)
{
    for (size_t i = 0; name != NULL && i < p->reference_count; i++) {
        if (strcmp(p->references[i].name, name) == 0) {
            return &p->references[i];
        }
    }
    return NULL;
}

const il_stage_spec *il_pipeline_stage(const il_pipeline *p, const char *name)
{
    for (size_t i = 0; name != NULL && i < p->stage_count; i++) {
        if (strcmp(p->stages[i].name, name) == 0) {
            return &p->stages[i];
        }
    }
    return NULL;
}

static size_t map_count(const il_node *map)
{
    return map != NULL && map->kind == IL_NODE_MAP ? map->count : 0;
}

static void read_plugins(il__reader *r, const il_node *plugins)
{
    static const char *const modes[] = {"any", "locked", "signed", NULL};
    il_plugins_spec *p = &r->pipeline->plugins;
    const il_node *lock = il_node_get(plugins, "lock");

    p->path = il__read_names(r, il_node_get(plugins, "path"));
    for (size_t i = 0; i < p->path.count; i++) {
        p->path.items[i] = il_place_path(r->arena, p->path.places[i], p->path.items[i]);
        if (p->path.items[i] == NULL) {
            r->problems->no_memory = true;
            p->path.items[i] = "";
        }
    }
    p->trust = (il_trust_mode)il__read_choice(plugins, "trust", modes, IL_TRUST_ANY);
    if (lock != NULL && lock->kind == IL_NODE_SCALAR) {
        p->lock = il_place_path(r->arena, lock->place, lock->text);
        r->problems->no_memory = r->problems->no_memory || p->lock == NULL;
    }
    if (p->trust == IL_TRUST_LOCKED && p->lock == NULL) {
        il_problem_add(r->problems, il__read_place(plugins, "trust"),
                       "`trust: locked` needs `lock`: a plugins.lock, as every run "
                       "writes one");
    }
}

static void read_references(il__reader *r, const il_node *map)
{
    il_pipeline *p = r->pipeline;

    p->references = il__read_alloc(r, map_count(map), sizeof *p->references);
    for (size_t i = 0; p->references != NULL && i < map_count(map); i++) {
        const il_node *node = map->items[i].value;
        il_reference_spec *ref = &p->references[p->reference_count++];

        ref->name = map->items[i].key;
        ref->place = node->place;
        il__read_stage_name(r, il_node_get(node, "of"), &ref->of_stage,
                            &ref->of_variant);
        ref->moving_average = il__read_real(node, "moving_average", 0);
    }
}

static void read_detectors(il__reader *r, const il_node *map)
{
    il_pipeline *p = r->pipeline;

    p->detectors = il__read_alloc(r, map_count(map), sizeof *p->detectors);
    for (size_t i = 0; p->detectors != NULL && i < map_count(map); i++) {
        if (map->items[i].value->kind == IL_NODE_MAP) {
            il__read_detector(r, &p->detectors[p->detector_count], map->items[i].key,
                              map->items[i].value);
            p->detector_count++;
        }
    }
    il__read_composites(r);
}

static void read_outcome(il__reader *r, il_outcome_spec *o, const il_node *node)
{
    if (node == NULL || node->kind != IL_NODE_MAP) {
        return;
    }
    o->given = true;
    o->behaviour = il__read_text(node, "behaviour", NULL);
    o->good = il__read_text(node, "good", NULL);
    o->instead = il__read_flag(node, "instead", false);
    o->floor = il__read_real(node, "floor", NAN);
    o->full = il__read_real(node, "full", NAN);
    o->good_full = il__read_real(node, "good_full", NAN);
    o->some = il__read_real(node, "some", NAN);
    o->much = il__read_real(node, "much", NAN);
    o->enough = il__read_real(node, "enough", NAN);
    o->seen = il__read_real(node, "seen", NAN);
    o->detector = il__read_text(node, "detector", NULL);
    o->detector_place = il__read_place(node, "detector");
    if (o->detector != NULL) {
        (void)il__read_detector_named(r, o->detector, o->detector_place);
    }
    if (o->floor >= (isnan(o->full) ? 1 : o->full)) {
        il_problem_add(r->problems, il__read_place(node, "floor"),
                       "expected a floor below full, which is %g",
                       isnan(o->full) ? 1 : o->full);
    }
    if ((isnan(o->some) ? 0.3 : o->some) > (isnan(o->much) ? 0.5 : o->much)) {
        il_problem_add(r->problems, node->place,
                       "expected `some` of at most `much`, which is %g",
                       isnan(o->much) ? 0.5 : o->much);
    }
}

static void read_audit(il__reader *r, il_audit_spec *a, const il_node *node)
{
    if (node == NULL || node->kind != IL_NODE_MAP) {
        return;
    }
    a->given = true;
    a->place = node->place;
    a->every = il__read_int(node, "every", 0);
    a->splits = il__read_names(r, il_node_get(node, "splits"));
    a->rollouts = il__read_rollout(il_node_get(node, "rollouts"), NULL);
    a->reference = il__read_rollout(il_node_get(node, "reference"), NULL);
    a->samples = il__read_int(node, "samples", 0);
    a->fresh = il__read_names(r, il_node_get(node, "fresh"));
    a->sites = il__read_names(r, il_node_get(node, "sites"));
    a->sites_given = il_node_get(node, "sites") != NULL;
    a->anchors = il__read_text(node, "anchors", NULL);
    a->anchors_place = il__read_place(node, "anchors");
    a->tokens = il__read_text(node, "tokens", NULL);
    a->prevalence = il__read_real(node, "prevalence", 0);
    il__read_audit_edits(r, a, il_node_get(node, "edits"));
    read_outcome(r, &a->outcome, il_node_get(node, "outcome"));
    a->against = il__read_text(node, "against", NULL);
    a->against_place = il__read_place(node, "against");
    if (a->against != NULL) {
        (void)il__read_detector_named(r, a->against, a->against_place);
    }
}

static void read_requirements(il__reader *r, il_stage_spec *s, const il_node *map)
{
    s->requirements = il__read_alloc(r, map_count(map), sizeof *s->requirements);
    for (size_t i = 0; s->requirements != NULL && i < map_count(map); i++) {
        const il_node *node = map->items[i].value;
        il_require_spec *q = &s->requirements[s->requirement_count];
        const char *p = node->kind == IL_NODE_SCALAR ? node->text : "";
        bool equal;

        if (*p != '<' && *p != '>') {
            continue;
        }
        equal = p[1] == '=';
        q->metric = map->items[i].key;
        q->text = node->text;
        q->place = map->items[i].place;
        q->compare = *p == '<'
                         ? (equal ? IL_COMPARE_LESS_EQUAL : IL_COMPARE_LESS)
                         : (equal ? IL_COMPARE_GREATER_EQUAL : IL_COMPARE_GREATER);
        p += equal ? 2 : 1;
        if (il_parse_real(p + strspn(p, " "), &q->bound)) {
            s->requirement_count++;
        }
    }
}

/* A twin's or placebo's name against the variants of its stage. */
static const char *read_sibling(il__reader *r, const char *stage, const il_node *node,
                                const char *key)
{
    const char *name = il__read_text(node, key, NULL);
    const il_node *variants =
        il_node_get(il_node_get(r->stages_known, stage), "variants");
    const char *names[64];
    size_t count = 0;

    if (name == NULL || il_node_get(variants, name) != NULL ||
        (strcmp(key, "twin_of") == 0 && strcmp(name, "all") == 0)) {
        return name;
    }
    for (; count < map_count(variants) && count < 64; count++) {
        names[count] = variants->items[count].key;
    }
    il_problem_add_nearest(r->problems, il__read_place(node, key), name, names, count,
                           "no variant '%.60s' of stage '%s'", name, stage);
    return NULL;
}

static void check_stage(il__reader *r, const il_stage_spec *s, const il_node *node)
{
    if (!s->train.given && s->fit.count == 0 && !s->audit.given) {
        il_problem_add(r->problems, node->place,
                       "stage '%s' needs `train`, `fit` or `audit`", s->name);
    }
    if (s->train.given && s->fit.count > 0) {
        il_problem_add(r->problems, il__read_place(node, "fit"),
                       "stage '%s' has `train` and `fit`: split it in two, so that it "
                       "is plain which comes first",
                       s->name);
    }
    if (!s->train.given && s->signal_count > 0) {
        il_problem_add(r->problems, il__read_place(node, "signals"),
                       "stage '%s' has signals but no `train`", s->name);
    }
    for (size_t i = 0; i < s->fit.count; i++) {
        const il_detector_spec *d =
            il__read_detector_named(r, s->fit.items[i], s->fit.places[i]);

        if (d != NULL && !d->fit.given &&
            ((d->of.count == 0 && d->label == NULL) ||
             (d->threshold.kind != IL_THRESHOLD_RATE && !d->calibrate.given))) {
            il_problem_add(r->problems, s->fit.places[i],
                           "detector '%s' has no `fit` that says on what", d->name);
        }
    }
}

static void read_stage(il__reader *r, il_stage_spec *s, const char *name,
                       const il_node *node, const il_node *document)
{
    const il_node *firewall = il_node_get(document, "firewall");
    const il_node *own = il_node_get(node, "firewall");

    s->name = name;
    s->place = node->place;
    il__read_stage_name(r, il_node_get(node, "from"), &s->from, &s->from_variant);
    il__read_train(r, &s->train, il_node_get(node, "train"));
    s->fit = il__read_names(r, il_node_get(node, "fit"));
    read_audit(r, &s->audit, il_node_get(node, "audit"));
    il__read_signals(r, s, il_node_get(node, "signals")); /* some need the audit */
    s->firewall = il__read_demand(own != NULL ? own : firewall);
    read_requirements(r, s, il_node_get(node, "require"));
    s->ledger_every = il__read_int(il_node_get(node, "ledger"), "every", -1);
    s->twin_of = read_sibling(r, name, node, "twin_of");
    s->placebo_of = read_sibling(r, name, node, "placebo_of");
    s->twins =
        il__read_twins(il_node_get(node, "twins"), il_node_get(document, "twins"));
    check_stage(r, s, node);
}

static void read_stages(il__reader *r, const il_node *document)
{
    const il_node *map = il_node_get(document, "stages");
    il_pipeline *p = r->pipeline;

    p->stages = il__read_alloc(r, map_count(map), sizeof *p->stages);
    for (size_t i = 0; p->stages != NULL && i < map_count(map); i++) {
        if (map->items[i].value->kind == IL_NODE_MAP) {
            read_stage(r, &p->stages[p->stage_count], map->items[i].key,
                       map->items[i].value, document);
            p->stage_count++;
        }
    }
}

/* Whether a stage or one before it fits a detector. */
static bool fitted_by(const il_pipeline *p, const il_stage_spec *s, const char *name)
{
    const il_stage_spec *at = s;

    /* A `from` that goes in a circle is somebody else's problem; it ends here too. */
    for (size_t i = 0; at != NULL && i <= p->stage_count; i++) {
        for (size_t f = 0; f < at->fit.count; f++) {
            if (strcmp(at->fit.items[f], name) == 0) {
                return true;
            }
        }
        at = at->from != NULL ? il_pipeline_stage(p, at->from) : NULL;
    }
    return false;
}

/* What a detector reads has to be fitted before it, or by the same stage. */
static void check_fits(const il__reader *r, const il_stage_spec *s)
{
    const il_pipeline *p = r->pipeline;

    for (size_t f = 0; f < s->fit.count; f++) {
        const il_detector_spec *d = il_pipeline_detector(p, s->fit.items[f]);

        for (size_t i = 0; d != NULL && i < p->detector_count; i++) {
            const il_detector_spec *m = &p->detectors[i];

            if (m->fit.given && il_pipeline_composed(p, d, m->name) &&
                !fitted_by(p, s, m->name)) {
                il_problem_add(r->problems, s->fit.places[f],
                               "detector '%s' reads '%s', which is fitted neither by "
                               "stage '%s' nor before it",
                               d->name, m->name, s->name);
            }
        }
    }
}

/* A detector to compare with that has a fit must have had it when the audit comes. */
static void check_against(const il__reader *r, const il_stage_spec *s)
{
    const il_detector_spec *d =
        s->audit.against != NULL ? il_pipeline_detector(r->pipeline, s->audit.against)
                                 : NULL;

    if (d != NULL && d->fit.given && !fitted_by(r->pipeline, s, d->name)) {
        il_problem_add(r->problems, s->audit.against_place,
                       "detector '%s' is fitted neither by stage '%s' nor before it",
                       d->name, s->name);
    }
}

il_pipeline *il_pipeline_read(il_arena *arena, const il_node *document,
                              const il_node *stages_known, il_problems *problems)
{
    static const char *const numerics[] = {"native", "portable", NULL};
    il_pipeline *p = il_arena_calloc(arena, 1, sizeof *p);
    il__reader r = {arena, problems, p, stages_known};

    if (p == NULL) {
        problems->no_memory = true;
        return NULL;
    }
    if (stages_known == NULL) {
        r.stages_known = il_node_get(document, "stages");
    }
    il_schema_check(&il_schema_pipeline, document, problems);
    p->document = document;
    p->name = il__read_text(document, "name", "");
    p->seed = (uint64_t)il__read_int(document, "seed", 1);
    p->numerics = (il_numerics_spec)il__read_choice(document, "numerics", numerics, 0);
    read_plugins(&r, il_node_get(document, "plugins"));
    p->model = il__read_component(&r, il_node_get(document, "model"));
    p->data = il__read_component(&r, il_node_get(document, "data"));
    p->environment = il__read_component(&r, il_node_get(document, "environment"));
    read_references(&r, il_node_get(document, "references"));
    read_detectors(&r, il_node_get(document, "detectors"));
    read_stages(&r, document);
    il__read_endpoint(&r, &p->endpoint, il_node_get(document, "endpoint"));
    for (size_t i = 0; i < p->stage_count; i++) {
        check_fits(&r, &p->stages[i]);
        check_against(&r, &p->stages[i]);
    }
    return p;
}
