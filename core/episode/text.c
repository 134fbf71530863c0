/* Episodes of text. */
#include "episode/episodes_private.h"

il_status il__rollout_text(const il_rollout *r, int64_t first, int64_t rows,
                           il_pass *pass, il_arena *scratch, il_batch *out,
                           il_error *err)
{
    (void)rows;
    (void)pass;
    (void)scratch;
    (void)out;
    return il__rollout_fault(r, IL_ERR_UNSUPPORTED, first, -1, err,
                             "environments of text are not played by this version");
}
