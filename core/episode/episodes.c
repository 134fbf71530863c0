/* Episodes: what both forms share. See episodes.h. */
#include "episode/episodes_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "pipeline/batch.h"
#include "pipeline/fields.h"

/* How an episode's id is put together, from the top: draw, lot, update, episode. */
enum { ID_LOT_BITS = 8, ID_STEP_BITS = 24, ID_EPISODE_BITS = 27 };

int64_t il_rollout_length(const il_instance *environment)
{
    const il_environment_shape *s = &environment->shape;

    return il_instance_environment(environment)->form == IL_ENVIRONMENT_STEPS
               ? (int64_t)s->steps + 1
               : (int64_t)s->prompt_tokens + s->max_tokens;
}

/* The number of a name in a list, or -1. */
static int32_t named(const il_named *items, int32_t count, const char *name)
{
    for (int32_t i = 0; items != NULL && i < count; i++) {
        if (strcmp(items[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int32_t il_rollout_policy(const il_instance *environment, const char *name)
{
    const il_environment_api *api = il_instance_environment(environment);
    const il_named *all;
    int32_t count = 0;

    if (api->form != IL_ENVIRONMENT_STEPS || !IL_HAS(api, policies)) {
        return -1;
    }
    all = api->policies(environment->self, &count);
    return named(all, count, name);
}

int32_t il_rollout_prompt(const il_instance *environment, const char *name)
{
    const il_environment_api *api = il_instance_environment(environment);
    const il_named *all;
    int32_t count = 0;

    if (api->form != IL_ENVIRONMENT_TEXT) {
        return -1;
    }
    all = api->prompts(environment->self, &count);
    return named(all, count, name);
}

int64_t il_rollout_id(const il_rollout *r, int64_t episode)
{
    uint64_t id = (uint64_t)r->draw;

    id = id << ID_LOT_BITS | r->lot;
    id = id << ID_STEP_BITS | r->step;
    return (int64_t)(id << ID_EPISODE_BITS | (uint64_t)episode);
}

void il__rollout_luck(const il_rollout *r, il__luck what, int64_t episode, il_rng *out)
{
    /* Purpose, draw, lot and update go side by side, so that no two meet. */
    uint64_t step = (uint64_t)(what == IL__LUCK_LATENT) << 63 |
                    (uint64_t)r->draw << 48 | (uint64_t)r->lot << 40 | r->step;

    il_rng_open(out, r->seed, r->depth,
                what == IL__LUCK_ENVIRONMENT ? IL_RNG_ENVIRONMENT : IL_RNG_SAMPLE, step,
                (uint64_t)episode);
}

il_status il__rollout_fault(const il_rollout *r, il_status code, int64_t episode,
                            int64_t position, il_error *err, const char *fmt, ...)
{
    char what[IL_ERROR_MESSAGE_MAX];
    char update[64] = "";
    char at[64] = "";
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (position >= 0) {
        (void)snprintf(at, sizeof at, ", position %lld", (long long)position);
    }
    if (r->draw == IL_DRAW_TRAIN) {
        (void)snprintf(update, sizeof update, "update %llu, ",
                       (unsigned long long)r->step + 1);
    }
    return il_error_set(err, code, r->environment->offer->id, "%sepisode %lld%s: %s",
                        update, (long long)episode, at, what);
}

/* ---- before anything is played -------------------------------------------------- */

static il_status refuse(const il_rollout *r, il_status code, il_error *err,
                        const char *what)
{
    return il_error_set(err, code, r->environment->offer->id, "%s", what);
}

/* Whether every edit knows its rows while the model acts. */
static il_status check_edits(const il_rollout *r, il_error *err)
{
    bool steps = il_instance_environment(r->environment)->form == IL_ENVIRONMENT_STEPS;

    for (size_t i = 0; r->edits != NULL && i < r->edits->count; i++) {
        const il_site_edit *e = &r->edits->items[i];
        const il_field *f = il_field_find(r->environment, e->tokens);

        if (strcmp(e->tokens, "all") != 0 &&
            (!steps || f == NULL || f->role != IL_FIELD_MASK)) {
            return il_error_set(
                err, IL_ERR_INPUT, r->model->sites[e->site].name,
                "an edit here waits for the mask '%s', which %s; expected `tokens: "
                "all`%s",
                e->tokens,
                steps ? "the environment does not have"
                      : "is not known while an answer is written",
                steps ? " or one of its masks" : "");
        }
    }
    return IL_OK;
}

/* Whether the model can act here: step by step, with one logit an action. Of tokens it
 * may know more than the environment does: a vocabulary padded to a round number. */
static il_status check_model(const il_rollout *r, il_error *err)
{
    const il_environment_shape *shape = &r->environment->shape;
    bool steps = il_instance_environment(r->environment)->form == IL_ENVIRONMENT_STEPS;
    const char *name = steps ? "policy" : "logits";
    int64_t wanted = steps ? shape->actions : shape->vocabulary;
    const il_model_api *model;

    if (r->model == NULL || r->values == NULL) {
        return refuse(r, IL_ERR_INTERNAL, err, "a model's own policy needs the model");
    }
    model = il_instance_model(r->model);
    if (!IL_HAS(model, carry_width) || !IL_HAS(model, step)) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, r->environment->offer->id,
                            "the model '%s' cannot act: it has no `step`",
                            r->model->offer->id);
    }
    for (size_t i = 0; i < r->model->output_count; i++) {
        if (strcmp(r->model->outputs[i].name, name) == 0) {
            const int64_t width = r->model->outputs[i].width;

            return width == wanted || (!steps && width > wanted)
                       ? IL_OK
                       : il_error_set(err, IL_ERR_SHAPE, r->environment->offer->id,
                                      "the model '%s' has %lld of output '%s', "
                                      "expected one for each of %lld %s",
                                      r->model->offer->id, (long long)width, name,
                                      (long long)wanted, steps ? "actions" : "tokens");
        }
    }
    return il_error_set(err, IL_ERR_INPUT, r->environment->offer->id,
                        "the model '%s' has no output '%s' to act by",
                        r->model->offer->id, name);
}

static il_status check(const il_rollout *r, int64_t first, int64_t rows, il_error *err)
{
    const il_environment_api *api = il_instance_environment(r->environment);
    int32_t count = 0;

    if (first < 0 || rows < 1 || rows * il_rollout_length(r->environment) > INT32_MAX) {
        return refuse(r, IL_ERR_INPUT, err, "too many episodes at once, or none");
    }
    if (first + rows > (int64_t)1 << ID_EPISODE_BITS || r->lot >= 1u << ID_LOT_BITS ||
        r->step >= (uint64_t)1 << ID_STEP_BITS || (unsigned)r->draw > 15) {
        return refuse(r, IL_ERR_UNSUPPORTED, err,
                      "more episodes, rollouts or updates than ids tell apart");
    }
    if (r->policy < 0) {
        IL_TRY(check_model(r, err));
        IL_TRY(check_edits(r, err));
        return r->sampled_site < (int64_t)r->model->site_count
                   ? IL_OK
                   : refuse(r, IL_ERR_INTERNAL, err, "the model has no such site");
    }
    if (api->form == IL_ENVIRONMENT_STEPS && IL_HAS(api, policies)) {
        (void)api->policies(r->environment->self, &count);
    }
    return r->policy < count
               ? IL_OK
               : refuse(r, IL_ERR_INPUT, err, "it has no policy of that number");
}

il_status il_rollout_fill(const il_rollout *r, int64_t first, int64_t rows,
                          il_pass *pass, il_arena *scratch, il_batch *out,
                          il_error *err)
{
    bool steps = il_instance_environment(r->environment)->form == IL_ENVIRONMENT_STEPS;
    bool own = r->policy < 0;
    il_arena_mark mark = il_arena_save(scratch);
    int64_t *ids;
    il_status status;

    IL_TRY(check(r, first, rows, err));
    il_batch_reset(out, rows);
    ids = il_batch_add(out, "episode", IL_I64, IL_SHAPE(rows));
    for (int64_t b = 0; ids != NULL && b < rows; b++) {
        ids[b] = il_rollout_id(r, first + b);
    }
    if (own) {
        il_pass_sites_clear(pass); /* whoever had it last read other sites */
        il_pass_only(pass, steps ? "policy" : "logits");
        il_pass_still(pass, true);
    }
    status = steps ? il__rollout_steps(r, first, rows, pass, scratch, out, err)
                   : il__rollout_text(r, first, rows, pass, scratch, out, err);
    if (own) {
        il_pass_only(pass, NULL);
        il_pass_still(pass, false);
        il_pass_edits_clear(pass); /* their rows lie in scratch */
    }
    il_arena_restore(scratch, mark);
    return status == IL_OK ? il_batch_status(out, err) : status;
}
