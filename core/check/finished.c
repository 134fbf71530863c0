/* What is asked of finished episodes and texts: metrics, and to be told to a reader. */
#include "check/check_private.h"

#include <math.h>
#include <string.h>
#include "interloop/rng.h"
#include "episode/episodes.h"
#include "pipeline/batch.h"

enum { EPISODES = 4 };

/* Metrics as they come; the first that cannot be is kept. */
typedef struct pool {
    il_metrics metrics; /* first */
    char wrong[128];
} pool;

static void take_metric(il_metrics *m, const char *name, double sum, double weight)
{
    pool *p = (pool *)m;

    if (p->wrong[0] == '\0' &&
        (name == NULL || name[0] == '\0' || !isfinite(sum) || !(weight >= 0))) {
        (void)snprintf(p->wrong, sizeof p->wrong, "'%.60s' of sum %g and weight %g",
                       name != NULL ? name : "", sum, weight);
    }
}

static const il_metrics_api pool_api = {.struct_size = sizeof pool_api,
                                        .add = take_metric};

static il_status judge_pool(const pool *p, il_error *err)
{
    return p->wrong[0] == '\0' ? IL_OK
                               : il__found(err,
                                           "it gives a metric %s: expected a name, a "
                                           "number, and a weight of at least 0",
                                           p->wrong);
}

/* Text is cut to what it was given room for, ends in NUL, and says its whole length. */
static il_status try_text(il__trial *t,
                          size_t (*text)(const void *self, const il_batch *batch,
                                         int64_t row, char *out, size_t size),
                          const void *self, const il_batch *batch, il_error *err)
{
    static const size_t sizes[] = {0, 1, 2, 7, 64, 4096};
    const size_t whole = text(self, batch, 0, NULL, 0);

    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        char *room = il_guard_alloc(sizes[k], 1);

        if (room == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
        memset(room, 'x', sizes[k]);
        il__note(t, "a text with room for %zu bytes", sizes[k]);
        if (text(self, batch, 0, room, sizes[k]) != whole) {
            return il__found(err,
                             "it says another length with room for %zu bytes than for "
                             "none",
                             sizes[k]);
        }
        if (!il_guard_holds(room, sizes[k], 1) ||
            (sizes[k] > 0 && memchr(room, '\0', sizes[k]) == NULL)) {
            return il__found(err, "its text is not cut to %zu bytes with a NUL",
                             sizes[k]);
        }
        il_guard_free(room, sizes[k], 1);
    }
    return IL_OK;
}

il_status il__dataset_text(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    il_batch *batch = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (!IL_HAS(il_instance_dataset(i), text)) {
        return il__skip(t, "it writes no rows as text");
    }
    IL_TRY(il__dataset_rows(i, 0, 0, 1, &batch, err));
    il_guard_batch_seal(batch);
    return try_text(t, il_instance_dataset(i)->text, i->self, batch, err);
}

/* ---- prompts of a dataset ---------------------------------------------------------
 */

/* Draws every token that is to be drawn among those allowed. */
static il_status answer(const il__trial *t, il_batch *b, il_error *err)
{
    const il_tensor *tokens = il_batch_find(b, "tokens");
    const il_tensor *sample = il_batch_find(b, "sample");
    const il_tensor *allowed = il_batch_find(b, "allowed");
    il_rng rng;

    if (tokens == NULL || sample == NULL || allowed == NULL || allowed->ndim != 2 ||
        il_count(sample) != il_count(tokens)) {
        return il__found(err, "its prompts lack 'tokens', 'sample' (B,T) or 'allowed' "
                              "(B,V)");
    }
    il_rng_open(&rng, t->o->seed, 0, IL_RNG_SAMPLE, 0, 0);
    for (int64_t at = 0; at < il_count(tokens); at++) {
        const int64_t row = at / tokens->shape[1];
        const uint8_t *may = il_u8(allowed) + row * allowed->shape[1];
        int32_t token;

        if (il_u8(sample)[at] == 0) {
            continue;
        }
        if (memchr(may, 1, (size_t)allowed->shape[1]) == NULL) {
            return il__found(err, "prompt %lld allows no token", (long long)row);
        }
        do {
            token = (int32_t)il_rng_below(&rng, (uint32_t)allowed->shape[1]);
        } while (!may[token]);
        il_i32(tokens)[at] = token;
    }
    return IL_OK;
}

il_status il__dataset_prompts(il__trial *t, il_error *err)
{
    const il_dataset_api *api;
    il_instance *i = NULL;
    pool p = {.metrics.api = &pool_api};
    il_batch *b;
    int64_t rows;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    api = il_instance_dataset(i);
    if (!IL_HAS(api, prompt) || !IL_HAS(api, prompt_rows)) {
        return il__skip(t, "it has no prompts");
    }
    rows = api->prompt_rows(i->self);
    rows = rows < EPISODES ? rows : EPISODES;
    b = il_guard_batch(rows);
    if (b == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    IL_TRY(api->prompt(i->self, 0, rows, b, err));
    IL_TRY(il_guard_batch_status(b, err));
    IL_TRY(answer(t, b, err));
    if (IL_HAS(api, behaviour)) {
        il_guard_batch_seal(b);
        il__note(t, "the metrics of finished prompts");
        api->behaviour(i->self, b, &p.metrics);
    }
    return judge_pool(&p, err);
}

/* ---- episodes ---------------------------------------------------------------------
 */

il_status il__episodes_told(il__trial *t, il_error *err)
{
    const il_environment_api *api;
    const il_blas *blas = NULL;
    il_rollout r = {.seed = t->o->seed, .group = 1, .sampled_site = -1};
    pool p = {.metrics.api = &pool_api};
    il_arena *arena = il_arena_create(1 << 16);
    il_batch *batch = NULL;
    il_pass *pass = NULL;
    il_instance *i = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL || arena == NULL) {
        return IL_OK;
    }
    api = il_instance_environment(i);
    if (api->form != IL_ENVIRONMENT_STEPS || !IL_HAS(api, policies)) {
        return il__skip(t, "it plays no episodes of its own accord");
    }
    r.environment = i;
    IL_TRY(il_blas_open(&blas, true, err));
    IL_TRY(il_pass_create(&pass, blas, 1, err));
    IL_TRY(il_batch_create(&batch, err));
    IL_TRY(il_rollout_fill(&r, 0, EPISODES, pass, arena, batch, err));
    if (IL_HAS(api, metrics)) {
        il__note(t, "the metrics of finished episodes");
        api->metrics(i->self, 0, batch, &p.metrics);
    }
    IL_TRY(judge_pool(&p, err));
    return IL_HAS(api, text) ? try_text(t, api->text, i->self, batch, err) : IL_OK;
}
