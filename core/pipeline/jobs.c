/* Listing the jobs: a document, a pipeline and training texts for each lineage, point
 * and seed. */
#include "pipeline/jobs.h"

#include <string.h>
#include "pipeline/jobs_private.h"

enum { SEEDS_MAX = 256, JOBS_MAX = 20000 };

/* --- one job --- */

/* A reference to a stage stands for a state that exists by then: one of the
 * lineage's. */
static void check_reference(il__lister *l, const il_job *job, size_t depth,
                            const char *name, il_place place)
{
    const il_reference_spec *ref = il_pipeline_reference(job->pipeline, name);

    if (ref == NULL || ref->of_stage == NULL) {
        return;
    }
    for (size_t i = 0; i < depth; i++) {
        if (strcmp(job->chain[i].stage, ref->of_stage) == 0 &&
            (ref->of_variant == NULL ||
             strcmp(job->chain[i].variant, ref->of_variant) == 0)) {
            return;
        }
    }
    il_problem_add(
        l->problems, place,
        "reference '%s' is of stage '%s%s%s', which stage '%s' does not come "
        "from",
        name, ref->of_stage, ref->of_variant != NULL ? "/" : "",
        ref->of_variant != NULL ? ref->of_variant : "", job->chain[depth].stage);
}

static void check_references(il__lister *l, const il_job *job, size_t depth)
{
    const il_stage_spec *s = job->chain[depth].spec;

    for (size_t i = 0; i < s->signal_count; i++) {
        const il_signal_spec *g = &s->signals[i];
        const il_detector_spec *d = NULL;

        if (g->source.kind == IL_SOURCE_KL) {
            check_reference(l, job, depth, g->source.name, g->source.place);
        } else if (g->source.kind == IL_SOURCE_DETECTOR) {
            d = il_pipeline_detector(job->pipeline, g->source.name);
        }
        if (d != NULL && d->on != NULL) {
            check_reference(l, job, depth, d->on, g->source.place);
        }
    }
}

static bool fill_job(il__lister *l, il_job *job, const il__link *lineage, size_t count,
                     uint64_t seed)
{
    il_node *root = il__jobs_lay(l, lineage, count, l->problems);
    const char **names = il_arena_calloc(l->arena, count, sizeof *names);

    if (root == NULL || names == NULL) {
        return il__jobs_no_memory(l);
    }
    il_substitute(l->arena, root, IL_SUBSTITUTE_ALL, l->problems);
    il_paths_resolve(l->arena, root, l->problems);
    if (!il__jobs_narrow(l, root, lineage, count, seed)) {
        return false;
    }
    job->stage = lineage[count - 1].stage;
    job->variant = il__jobs_label(l, lineage, count);
    job->seed = seed;
    if (job->variant == NULL ||
        !il__jobs_point(l, job, il__jobs_reach(l, lineage, count))) {
        return il__jobs_no_memory(l);
    }
    job->document = root;
    job->pipeline = il_pipeline_read(l->arena, root, l->stages, l->problems);
    job->chain = il_arena_calloc(l->arena, count, sizeof *job->chain);
    if (job->pipeline == NULL || job->chain == NULL) {
        return il__jobs_no_memory(l);
    }
    for (size_t i = 0; i < count; i++) {
        il_job_step *step = &job->chain[i];

        names[i] = lineage[i].stage;
        step->stage = lineage[i].stage;
        step->variant = lineage[i].variant != NULL ? lineage[i].variant : "";
        step->label = il__jobs_label(l, lineage, i + 1);
        if (step->label == NULL) {
            return il__jobs_no_memory(l);
        }
        step->spec = il_pipeline_stage(job->pipeline, step->stage);
        if (step->spec == NULL) {
            return false; /* no map, and reported as that */
        }
        job->chain_count = i + 1;
        check_references(l, job, i);
        step->text = il_training_text(l->arena, job->pipeline, step->spec, names, i);
        if (step->text == NULL) {
            return il__jobs_no_memory(l);
        }
    }
    return true;
}

il_job *il__jobs_room(il__lister *l, il__drawn **drawn)
{
    if (l->out->count == JOBS_MAX) {
        il_problem_add(l->problems, l->document->tree->place, "more than %d jobs",
                       JOBS_MAX);
        return NULL;
    }
    if (l->out->count == l->room) {
        size_t room = l->room > 0 ? 2 * l->room : 16;
        il_job *items = il_arena_calloc(l->arena, room, sizeof *items);
        il__drawn *all = il_arena_calloc(l->arena, room, sizeof *all);

        if (items == NULL || all == NULL) {
            (void)il__jobs_no_memory(l);
            return NULL;
        }
        if (l->out->count > 0) {
            memcpy(items, l->out->items, l->out->count * sizeof *items);
            memcpy(all, l->drawn, l->out->count * sizeof *all);
        }
        l->out->items = items;
        l->drawn = all;
        l->room = room;
    }
    *drawn = &l->drawn[l->out->count];
    memset(*drawn, 0, sizeof **drawn);
    memset(&l->out->items[l->out->count], 0, sizeof *l->out->items);
    return &l->out->items[l->out->count];
}

static bool has(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return count == 0;
}

bool il__jobs_named(const il__lister *l, const char *variant, const char *label)
{
    const il_jobs_filter *f = l->filter;

    return f == NULL || f->variant_count == 0 ||
           has(f->variants, f->variant_count, label) ||
           (variant != NULL && has(f->variants, f->variant_count, variant));
}

/* Whether the filter takes a job. A stage without variants is left out only where the
 * filter names some point of such a stage. */
static bool wants_label(const il__lister *l, const char *variant, const char *label)
{
    const il_jobs_filter *f = l->filter;
    bool points = false;

    if (variant != NULL || il__jobs_named(l, variant, label)) {
        return il__jobs_named(l, variant, label);
    }
    for (size_t i = 0; i < f->variant_count; i++) {
        points = points || (strchr(f->variants[i], '=') != NULL &&
                            strchr(f->variants[i], '@') == NULL);
    }
    return label[0] == '\0' || !points;
}

/* The jobs of a leaf at the lister's point, one a seed. `seen` is the first job of this
 * leaf: a point that differs from an earlier one only in what does not reach the leaf
 * is the same job. One that the filter leaves out is listed for now, since it may be
 * another's twin, and not at all where something is wrong with it. */
static void add_point(il__lister *l, il__link leaf, size_t seen)
{
    il__link lineage[IL__LINEAGE_MAX];
    size_t count = il__jobs_lineage(l, leaf, lineage);
    const char *label = count > 0 ? il__jobs_label(l, lineage, count) : NULL;
    bool wanted = label != NULL && wants_label(l, leaf.variant, label);
    il_problems *problems = l->problems;
    il_problems aside = {.arena = l->arena};

    if (label == NULL) {
        return;
    }
    for (size_t i = seen; i < l->out->count; i++) {
        if (strcmp(l->out->items[i].variant, label) == 0) {
            return;
        }
    }
    for (size_t i = 0; i < l->seed_count; i++) {
        il__drawn *drawn;
        il_job *job = il__jobs_room(l, &drawn);

        if (job == NULL) {
            return;
        }
        *drawn = (il__drawn){.variant = leaf.variant,
                             .point = l->point,
                             .axes = il__jobs_reach(l, lineage, count),
                             .wanted = wanted};
        l->problems = wanted ? problems : &aside;
        if (fill_job(l, job, lineage, count, l->seeds[i]) &&
            (wanted || !il_problems_any(&aside))) {
            l->out->count++;
        }
        l->problems = problems;
        problems->no_memory = problems->no_memory || aside.no_memory;
    }
}

static void add_jobs(il__lister *l, il__link leaf)
{
    size_t seen = l->out->count;

    l->point = 0;
    l->axes = 0;
    if (l->sweep.point_count == 0) {
        add_point(l, leaf, seen);
    }
    for (size_t p = 0; p < l->sweep.point_count && !l->problems->no_memory; p++) {
        l->point = p;
        l->axes = (1u << l->sweep.axis_count) - 1;
        add_point(l, leaf, seen);
    }
    l->axes = 0;
}

/* --- all jobs --- */

static void check_filter(il__lister *l)
{
    il_place place = {"--stage", 0, 0};
    const char *keys[256];
    size_t count = il__jobs_keys(l->stages, keys, 256);

    for (size_t i = 0; l->filter != NULL && i < l->filter->stage_count; i++) {
        if (il_node_get(l->stages, l->filter->stages[i]) == NULL) {
            il_problem_add_nearest(l->problems, place, l->filter->stages[i], keys,
                                   count, "no stage '%.60s'", l->filter->stages[i]);
        }
    }
    place.file = "--variants";
    count = 0;
    for (size_t i = 0; i < l->stages->count; i++) {
        if (l->filter == NULL ||
            has(l->filter->stages, l->filter->stage_count, l->stages->items[i].key)) {
            count += il__jobs_keys(il__jobs_variants(l, l->stages->items[i].key),
                                   keys + count, 256 - count);
        }
    }
    for (size_t i = 0; l->filter != NULL && i < l->filter->variant_count; i++) {
        size_t base = strcspn(l->filter->variants[i], ".@"); /* no name holds a dot */
        const char *name =
            il_arena_printf(l->arena, "%.*s", (int)base, l->filter->variants[i]);

        if (name == NULL || (count == 0 && strchr(name, '=') != NULL) ||
            il__jobs_is_scheduled(l->filter->variants[i])) {
            continue; /* a point of a stage without variants, or its twin */
        }
        if (count == 0 || !has(keys, count, name)) {
            il_problem_add_nearest(l->problems, place, name, keys, count,
                                   "no variant '%.60s'", l->filter->variants[i]);
        }
    }
}

/* Two runs of one seed would be one run. */
static void check_seeds(il__lister *l, const il_node *seeds)
{
    if (seeds != NULL && seeds->count > SEEDS_MAX) {
        il_problem_add(l->problems, seeds->place, "more than %d seeds", SEEDS_MAX);
        return;
    }
    for (size_t i = 0; seeds != NULL && i < seeds->count; i++) {
        const il_node *item = seeds->items[i].value;

        for (size_t j = 0; j < i; j++) {
            const il_node *other = seeds->items[j].value;

            if (item->kind == IL_NODE_SCALAR && other->kind == IL_NODE_SCALAR &&
                strcmp(item->text, other->text) == 0) {
                il_problem_add(l->problems, item->place, "the seed %.40s a second time",
                               item->text);
            }
        }
    }
}

/* What the jobs' own documents no longer hold. */
static void check_rest(il__lister *l, const il_node *view)
{
    static const char *const parts[] = {"seed", "sweep", "vars"};
    unsigned flags;

    for (size_t i = 0; i < 3; i++) {
        const il_node *part = il_node_get(view, parts[i]);

        if (part != NULL) {
            il_schema_check(
                il_schema_child(&il_schema_pipeline, NULL, parts[i], &flags), part,
                l->problems);
        }
    }
    check_seeds(l, il_node_find(view, "sweep.seeds"));
    for (size_t i = 0; i < l->stages->count; i++) {
        const il_node *stage = l->stages->items[i].value;
        const il_node *variants = il_node_get(stage, "variants");
        static const char *const own[] = {"twin_of", "placebo_of"};

        if (variants != NULL) {
            il_schema_check(il_schema_child(&il_schema_stage, NULL, "variants", &flags),
                            variants, l->problems);
        }
        for (size_t k = 0; k < 2; k++) {
            const il_node_item *item = il_node_item_of(stage, own[k]);

            if (item != NULL) {
                il_problem_add(l->problems, item->place,
                               "`%s` belongs into a variant, not into the stage",
                               own[k]);
            }
        }
    }
}

/* The seeds to run: the filter's, the command line's, the sweep's, or the one of the
 * file. */
static bool choose_seeds(il__lister *l, const il_node *view)
{
    const il_node *list = il_node_get(il_node_get(view, "sweep"), "seeds");
    const il_node *one = il_node_get(view, "seed");
    uint64_t *seeds;
    size_t count = 0;
    bool set = false;

    if (l->filter != NULL && l->filter->seed_count > 0) {
        l->seeds = l->filter->seeds;
        l->seed_count = l->filter->seed_count;
        return true;
    }
    for (size_t i = 0; i < l->document->setting_count; i++) {
        set = set || strcmp(l->document->settings[i].path, "seed") == 0;
    }
    if (set || list == NULL || list->kind != IL_NODE_LIST) {
        list = NULL;
    }
    seeds =
        il_arena_calloc(l->arena, list != NULL ? list->count + 1 : 1, sizeof *seeds);
    if (seeds == NULL) {
        return il__jobs_no_memory(l);
    }
    for (size_t i = 0; list != NULL && i < list->count && count < SEEDS_MAX; i++) {
        const il_node *item = list->items[i].value;

        if (item->kind == IL_NODE_SCALAR && il_parse_uint(item->text, &seeds[count])) {
            count++;
        }
    }
    if (count == 0) {
        seeds[0] = 1;
        if (one != NULL && one->kind == IL_NODE_SCALAR) {
            (void)il_parse_uint(one->text, &seeds[0]);
        }
        count = 1;
    }
    l->seeds = seeds;
    l->seed_count = count;
    return true;
}

/* An axis that had no place in any job is a problem; with stages left out, it may have
 * one in those. */
static void check_axes(il__lister *l)
{
    for (size_t a = 0; a < l->sweep.axis_count; a++) {
        const il_axis *axis = &l->sweep.axes[a];

        if (!l->axis_placed[a] &&
            (l->filter == NULL ||
             (l->filter->stage_count == 0 && l->filter->variant_count == 0))) {
            (void)il_override(l->arena, &il_schema_pipeline, l->document->tree,
                              axis->path, axis->values->items[0].value, axis->place,
                              l->problems);
        }
    }
}

static bool wants_stage(const il__lister *l, const char *name)
{
    return l->filter == NULL || has(l->filter->stages, l->filter->stage_count, name);
}

static void add_stage(il__lister *l, const char *name)
{
    const il_node *variants = il__jobs_variants(l, name);
    il__link leaf = {name, NULL};

    if (variants == NULL) {
        add_jobs(l, leaf);
        return;
    }
    for (size_t i = 0; i < variants->count; i++) {
        leaf.variant = variants->items[i].key;
        add_jobs(l, leaf);
    }
}

/* Takes out what the filter does not want, now that it has been compared with. */
static void drop_unwanted(il__lister *l)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->out->count; i++) {
        if (l->drawn[i].wanted) {
            l->out->items[kept++] = l->out->items[i];
        }
    }
    l->out->count = kept;
}

/* Stable by the length of the chain: a parent's is shorter than its children's. */
static void order_jobs(il_jobs *jobs)
{
    for (size_t i = 1; i < jobs->count; i++) {
        il_job job = jobs->items[i];
        size_t j = i;

        while (j > 0 && jobs->items[j - 1].chain_count > job.chain_count) {
            jobs->items[j] = jobs->items[j - 1];
            j--;
        }
        jobs->items[j] = job;
    }
}

static void list(il_jobs *out, il_document *document, const il_jobs_filter *filter,
                 il_problems *problems)
{
    il__lister l = {.document = document,
                    .arena = document->arena,
                    .problems = problems,
                    .filter = filter,
                    .out = out};
    il_node *view = il__jobs_lay(&l, NULL, 0, problems);

    memset(out, 0, sizeof *out);
    if (view == NULL) {
        return;
    }
    il_substitute(l.arena, view, IL_SUBSTITUTE_ALL, problems);
    l.stages = il_node_get(view, "stages");
    if (!il__jobs_is_map(l.stages) || l.stages->count == 0) {
        il_schema_check(&il_schema_pipeline, view, problems);
        return;
    }
    check_filter(&l);
    check_rest(&l, view);
    if (!il_sweep_read(&l.sweep, l.arena, il_node_get(view, "sweep"), problems)) {
        (void)il__jobs_no_memory(&l);
    }
    if (choose_seeds(&l, view)) {
        for (size_t i = 0; i < l.stages->count; i++) {
            if (wants_stage(&l, l.stages->items[i].key)) {
                add_stage(&l, l.stages->items[i].key);
            }
        }
    }
    il_document_check_settings(document, problems);
    check_axes(&l);
    il__jobs_twins(&l);
    drop_unwanted(&l);
    order_jobs(out);
}

const char *il_role_name(il_role role)
{
    static const char *const names[] = {NULL, "pressed", "twin", "placebo"};

    return names[role];
}

il_status il_jobs_list(il_jobs *out, il_document *document,
                       const il_jobs_filter *filter, il_problems *problems,
                       il_error *err)
{
    list(out, document, filter, problems);
    if (il_problems_any(problems)) {
        memset(out, 0, sizeof *out);
    }
    return il_problems_status(problems, err);
}

void il_jobs_check(il_jobs *out, il_document *document, il_problems *problems)
{
    static const uint64_t seed = 1;
    il_jobs_filter filter = {.seeds = &seed, .seed_count = 1};

    list(out, document, &filter, problems);
}
