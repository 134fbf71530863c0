/* Advantages: what an action brought beyond what was expected of it. Plain functions of
 * numbers, in double and in a fixed order.
 *
 * Every estimate here is linear in the rewards once its scale is given. So the part of
 * an advantage that one reward signal owns is the estimate made from its rewards alone,
 * with no values, and the parts of all signals and of the baseline add up to the whole.
 */
#ifndef IL_LOOP_ADVANTAGE_H
#define IL_LOOP_ADVANTAGE_H

#include <stdint.h>

/* Generalized advantage estimation (Schulman et al. 2016) over one episode's actions:
 * d_t = r_t + gamma V_{t+1} - V_t and A_t = d_t + gamma lambda A_{t+1}, where what
 * follows the last action is worth 0. `rewards` or `values` may be NULL: zeros. */
void il_advantage_gae(int64_t count, const double *rewards, const double *values,
                      double gamma, double lambda, double *out);

/* A sum, and a sum of squares about a mean, continued over several arrays. */
void il_advantage_sum(int64_t count, const double *x, double *sum);
void il_advantage_squares(int64_t count, const double *x, double mean, double *sum);

/* 1 / (standard deviation + 1e-6), the deviation being the population's. */
double il_advantage_scale(double squares, int64_t count);

/* Each return's excess over the mean of its group: groups of `group` consecutive
 * episodes, `count` a multiple of that. */
void il_advantage_group(int64_t count, int64_t group, const double *returns,
                        double *out);

/* The clipped objective (Schulman et al. 2017) at one action: what its gradient is
 * multiplied by, the ratio, or 0 where the objective is flat, that is where the ratio
 * has left [1-clip, 1+clip] on the side the whole advantage pushes to. */
double il_advantage_clipped(double advantage, double ratio, double clip);

#endif
