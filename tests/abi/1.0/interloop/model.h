/* Kind `model`: registers parameters in groups and sites, and writes its forward pass
 * in ops. */
#ifndef INTERLOOP_MODEL_H
#define INTERLOOP_MODEL_H

#include "interloop/batch.h"
#include "interloop/pass.h"
#include "interloop/setup.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_model_api {
    size_t struct_size;
    /* [setup] Makes an instance: declares parameters, sites, outputs and losses. On
     * failure it leaves nothing. */
    il_status (*create)(const il_setup *s, void **self, il_error *err);
    /* [work] One forward pass over `batch`: il_use, ops, il_hook at each site,
     * il_output for each declared output, il_loss for each declared loss whose fields
     * the batch has. `self` is shared by all workers. Errors stick to the pass.
     * Since 1.0. */
    void (*forward)(const void *self, il_pass *pass, const il_batch *batch);
    /* [setup] Releases what `create` allocated outside il_setup_new; may be NULL. */
    void (*destroy)(void *self);

    /* What follows may be NULL. Acting step by step: what an episode's earlier
     * positions left is its carry, `carry_width` floats a row, zeros before position 0:
     * a recurrent state, or the keys and values of a cache. Since 1.0. */

    /* [any] Floats a row carries, for episodes of at most `length` positions. */
    int64_t (*carry_width)(const void *self, int64_t length);
    /* [work] Positions [at, at+T) of every row: the batch holds these T positions alone
     * (a prompt's at once, then one after the other), and the input fields that forward
     * reads; `carry` (B, carry_width) is read and brought up to date. Sites and outputs
     * as in forward, (B,T,W), equal to forward's up to rounding, but for outputs that
     * il_output_wanted says nobody reads; no losses. Nothing is differentiated through
     * it.
     *
     * Of a position in an environment of steps the action is not chosen yet, so instead
     * of "action" the batch holds "previous" (B,T) i32, the action taken before each
     * position, -1 where there was none. Where a site is sampled, "noise" (B,T,W) f32
     * is what to add to it; the site then gives the sum, and what follows goes on from
     * that. Finished episodes hold the sums as "sampled" (B,L,W). */
    void (*step)(const void *self, il_pass *pass, const il_batch *batch, int64_t at,
                 int64_t length, float *carry);
} il_model_api;

#ifdef __cplusplus
}
#endif

#endif
