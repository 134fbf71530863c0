/* Attention with a learned bias on the distance between the position that is scored and
 * the one that is read. */
#ifndef PLUGINS_DETECTORS_ATTENTION_PROBE_DISTANCE_H
#define PLUGINS_DETECTORS_ATTENTION_PROBE_DISTANCE_H

#include <interloop/plugin.h>

/* keys, values (B,T,H), bias (H,D) -> (B,T), at the scored positions, 0 elsewhere:
 *
 *     y_t = sum_h sum_s softmax_s(key_sh + bias_h[min(|t - s|, D - 1)]) value_sh
 *
 * over the s that the reading lets t read. Time grows with the scored positions times
 * T. [work] */
il_tensor *distance_pool(il_pass *pass, const il_reading *r, il_tensor *keys,
                         il_tensor *values, il_tensor *bias);

#endif
