/* Detectors of detectors: what `of` names, looked up once all detectors are read.
 *
 * A detector that reads others reads what they read: their sites, under the reference
 * that they read. So whatever asks a detector for its sites (harvests, routes, the
 * firewall, audits) needs to know nothing of this. */
#include <string.h>
#include "pipeline/read.h"

typedef struct resolver {
    il__reader *r;
    char *state; /* [detector]: 0 not looked at, 1 under way, 2 done, 3 hopeless */
} resolver;

/* What a detector does not say itself, and so takes from its members. */
typedef struct wants {
    bool tokens;
    bool label;
} wants;

static bool resolve(resolver *v, size_t number);

static bool same_or_none(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Adds a member's sites that are not there yet. */
static void add_sites(il_names_spec *to, const il_names_spec *from)
{
    for (size_t i = 0; i < from->count; i++) {
        size_t k = 0;

        while (k < to->count && strcmp(to->items[k], from->items[i]) != 0) {
            k++;
        }
        if (k == to->count) {
            to->items[k] = from->items[i];
            to->places[k] = from->places[i];
            to->count++;
        }
    }
}

/* All members give a score a position, or all a score a sequence. */
static void take_unit(resolver *v, il_detector_spec *d, const il_detector_spec *m,
                      bool first, il_place place)
{
    bool pools = d->pooling.kind != IL_POOL_NONE;

    if (m->pooled && pools) {
        il_problem_add(v->r->problems, d->pooling.place,
                       "detector '%s', which '%s' reads, gives one score a sequence "
                       "already: expected one `pool` of the two",
                       m->name, d->name);
        return;
    }
    if (!first && m->pooled != (d->pooled && !pools)) {
        il_problem_add(v->r->problems, place,
                       "detector '%s' gives a score a %s, and others that '%s' reads "
                       "give one a %s: expected one unit for all",
                       m->name, m->pooled ? "sequence" : "position", d->name,
                       m->pooled ? "position" : "sequence");
        return;
    }
    d->pooled = d->pooled || m->pooled;
}

/* What a member brings, against what the members before it brought. */
static void take_member(resolver *v, il_detector_spec *d, const il_detector_spec *m,
                        bool first, const wants *takes, il_place place)
{
    il_problems *problems = v->r->problems;

    d->level = m->level >= d->level ? m->level + 1 : d->level;
    add_sites(&d->sites, &m->sites);
    if (m->rezero.split != NULL) {
        il_problem_add(problems, place,
                       "detector '%s' is re-zeroed, and what reads it would not be: "
                       "give `rezero` to '%s' instead",
                       m->name, d->name);
    }
    if (m->vault && !d->vault) {
        il_problem_add(problems, place,
                       "detector '%s' is in the vault, so what reads it has to be: "
                       "give '%s' `vault: true`",
                       m->name, d->name);
    }
    take_unit(v, d, m, first, place);
    if (first && d->on == NULL) {
        d->on = m->on;
    } else if (!same_or_none(d->on, m->on)) {
        il_problem_add(problems, place,
                       "detector '%s' reads %s%s, and '%s' reads %s%s: expected one "
                       "for all",
                       m->name, m->on != NULL ? "on " : "the model itself",
                       m->on != NULL ? m->on : "", d->name,
                       d->on != NULL ? "on " : "the model itself",
                       d->on != NULL ? d->on : "");
    }
    if (takes->tokens && first) {
        d->tokens = m->tokens;
    } else if (takes->tokens && !same_or_none(d->tokens, m->tokens)) {
        il_problem_add(problems, place,
                       "detector '%s' scores '%s', and others that '%s' reads score "
                       "'%s': say on which `tokens` they are read together",
                       m->name, m->tokens, d->name, d->tokens);
    }
    if (takes->label && (first || same_or_none(d->label, m->label))) {
        d->label = m->label;
    } else if (takes->label) {
        d->label = NULL; /* they were taught different things */
    }
    if (m->calibrate.given && strcmp(m->calibrate.method, "isotonic") == 0) {
        il_problem_add(problems, place,
                       "detector '%s' is calibrated by steps, which have no log-odds "
                       "for '%s' to read: expected platt or temperature",
                       m->name, d->name);
    }
}

static size_t number_of(const il_pipeline *p, const il_detector_spec *d)
{
    return (size_t)(d - p->detectors);
}

static bool resolve_members(resolver *v, il_detector_spec *d)
{
    wants takes = {.tokens = d->tokens == NULL, .label = d->label == NULL};
    bool fine = true;

    for (size_t i = 0; i < d->of.count; i++) {
        il_place place = d->of.places[i];
        const il_detector_spec *m =
            il__read_detector_named(v->r, d->of.items[i], place);

        if (m == NULL) {
            fine = false;
            continue;
        }
        if (v->state[number_of(v->r->pipeline, m)] == 1) {
            il_problem_add(v->r->problems, place, "detector '%s' would read itself%s%s",
                           d->name, m == d ? "" : " through ", m == d ? "" : m->name);
            fine = false;
            continue;
        }
        if (!resolve(v, number_of(v->r->pipeline, m))) {
            fine = false;
            continue;
        }
        if (fine) {
            take_member(v, d, m, i == 0, &takes, place);
        }
    }
    return fine;
}

/* False where a detector cannot be made out; a problem says why. */
static bool resolve(resolver *v, size_t number)
{
    il_detector_spec *d = &v->r->pipeline->detectors[number];
    il_pipeline *p = v->r->pipeline;
    size_t room = 1;
    bool fine;

    if (v->state[number] != 0 || d->of.count == 0) {
        v->state[number] = v->state[number] != 0 ? v->state[number] : 2;
        return v->state[number] == 2;
    }
    v->state[number] = 1;
    for (size_t i = 0; i < p->detector_count; i++) {
        room += p->detectors[i].of.count == 0 ? p->detectors[i].sites.count : 0;
    }
    d->sites.items = il__read_alloc(v->r, room, sizeof *d->sites.items);
    d->sites.places = il__read_alloc(v->r, room, sizeof *d->sites.places);
    d->sites.count = 0; /* those beside `of` are a problem of their own */
    if (d->sites.items == NULL || d->sites.places == NULL) {
        return false;
    }
    fine = resolve_members(v, d);
    if (fine && d->level > IL_DETECTOR_LEVELS) {
        il_problem_add(v->r->problems, d->of.places[0],
                       "detector '%s' reads detectors through %d others: expected %d "
                       "at most",
                       d->name, d->level - 1, IL_DETECTOR_LEVELS - 1);
    }
    if (d->tokens == NULL) {
        d->tokens = "all";
    }
    v->state[number] = fine ? 2 : 3;
    return fine;
}

/* What alarms, where a score is of a whole sequence: that. */
static void settle_unit(il__reader *r, il_detector_spec *d)
{
    il_threshold_spec *t = &d->threshold;

    if (!d->pooled || t->kind != IL_THRESHOLD_RATE) {
        return;
    }
    if (!t->unit_given) {
        t->unit = t->draw.rollouts.policy != NULL ? IL_UNIT_EPISODE : IL_UNIT_SEQUENCE;
    } else if (t->unit == IL_UNIT_TOKEN || t->unit == IL_UNIT_STEP) {
        il_problem_add(r->problems, t->place,
                       "detector '%s' gives one score a sequence, so no %s alarms: "
                       "expected unit sequence or episode",
                       d->name, il_unit_name(t->unit));
    }
}

void il__read_composites(il__reader *r)
{
    resolver v = {.r = r};

    v.state = il__read_alloc(r, r->pipeline->detector_count, sizeof *v.state);
    for (size_t i = 0; v.state != NULL && i < r->pipeline->detector_count; i++) {
        (void)resolve(&v, i); /* what is wrong is a problem */
        settle_unit(r, &r->pipeline->detectors[i]);
    }
}

bool il_pipeline_composed(const il_pipeline *p, const il_detector_spec *d,
                          const char *name)
{
    for (size_t i = 0; i < d->of.count; i++) {
        const il_detector_spec *m = il_pipeline_detector(p, d->of.items[i]);

        /* Levels fall from reader to read, so a pipeline that passed its checks ends
         * here, and one that did not is not asked. */
        if (m != NULL && (strcmp(m->name, name) == 0 ||
                          (m->level < d->level && il_pipeline_composed(p, m, name)))) {
            return true;
        }
    }
    return false;
}

bool il_pipeline_akin(const il_pipeline *p, const char *a, const char *b)
{
    const il_detector_spec *x = il_pipeline_detector(p, a);
    const il_detector_spec *y = il_pipeline_detector(p, b);

    return strcmp(a, b) == 0 || (x != NULL && il_pipeline_composed(p, x, b)) ||
           (y != NULL && il_pipeline_composed(p, y, a));
}
