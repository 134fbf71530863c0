/* Terms, planned: one tape to learn which parameters each term's gradient flows to,
 * which its value depends on, and which it may therefore update. */
#include <stdio.h>
#include <string.h>
#include "audit/places.h"
#include "loop/terms_private.h"

static il_word *words_new(il_terms *t)
{
    return il_arena_calloc(t->arena, t->words, sizeof(il_word));
}

/* V at the sites that a route's target names. */
static il_status target_reads(il_terms *t, const il_pass *pass, const il_route_spec *r,
                              il_word *out, il_error *err)
{
    if (r->target_is_detector) {
        int d = il__terms_detector(t->world, r->target);

        il_bits_copy(out, t->reads[d], t->words);
        return IL_OK;
    }
    for (size_t i = 0; i < t->world->model->site_count; i++) {
        if (strcmp(t->world->model->sites[i].name, r->target) == 0) {
            il_tensor *x = il_pass_site(pass, (int32_t)i);

            if (x == NULL) {
                return il_error_set(err, IL_ERR_INPUT, r->target,
                                    "the forward pass never came by this site");
            }
            il_bits_copy(out, il_tensor_v(x), t->words);
            return IL_OK;
        }
    }
    return il_error_set(err, IL_ERR_INPUT, r->target,
                        "a route names this, which is neither a detector nor a site");
}

static bool in_groups(const il_names_spec *groups, const char *group)
{
    for (size_t i = 0; i < groups->count; i++) {
        if (strcmp(groups->items[i], group) == 0) {
            return true;
        }
    }
    return false;
}

static il_status check_groups(const il_terms *t, const il_names_spec *groups,
                              il_error *err)
{
    const il_store *store = t->world->model->store;

    for (size_t i = 0; i < groups->count; i++) {
        bool found = false;

        for (size_t p = 0; p < store->count && !found; p++) {
            found = strcmp(store->items[p].group, groups->items[i]) == 0;
        }
        if (!found) {
            const il_place *at = &groups->places[i];
            char where[IL_ERROR_WHERE_MAX];

            (void)snprintf(where, sizeof where, "%s:%d:%d", at->file, (int)at->line,
                           (int)at->column);
            return il_error_set(err, IL_ERR_INPUT, where,
                                "the model has no parameter group '%s'",
                                groups->items[i]);
        }
    }
    return IL_OK;
}

/* An implicit term may update what any of the reward terms may. */
static void fill_union(const il_terms *t, il_term *term)
{
    for (size_t i = 0; i < t->count; i++) {
        if (il__terms_rewarded(&t->items[i])) {
            il_bits_or(term->route, t->items[i].route, t->words);
        }
    }
}

static il_status fill_route(il_terms *t, const il_pass *pass, il_term *term,
                            il_error *err)
{
    const il_route_spec *r = &term->spec->route;
    const il_store *store = t->world->model->store;
    il_word *reads = words_new(t);

    if (reads == NULL || term->route == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, term->spec->name, "out of memory");
    }
    if (term->implicit) {
        fill_union(t, term);
        return IL_OK;
    }
    if (r->kind == IL_ROUTE_DOWNSTREAM || r->kind == IL_ROUTE_UPSTREAM) {
        IL_TRY(target_reads(t, pass, r, reads, err));
    }
    IL_TRY(check_groups(t, &r->groups, err));
    for (size_t i = 0; i < store->count; i++) {
        bool grouped = r->groups.count == 0 ||
                       in_groups(&r->groups, store->items[i].group);
        bool in = r->kind == IL_ROUTE_ALL ||
                  (r->kind == IL_ROUTE_GROUPS && r->groups.count > 0) ||
                  (r->kind == IL_ROUTE_UPSTREAM && il_bits_has(reads, i)) ||
                  (r->kind == IL_ROUTE_DOWNSTREAM && !il_bits_has(reads, i));

        if (in && grouped) {
            il_bits_set(term->route, i);
        }
    }
    return IL_OK;
}

static il_status allocate_plan(il_terms *t, il_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];

        term->route = words_new(t);
        term->score_g = words_new(t);
        term->weigh_v = words_new(t);
        for (int k = 0; k < IL_PASS_KINDS; k++) {
            term->g[k] = words_new(t);
            term->v[k] = words_new(t);
            term->updates[k] = words_new(t);
            if (term->g[k] == NULL || term->v[k] == NULL || term->updates[k] == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
            }
        }
        if (term->route == NULL || term->score_g == NULL || term->weigh_v == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    for (size_t i = 0; i < t->edit_count; i++) {
        for (int k = 0; k < IL_PASS_KINDS; k++) {
            t->edits[i].site_g[k] = words_new(t);
            if (t->edits[i].site_g[k] == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
            }
        }
    }
    t->acts_v = words_new(t);
    t->probed_v = words_new(t);
    if (t->stage->audit.given) {
        const il_world *w = t->world;

        t->probed =
            il_audit_read_sites(&t->stage->audit, w->model, w->detector_count,
                                (const il_detector *const *)w->detectors, t->arena);
    }
    if (t->acts_v == NULL || t->probed_v == NULL ||
        (t->stage->audit.given && t->probed == NULL)) {
        return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
    }
    for (size_t d = 0; d < t->world->detector_count; d++) {
        t->reads[d] = words_new(t);
        if (t->reads[d] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    return IL_OK;
}

/* What each detector and the audit's fresh readers read. */
static il_status plan_reads(il_terms *t, const il_pass *pass, il_error *err)
{
    for (size_t d = 0; d < t->world->detector_count; d++) {
        const il_detector *det = t->world->detectors[d];

        for (size_t i = 0; i < det->site_count; i++) {
            il_tensor *x = il_pass_site(pass, (int32_t)det->sites[i]);

            if (x == NULL) {
                return il_error_set(
                    err, IL_ERR_INPUT, det->spec->sites.items[i],
                    "the model declares this site but its forward pass never "
                    "comes by");
            }
            il_bits_or(t->reads[d], il_tensor_v(x), t->words);
        }
    }
    for (size_t i = 0; t->probed != NULL && i < t->world->model->site_count; i++) {
        const il_tensor *x = t->probed[i] ? il_pass_site(pass, (int32_t)i) : NULL;

        if (x != NULL) { /* where the pass never comes by there is nothing to read */
            il_bits_or(t->probed_v, il_tensor_v(x), t->words);
        }
    }
    return IL_OK;
}

/* Adds what a detector's score depends on without a derivative. */
static void add_score(const il_terms *t, int d, il_word *out)
{
    const char *on = t->world->detectors[d]->spec->on;

    if (on == NULL) {
        il_bits_or(out, t->reads[d], t->words);
    } else if (il_reference_moves(
                   &t->world->references[il_world_reference(t->world, on)])) {
        il_bits_or(out, t->every, t->words);
    }
}

/* What the coefficients of a term's rows depend on without a derivative. */
static void plan_weights(il_terms *t, il_term *term, const il_forward *f)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;
    bool shared = term->kind == IL_TERM_VALUE || a->normalize_batch ||
                  a->divide_by_std || a->kind == IL_ALGORITHM_PPO;
    bool rewards = term->kind == IL_TERM_REWARD || term->implicit;

    if (term->kind == IL_TERM_LATENT || (rewards && !shared)) {
        if (term->detector >= 0) {
            add_score(t, term->detector, term->weigh_v);
        }
    }
    if (rewards && shared) {
        for (size_t i = 0; i < t->count; i++) {
            const il_term *other = &t->items[i];

            if (il__terms_rewarded(other) && other->detector >= 0) {
                add_score(t, other->detector, term->weigh_v);
            }
        }
    }
    if (term->implicit ||
        (rewards && shared && a->kind != IL_ALGORITHM_GROUP_RELATIVE)) {
        il_bits_or(term->weigh_v, il_tensor_v(il_pass_output(f->pass, "value")),
                   t->words);
    }
    if (rewards && a->kind == IL_ALGORITHM_PPO) {
        il_bits_or(term->weigh_v, il_tensor_v(f->surprise), t->words);
    }
    if (term->gate >= 0) {
        add_score(t, term->gate, term->weigh_v);
    }
    for (size_t i = 0; term->trains && i < t->sift_count; i++) {
        if ((term->lots & t->sifts[i].lots) != 0 || t->sifts[i].lots == 0) {
            add_score(t, t->sifts[i].detector, term->weigh_v);
        }
    }
    if (f->policy != NULL) {
        il_bits_or(t->acts_v, il_tensor_v(f->policy), t->words);
    }
}

static il_status plan_term(il_terms *t, size_t i, il_worker *worker,
                           const il_micro *micro, const il_terms_run *run,
                           il_forward *f, il_error *err)
{
    il_term *term = &t->items[i];
    il_tensor *root = NULL;
    float *seeds = NULL;
    int d = term->detector >= 0 ? term->detector : term->gate;

    term->normalizer = term->normalizer > 0 ? term->normalizer : 1.0;
    IL_TRY(il__term_root(t, i, worker, micro, run, f, &root, &seeds, err));
    IL_TRY(il_pass_status(f->pass, err));
    if (root == NULL) {
        return il_error_set(err, IL_ERR_INPUT, term->spec->name,
                            "the first micro-batch has no row for this signal");
    }
    il_bits_copy(term->g[run->kind], il_tensor_g(root), t->words);
    il_bits_copy(term->v[run->kind], il_tensor_v(root), t->words);
    il_bits_copy(term->updates[run->kind], il_tensor_g(root), t->words);
    il_bits_and(term->updates[run->kind], term->route, t->words);
    if (run->kind == IL_PASS_FIRST) {
        plan_weights(t, term, f);
        if (d >= 0 && (term->kind == IL_TERM_DETECTOR || term->spec->gate.through)) {
            il_bits_copy(term->score_g, il_tensor_g(f->scores[d].logits), t->words);
        }
    } else {
        il_bits_and(term->updates[run->kind], t->below, t->words);
    }
    term->planned[run->kind] = true;
    return IL_OK;
}

/* What a derivative flows to through the sites that are edited. */
static void plan_edits(il_terms *t, const il_pass *pass, int kind)
{
    for (size_t i = 0; i < t->edit_count; i++) {
        const il_tensor *x = il_pass_site(pass, t->edits[i].editor.site.site);

        if (x != NULL) {
            il_bits_or(t->edits[i].site_g[kind], il_tensor_g(x), t->words);
        }
    }
}

/* Whether the model goes on with what is edited; one forward each, on these rows. */
static il_status check_edits(const il_terms *t, const il_micro *micro,
                             il_worker *worker, il_error *err)
{
    il_site_edits all;
    int kind = t->shadow >= 0 ? IL_PASS_SECOND : IL_PASS_FIRST;

    IL_TRY(il_terms_edits(t, kind, 0, micro->lot, worker->scratch, &all, err));
    return il_edits_check(&all, t->world->model, t->world->values, micro->batch,
                          t->world->host.blas, err);
}

/* Plans the terms that read this micro-batch and are not planned yet; the first comes
 * with what is the same for all: routes, and what detectors read. */
static il_status plan_pass(il_terms *t, il_worker *worker, il_micro *micro, int kind,
                           bool first, il_error *err)
{
    il_terms_run run = {.kind = kind, .values = t->world->values, .watch = true};
    il_forward *f = NULL;

    IL_TRY(il__terms_open(t, worker, micro, &run, &f, err));
    if (first && kind == IL_PASS_FIRST) {
        IL_TRY(plan_reads(t, f->pass, err));
        for (size_t p = 0; t->shadow >= 0 && p < t->world->model->store->count; p++) {
            if (!il_bits_has(t->reads[t->shadow], p)) {
                il_bits_set(t->below, p);
            }
        }
        for (size_t i = 0; i < t->count; i++) {
            IL_TRY(fill_route(t, f->pass, &t->items[i], err));
        }
    }
    plan_edits(t, f->pass, kind);
    for (size_t i = 0; i < t->count; i++) {
        if (il_term_on(&t->items[i], micro->lot) && !t->items[i].planned[kind]) {
            IL_TRY(plan_term(t, i, worker, micro, &run, f, err));
        }
    }
    micro->alive = false;
    return IL_OK;
}

il_status il_terms_plan(il_terms *t, il_worker *worker, il_micro *const *micros,
                        size_t count, il_error *err)
{
    IL_TRY(allocate_plan(t, err));
    t->planning = true;
    for (size_t m = 0; m < count; m++) {
        il_arena_reset(worker->scratch);
        IL_TRY(il_terms_measure(t, micros[m], worker->scratch, err));
        IL_TRY(check_edits(t, micros[m], worker, err));
        IL_TRY(plan_pass(t, worker, micros[m], IL_PASS_FIRST, m == 0, err));
        if (t->shadow >= 0) {
            IL_TRY(plan_pass(t, worker, micros[m], IL_PASS_SECOND, m == 0, err));
        }
    }
    t->planning = false;
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];
        bool entered = term->detector >= 0 || term->gate >= 0;

        term->runs[IL_PASS_FIRST] =
            term->trains && il_bits_any(term->updates[IL_PASS_FIRST], t->words) &&
            (t->shadow < 0 || !entered);
        term->runs[IL_PASS_SECOND] =
            term->trains && t->shadow >= 0 &&
            il_bits_any(term->updates[IL_PASS_SECOND], t->words);
    }
    return IL_OK;
}
