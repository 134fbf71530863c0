/* Twins and placebos: which jobs press, what they are compared with, and the jobs that
 * are scheduled where the file has none.
 *
 * The twin of a job is its own document with every pressing signal on `monitor`; its
 * placebo has the scores of those signals scrambled. Either is drafted, and looked for
 * among the jobs that there are by its training text: one that trains alike is it,
 * whatever it is called. Only what is not found is added. */
#include <string.h>
#include "pipeline/jobs_private.h"

/* A twin or placebo that no declared job is. */
typedef struct draft {
    size_t of; /* the job that it is for */
    il_role role;
    const il_node *document;
    const il_pipeline *pipeline;
    il_job_step *chain;
    unsigned axes; /* of the point, those that tell it from others of its name */
    bool done;
    struct draft *next;
} draft;

typedef struct twinner {
    il__lister *l;
    size_t count; /* declared jobs */
    draft *drafts;
    draft **end;
} twinner;

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const il_stage_spec *spec_of(const il_job *job)
{
    return job->chain[job->chain_count - 1].spec;
}

static const char *suffix_of(il_role role)
{
    return role == IL_ROLE_TWIN ? "twin" : "placebo";
}

bool il__jobs_is_scheduled(const char *name)
{
    size_t size = strcspn(name, "@");

    return (size == 4 && strncmp(name, "twin", size) == 0) ||
           (size == 7 && strncmp(name, "placebo", size) == 0);
}

/* ---- drafts --------------------------------------------------------------------- */

/* Puts a word under a key of a signal. */
static bool put(il_arena *arena, il_node *map, const char *key, const char *word)
{
    il_node *value = il_node_scalar(arena, word, false, map->place);

    return value != NULL && il_node_put(arena, map, key, map->place, value);
}

static bool put_gate(il_arena *arena, il_node *signal, const il_signal_spec *s,
                     il_scramble how)
{
    il_node *gate = il_node_map(arena, s->gate.place);

    if (gate == NULL) {
        return false;
    }
    if (how == IL_SCRAMBLE_CONSTANT) {
        return put(arena, gate, "constant", "0.5") &&
               il_node_put(arena, signal, "gate", s->gate.place, gate);
    }
    return put(arena, gate, "detector", s->gate.name) &&
           put(arena, gate, "scramble", how == IL_SCRAMBLE_NOISE ? "noise" : "rows") &&
           il_node_put(arena, signal, "gate", s->gate.place, gate);
}

/* What suits a channel where nobody says: what enters as a number is dealt to other
 * rows; what has a direction gets another. */
static il_scramble suited(const il_signal_spec *s, il_scramble asked)
{
    if (s->channel == IL_CHANNEL_EDIT) {
        return IL_SCRAMBLE_NOISE;
    }
    if (asked != IL_SCRAMBLE_NONE) {
        /* rows are dealt once a signal: in its gate, where it has one */
        return asked == IL_SCRAMBLE_ROWS && s->gate.kind == IL_GATE_DETECTOR
                   ? IL_SCRAMBLE_NOISE
                   : asked;
    }
    return s->channel == IL_CHANNEL_LOSS ? IL_SCRAMBLE_NOISE : IL_SCRAMBLE_ROWS;
}

/* Whether there is something to scramble. A halt or a filter acts by itself, with no
 * rows to deal to others, and stays as it is. */
static bool scrambles(const il_signal_spec *s)
{
    return s->channel != IL_CHANNEL_HALT && s->channel != IL_CHANNEL_DATA;
}

static bool scramble(il_arena *arena, il_node *signal, const il_signal_spec *s,
                     il_scramble asked)
{
    static const char *const words[] = {"", "rows", "constant", "noise"};
    bool good = true;

    if (!scrambles(s)) {
        return true;
    }
    if (s->gate.kind == IL_GATE_DETECTOR && s->gate.scramble == IL_SCRAMBLE_NONE) {
        good = put_gate(arena, signal, s, asked);
    }
    if (s->source.kind == IL_SOURCE_DETECTOR && s->scramble == IL_SCRAMBLE_NONE) {
        good = good && put(arena, signal, "scramble", words[suited(s, asked)]);
    }
    return good;
}

/* Takes the pressure, or what it knows, out of a job's own stage. False when memory is
 * out. */
static bool relieve(il_arena *arena, il_node *root, const il_job *job, il_role role)
{
    const il_stage_spec *spec = spec_of(job);
    il_node *stage = il_node_get(il_node_get(root, "stages"), job->stage);
    il_node *signals = il_node_get(stage, "signals");

    /* what the file says of the pressed one alone, and asks of it alone */
    (void)il_node_drop(stage, "twin_of");
    (void)il_node_drop(stage, "placebo_of");
    (void)il_node_drop(stage, "require");
    for (size_t i = 0; i < spec->signal_count; i++) {
        const il_signal_spec *s = &spec->signals[i];
        il_node *signal = il_node_get(signals, s->name);

        if (il_signal_presses(s) &&
            !(role == IL_ROLE_TWIN
                  ? put(arena, signal, "channel", "monitor")
                  : scramble(arena, signal, s, spec->twins.scramble))) {
            return false;
        }
    }
    return true;
}

/* Drafts a job's twin or placebo; false with *why where it cannot be had, or with
 * memory out. */
static bool make_draft(il__lister *l, const il_job *job, il_role role, draft *d,
                       const char **why)
{
    il_problems aside = {.arena = l->arena};
    il_node *root = il_node_copy(l->arena, job->document);
    const char **names = il_arena_calloc(l->arena, job->chain_count, sizeof *names);
    size_t last = job->chain_count - 1;

    d->role = role;
    d->chain = il_arena_calloc(l->arena, job->chain_count, sizeof *d->chain);
    if (root == NULL || names == NULL || d->chain == NULL ||
        !relieve(l->arena, root, job, role)) {
        return il__jobs_no_memory(l);
    }
    d->document = root;
    d->pipeline = il_pipeline_read(l->arena, root, l->stages, &aside);
    if (d->pipeline == NULL || aside.no_memory) {
        return il__jobs_no_memory(l);
    }
    if (il_problems_any(&aside)) {
        *why = aside.kept[0].message;
        return false;
    }
    for (size_t i = 0; i <= last; i++) {
        d->chain[i] = job->chain[i];
        d->chain[i].spec = il_pipeline_stage(d->pipeline, job->chain[i].stage);
        names[i] = job->chain[i].stage;
    }
    d->chain[last].text =
        il_training_text(l->arena, d->pipeline, d->chain[last].spec, names, last);
    return d->chain[last].text != NULL || il__jobs_no_memory(l);
}

/* ---- finding -------------------------------------------------------------------- */

static bool siblings(const il_job *a, const il_job *b)
{
    return a->seed == b->seed && strcmp(a->stage, b->stage) == 0;
}

static bool trains_alike(const il_job *job, const il_job_step *chain, size_t count)
{
    if (job->chain_count != count) {
        return false;
    }
    for (size_t i = count; i > 0; i--) {
        if (strcmp(job->chain[i - 1].text, chain[i - 1].text) != 0) {
            return false;
        }
    }
    return true;
}

/* Whether all that a sweep set for one job, it set for the other. */
static bool point_within(const il_job *a, const il_job *b)
{
    for (size_t i = 0; i < a->point_count; i++) {
        bool found = false;

        for (size_t k = 0; k < b->point_count; k++) {
            found = found || (strcmp(a->point[i].path, b->point[k].path) == 0 &&
                              il_node_equal(a->point[i].value, b->point[k].value));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

/* The declared job that says it is the twin of this one, by name or of all. */
static const il_job *declared_twin(const twinner *t, size_t of, bool all)
{
    const il_job *job = &t->l->out->items[of];

    for (size_t i = 0; i < t->count; i++) {
        const il_job *other = &t->l->out->items[i];
        const char *said = spec_of(other)->twin_of;

        if (i != of && siblings(other, job) && point_within(other, job) &&
            (all ? same(said, "all") : same(said, t->l->drawn[of].variant))) {
            return other;
        }
    }
    return NULL;
}

/* A job that trains as the draft would, but for the one that it is for. */
static const il_job *alike(const twinner *t, size_t of, const draft *d)
{
    const il_jobs *jobs = t->l->out;
    const il_job *job = &jobs->items[of];

    for (size_t i = 0; i < jobs->count; i++) {
        if (i != of && siblings(&jobs->items[i], job) &&
            trains_alike(&jobs->items[i], d->chain, job->chain_count)) {
            return &jobs->items[i];
        }
    }
    return NULL;
}

/* ---- linking -------------------------------------------------------------------- */

static void add_placebo(il__lister *l, il_job *job, const char *label)
{
    const char **grown;

    for (size_t i = 0; i < job->placebo_count; i++) {
        if (strcmp(job->placebos[i], label) == 0) {
            return;
        }
    }
    grown = il_arena_calloc(l->arena, job->placebo_count + 1, sizeof *grown);
    if (grown == NULL) {
        (void)il__jobs_no_memory(l);
        return;
    }
    for (size_t i = 0; i < job->placebo_count; i++) {
        grown[i] = job->placebos[i];
    }
    grown[job->placebo_count++] = label;
    job->placebos = grown;
}

static void link_to(il__lister *l, size_t of, il_role role, const char *label)
{
    il_job *job = &l->out->items[of];

    if (role == IL_ROLE_TWIN) {
        job->twin = label;
    } else {
        add_placebo(l, job, label);
    }
}

/* Notes what a job lacks. */
static void go_without(il__lister *l, size_t of, il_role role, const char *why)
{
    il_job *job = &l->out->items[of];

    job->without = il_arena_printf(
        l->arena, "%s%s%s: %s", job->without != NULL ? job->without : "",
        job->without != NULL ? "; " : "", suffix_of(role), why);
    if (job->without == NULL) {
        (void)il__jobs_no_memory(l);
    }
}

/* Whether a placebo of the job can be had at all. */
static bool has_placebo(const il_stage_spec *spec)
{
    bool any = false;

    for (size_t i = 0; i < spec->signal_count; i++) {
        any = any ||
              (il_signal_presses(&spec->signals[i]) && scrambles(&spec->signals[i]));
    }
    return any;
}

static void keep_draft(twinner *t, size_t of, const draft *d)
{
    draft *kept = il_arena_alloc(t->l->arena, sizeof *kept);

    if (kept == NULL) {
        (void)il__jobs_no_memory(t->l);
        return;
    }
    *kept = *d;
    kept->of = of;
    kept->axes = t->l->drawn[of].axes;
    kept->next = NULL;
    *t->end = kept;
    t->end = &kept->next;
}

/* Drafts what a job is compared with, and looks for it among the declared jobs. */
static void find(twinner *t, size_t of, il_role role, bool wanted)
{
    il__lister *l = t->l;
    const il_job *job = &l->out->items[of];
    const il_job *found = NULL;
    il_arena_mark mark = il_arena_save(l->arena);
    const char *why = NULL;
    draft d = {0};

    if (role == IL_ROLE_PLACEBO && !has_placebo(spec_of(job))) {
        go_without(l, of, role, "a halt or a filter has no rows to deal to others");
        return;
    }
    if (!make_draft(l, job, role, &d, &why)) {
        if (why != NULL) {
            go_without(l, of, role, why);
        }
        return;
    }
    found = alike(t, of, &d);
    if (found == NULL && role == IL_ROLE_TWIN) {
        found = declared_twin(t, of, true);
    }
    if (found != NULL) {
        il_arena_restore(l->arena, mark);
        link_to(l, of, role, found->variant);
    } else if (wanted) {
        keep_draft(t, of, &d);
    } else {
        il_arena_restore(l->arena, mark);
        go_without(l, of, role, "turned off by `twins`");
    }
}

static void find_all(twinner *t, size_t of)
{
    il_job *job = &t->l->out->items[of];
    const il_twins_spec *twins = &spec_of(job)->twins;
    const il_job *twin = declared_twin(t, of, false);

    for (size_t i = 0; i < t->count; i++) {
        const il_job *other = &t->l->out->items[i];

        if (siblings(other, job) && point_within(other, job) &&
            same(spec_of(other)->placebo_of, t->l->drawn[of].variant)) {
            add_placebo(t->l, job, other->variant);
        }
    }
    if (twin != NULL) {
        job->twin = twin->variant;
    } else {
        find(t, of, IL_ROLE_TWIN, twins->twin);
    }
    if (job->placebo_count == 0) {
        find(t, of, IL_ROLE_PLACEBO, twins->placebo);
    }
}

/* ---- scheduling ----------------------------------------------------------------- */

/* Whether two drafts would be called alike, but for their points, and are not. */
static bool clash(const twinner *t, const draft *a, const draft *b, unsigned axes)
{
    const il__lister *l = t->l;
    const il_job *one = &l->out->items[a->of];
    const il_job *two = &l->out->items[b->of];
    const il__drawn *x = &l->drawn[a->of];
    const il__drawn *y = &l->drawn[b->of];

    if (a->role != b->role || !siblings(one, two) ||
        strcmp(x->variant != NULL ? x->variant : "",
               y->variant != NULL ? y->variant : "") != 0) {
        return false;
    }
    for (size_t k = 0; k < l->sweep.axis_count; k++) {
        if ((axes >> k & 1u) &&
            l->sweep.points[x->point][k] != l->sweep.points[y->point][k]) {
            return false;
        }
    }
    return !trains_alike(&(il_job){.chain = b->chain, .chain_count = two->chain_count},
                         a->chain, one->chain_count);
}

/* Leaves of a draft's point what tells it from others of its name: a twin does not
 * depend on how hard the other is pressed. */
static void narrow_point(const twinner *t, draft *d)
{
    for (size_t k = 0; k < t->l->sweep.axis_count; k++) {
        unsigned less = d->axes & ~(1u << k);
        bool told = true;

        if (less == d->axes) {
            continue;
        }
        for (const draft *other = t->drafts; other != NULL && told;
             other = other->next) {
            told = other == d || !clash(t, d, other, less);
        }
        d->axes = told ? less : d->axes;
    }
}

/* "naive.twin", "naive.placebo@lr=0.1", "twin"; NULL when memory is out. */
static const char *label_of(il__lister *l, const draft *d, const char **base)
{
    const il__drawn *drawn = &l->drawn[d->of];
    const char *point = il_sweep_label(l->arena, &l->sweep, drawn->point, d->axes);

    *base = il_arena_printf(l->arena, "%s%s%s",
                            drawn->variant != NULL ? drawn->variant : "",
                            drawn->variant != NULL ? "." : "", suffix_of(d->role));
    if (*base == NULL || point == NULL) {
        return NULL;
    }
    return point[0] != '\0' ? il_arena_printf(l->arena, "%s@%s", *base, point) : *base;
}

/* The point of a job, as far as it is the draft's. */
static bool fill_point(il__lister *l, il_job *out, const draft *d)
{
    size_t point = l->point;
    bool good;

    l->point = l->drawn[d->of].point;
    good = il__jobs_point(l, out, d->axes);
    l->point = point;
    return good;
}

static void schedule(twinner *t, draft *d)
{
    il__lister *l = t->l;
    const char *base;
    const char *label = label_of(l, d, &base);
    const il_job *found = alike(t, d->of, d);
    il_job_step *last = &d->chain[l->out->items[d->of].chain_count - 1];
    il__drawn *drawn;
    il_job *job;

    if (found != NULL) {
        link_to(l, d->of, d->role, found->variant);
        return;
    }
    job = il__jobs_room(l, &drawn);
    if (label == NULL || job == NULL || !fill_point(l, job, d)) {
        l->problems->no_memory = l->problems->no_memory || label == NULL;
        return;
    }
    *drawn = l->drawn[d->of];
    drawn->wanted = il__jobs_named(l, base, label);
    last->variant = base;
    last->label = label;
    job->stage = l->out->items[d->of].stage;
    job->variant = label;
    job->seed = l->out->items[d->of].seed;
    job->document = d->document;
    job->pipeline = d->pipeline;
    job->chain = d->chain;
    job->chain_count = l->out->items[d->of].chain_count;
    job->role = d->role;
    job->scheduled = l->out->items[d->of].variant;
    l->out->count++;
    link_to(l, d->of, d->role, label);
}

/* Schedules what is missing, the seeds of one name side by side. */
static void schedule_all(twinner *t)
{
    const il__lister *l = t->l;

    for (draft *first = t->drafts; first != NULL; first = first->next) {
        const il_job *job = &l->out->items[first->of];
        const char *label = job->variant;
        const char *stage = job->stage;

        for (draft *d = first; d != NULL && !l->problems->no_memory; d = d->next) {
            job = &l->out->items[d->of];
            if (strcmp(job->stage, stage) != 0 || strcmp(job->variant, label) != 0) {
                break; /* those of one job are together */
            }
            if (!d->done && d->role == first->role) {
                d->done = true;
                schedule(t, d);
            }
        }
    }
}

/* ---- roles ---------------------------------------------------------------------- */

static il_job *job_called(il_jobs *jobs, const il_job *like, const char *label)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (siblings(&jobs->items[i], like) &&
            strcmp(jobs->items[i].variant, label) == 0) {
            return &jobs->items[i];
        }
    }
    return NULL;
}

/* What presses, by its own signals and unless it says that it is there for another. */
static bool presses(const il_job *job)
{
    const il_stage_spec *spec = spec_of(job);
    bool any = false;

    for (size_t i = 0; i < spec->signal_count; i++) {
        any = any || il_signal_presses(&spec->signals[i]);
    }
    return any && spec->train.given && spec->placebo_of == NULL &&
           spec->twin_of == NULL;
}

/* Twins and placebos by those that have them. */
static void give_roles(il__lister *l)
{
    for (size_t i = 0; i < l->out->count; i++) {
        const il_job *job = &l->out->items[i];

        for (size_t k = 0; k <= job->placebo_count; k++) {
            const char *label = k == 0 ? job->twin : job->placebos[k - 1];
            il_job *other = label != NULL ? job_called(l->out, job, label) : NULL;

            if (other != NULL && other->role == IL_ROLE_NONE) {
                other->role = k == 0 ? IL_ROLE_TWIN : IL_ROLE_PLACEBO;
            }
        }
    }
}

void il__jobs_twins(il__lister *l)
{
    twinner t = {.l = l, .count = l->out->count};

    t.end = &t.drafts;
    for (size_t i = 0; i < t.count; i++) {
        il_job *job = &l->out->items[i];

        job->role = presses(job)                       ? IL_ROLE_PRESSED
                    : spec_of(job)->placebo_of != NULL ? IL_ROLE_PLACEBO
                    : spec_of(job)->twin_of != NULL    ? IL_ROLE_TWIN
                                                       : IL_ROLE_NONE;
    }
    for (size_t i = 0; i < t.count && !l->problems->no_memory; i++) {
        if (l->out->items[i].role == IL_ROLE_PRESSED) {
            find_all(&t, i);
        }
    }
    for (draft *d = t.drafts; d != NULL; d = d->next) {
        narrow_point(&t, d);
    }
    schedule_all(&t);
    give_roles(l);
}
