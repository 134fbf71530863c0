/* Advantages: see advantage.h. */
#include "loop/advantage.h"

#include <math.h>
#include <stddef.h>

void il_advantage_gae(int64_t count, const double *rewards, const double *values,
                      double gamma, double lambda, double *out)
{
    double next_value = 0;
    double next = 0;

    for (int64_t t = count; t-- > 0;) {
        double value = values != NULL ? values[t] : 0.0;
        double delta =
            (rewards != NULL ? rewards[t] : 0.0) + gamma * next_value - value;

        next = delta + gamma * lambda * next;
        out[t] = next;
        next_value = value;
    }
}

void il_advantage_sum(int64_t count, const double *x, double *sum)
{
    for (int64_t i = 0; i < count; i++) {
        *sum += x[i];
    }
}

void il_advantage_squares(int64_t count, const double *x, double mean, double *sum)
{
    for (int64_t i = 0; i < count; i++) {
        double d = x[i] - mean;

        *sum += d * d;
    }
}

double il_advantage_scale(double squares, int64_t count)
{
    return 1.0 / (sqrt(squares / (double)(count > 0 ? count : 1)) + 1e-6);
}

void il_advantage_group(int64_t count, int64_t group, const double *returns,
                        double *out)
{
    for (int64_t first = 0; first < count; first += group) {
        double mean = 0;

        il_advantage_sum(group, returns + first, &mean);
        mean /= (double)group;
        for (int64_t i = first; i < first + group; i++) {
            out[i] = returns[i] - mean;
        }
    }
}

double il_advantage_clipped(double advantage, double ratio, double clip)
{
    if ((advantage > 0 && ratio > 1.0 + clip) ||
        (advantage < 0 && ratio < 1.0 - clip)) {
        return 0.0;
    }
    return ratio;
}
