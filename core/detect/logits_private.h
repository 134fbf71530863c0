/* One forward of a detector over harvested rows, for fits and for logits. */
#ifndef IL_DETECT_LOGITS_PRIVATE_H
#define IL_DETECT_LOGITS_PRIVATE_H

#include "detect/fit.h"

/* The kept activations of its i-th site, or NULL. */
const float *il__detector_acts(const il_detector *d, const il_acts *acts, size_t i);
/* The scored rows, unscaled, all sites side by side: (N,W). The caller frees it; NULL
 * and an error otherwise. */
float *il__detector_gather(const il_detector *d, const il_acts *acts, il_error *err);
/* Logits (N) of all scored rows at once, on the pass; first_bit as in
 * il_detector_score. */
il_status il__detector_forward(const il_detector *d, il_pass *pass, const il_acts *acts,
                               int64_t first_bit, il_tensor **logits, il_error *err);

#endif
