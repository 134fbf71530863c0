/* Terms, planned: one tape to learn which parameters each term's gradient flows to,
 * which its value depends on, and which it may therefore update. */
#include <stdio.h>
#include <string.h>
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

static il_status fill_route(il_terms *t, const il_pass *pass, il_term *term,
                            il_error *err)
{
    const il_route_spec *r = &term->spec->route;
    const il_store *store = t->world->model->store;
    il_word *reads = words_new(t);

    if (reads == NULL || term->route == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, term->spec->name, "out of memory");
    }
    if (r->kind == IL_ROUTE_DOWNSTREAM || r->kind == IL_ROUTE_UPSTREAM) {
        IL_TRY(target_reads(t, pass, r, reads, err));
    }
    IL_TRY(check_groups(t, &r->groups, err));
    for (size_t i = 0; i < store->count; i++) {
        bool in = r->kind == IL_ROUTE_ALL ||
                  (r->kind == IL_ROUTE_GROUPS &&
                   in_groups(&r->groups, store->items[i].group)) ||
                  (r->kind == IL_ROUTE_UPSTREAM && il_bits_has(reads, i)) ||
                  (r->kind == IL_ROUTE_DOWNSTREAM && !il_bits_has(reads, i));

        if (in) {
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
        for (int k = 0; k < IL_PASS_KINDS; k++) {
            term->g[k] = words_new(t);
            term->v[k] = words_new(t);
            term->updates[k] = words_new(t);
            if (term->g[k] == NULL || term->v[k] == NULL || term->updates[k] == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
            }
        }
        if (term->route == NULL || term->score_g == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    for (size_t d = 0; d < t->world->detector_count; d++) {
        t->reads[d] = words_new(t);
        if (t->reads[d] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
        }
    }
    return IL_OK;
}

/* What each detector reads, and which sites the pass must keep for that. */
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
    return IL_OK;
}

static il_status plan_pass(il_terms *t, il_worker *worker, il_micro *micro, int kind,
                           il_error *err)
{
    il_terms_run run = {.kind = kind, .values = t->world->values, .watch = true};
    il_tensor **roots = NULL;
    il_micro_scores *scores = NULL;

    IL_TRY(il__terms_forward(t, worker, micro, &run, &scores, err));
    if (kind == IL_PASS_FIRST) {
        IL_TRY(plan_reads(t, worker->pass, err));
        if (t->shadow >= 0) {
            for (size_t p = 0; p < t->world->model->store->count; p++) {
                if (!il_bits_has(t->reads[t->shadow], p)) {
                    il_bits_set(t->below, p);
                }
            }
        }
    }
    roots = il_arena_calloc(worker->scratch, t->count + 1, sizeof *roots);
    if (roots == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
    }
    for (size_t i = 0; i < t->count; i++) {
        il_term *term = &t->items[i];
        float *seeds = NULL;

        if (kind == IL_PASS_FIRST) {
            IL_TRY(fill_route(t, worker->pass, term, err));
        }
        term->normalizer = term->normalizer > 0 ? term->normalizer : 1.0;
        IL_TRY(il__term_root(t, (size_t)i, worker, micro, &run, scores, &roots[i],
                             &seeds, err));
        IL_TRY(il_pass_status(worker->pass, err));
        if (roots[i] == NULL) {
            return il_error_set(err, IL_ERR_INPUT, term->spec->name,
                                "the first micro-batch has no row for this signal");
        }
        il_bits_copy(term->g[kind], il_tensor_g(roots[i]), t->words);
        il_bits_copy(term->v[kind], il_tensor_v(roots[i]), t->words);
        il_bits_copy(term->updates[kind], term->g[kind], t->words);
        il_bits_and(term->updates[kind], term->route, t->words);
        if (kind == IL_PASS_FIRST) {
            int d = term->detector >= 0 ? term->detector : term->gate;

            if (d >= 0 && (term->detector >= 0 || term->spec->gate.through)) {
                il_bits_copy(term->score_g, il_tensor_g(scores[d].logits), t->words);
            }
        } else {
            il_bits_and(term->updates[kind], t->below, t->words);
        }
        term->planned[kind] = true;
    }
    return IL_OK;
}

il_status il_terms_plan(il_terms *t, il_worker *worker, il_micro *micro, il_error *err)
{
    IL_TRY(allocate_plan(t, err));
    il_arena_reset(worker->scratch);
    IL_TRY(il_terms_measure(t, micro, worker->scratch, err));
    IL_TRY(plan_pass(t, worker, micro, IL_PASS_FIRST, err));
    if (t->shadow >= 0) {
        IL_TRY(plan_pass(t, worker, micro, IL_PASS_SECOND, err));
    }
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
