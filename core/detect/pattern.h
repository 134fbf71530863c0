/* Attention patterns as detectors read them: a model hands (B,heads,T,T) over, a
 * detector reads a row a query, head by head its weights on the keys. */
#ifndef IL_DETECT_PATTERN_H
#define IL_DETECT_PATTERN_H

#include <stdbool.h>
#include "interloop/pass.h"

/* Whether what a model gave at a site is one; any other site gives (B,T,W). */
static inline bool il_pattern_is(const il_tensor *x)
{
    return x != NULL && x->ndim == 4;
}
/* Whether what a site gave holds `rows` rows of `width`, as they are read. */
bool il_pattern_fits(const il_tensor *x, int64_t rows, int64_t width);
/* Row `row`, b*T+t, of what a site gave: where it stands, or in a pattern `into`
 * (width), where it is brought together. */
const float *il_pattern_row(const il_tensor *x, int64_t row, int64_t width,
                            float *into);
/* The rows named, (count,width), on the tape; NULL: all of them, (B,T,width), of a
 * pattern alone. `rows` is copied. Errors stick to the pass. */
il_tensor *il_pattern_gather(il_pass *pass, il_tensor *x, int64_t width, int64_t count,
                             const int32_t *rows);

#endif
