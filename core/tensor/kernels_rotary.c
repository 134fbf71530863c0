/* Rotary positions (Su et al. 2021): pairs of channels turned by an angle that grows
 * with the position. */
#include "tensor/kernels.h"

#include <math.h>
#include <string.h>
#include "base/compiler.h"

/* pi / 2 in three parts, the first two of 33 bits, so that a whole number below 2^20
 * times them is exact. */
#define HALF_PI_HIGH 0x1.921fb544p+0
#define HALF_PI_MID  0x1.0b4611a6p-34
#define HALF_PI_LOW  0x1.3198a2e037073p-69

/* Sine and cosine of r in [-pi/4,pi/4], by their series; to the last bit of a float. */
static double sine_near(double r)
{
    const double z = r * r;
    double q = -1.0 / 1307674368000.0;

    q = q * z + 1.0 / 6227020800.0;
    q = q * z - 1.0 / 39916800.0;
    q = q * z + 1.0 / 362880.0;
    q = q * z - 1.0 / 5040.0;
    q = q * z + 1.0 / 120.0;
    q = q * z - 1.0 / 6.0;
    return r + r * z * q;
}

static double cosine_near(double r)
{
    const double z = r * r;
    double q = -1.0 / 87178291200.0;

    q = q * z + 1.0 / 479001600.0;
    q = q * z - 1.0 / 3628800.0;
    q = q * z + 1.0 / 40320.0;
    q = q * z - 1.0 / 720.0;
    q = q * z + 1.0 / 24.0;
    q = q * z - 0.5;
    return 1.0 + z * q;
}

/* Both of any angle that a position may have; NaN for what is no number. */
static void turn_of(double x, double *cosine, double *sine)
{
    const double n = floor(x * 0.63661977236758134308 + 0.5);
    const double r = ((x - n * HALF_PI_HIGH) - n * HALF_PI_MID) - n * HALF_PI_LOW;
    const double s = sine_near(r);
    const double c = cosine_near(r);

    switch ((int)(n - 4.0 * floor(n / 4.0))) {
    case 0:
        *cosine = c;
        *sine = s;
        break;
    case 1:
        *cosine = -s;
        *sine = c;
        break;
    case 2:
        *cosine = -c;
        *sine = -s;
        break;
    default:
        *cosine = s;
        *sine = -c;
        break;
    }
}

void il_k_rotary_table(float *table, int64_t at, int64_t count, const float *rates,
                       int64_t pairs, float scale)
{
    for (int64_t i = 0; i < count; i++) {
        for (int64_t k = 0; k < pairs; k++) {
            const float angle = rates[k] * (float)(at + i);
            double cosine;
            double sine;

            turn_of((double)angle, &cosine, &sine);
            table[i * 2 * pairs + k] = (float)cosine * scale;
            table[(i * 2 + 1) * pairs + k] = (float)sine * scale;
        }
    }
}

IL_CLONES
void il_k_rotary_forward(float *y, const float *x, const float *table, int64_t rows,
                         int64_t t, int64_t heads, int64_t d, int64_t pairs)
{
    for (int64_t i = 0; i < rows * t * heads; i++) {
        const float *c = table + i / heads % t * 2 * pairs;
        const float *s = c + pairs;
        const float *in = x + i * d;
        float *out = y + i * d;

        IL_VECTOR
        for (int64_t k = 0; k < pairs; k++) {
            const float a = in[k];
            const float b = in[k + pairs];

            out[k] = a * c[k] - b * s[k];
            out[k + pairs] = b * c[k] + a * s[k];
        }
        for (int64_t k = 2 * pairs; k < d; k++) {
            out[k] = in[k];
        }
    }
}

IL_CLONES
void il_k_rotary_backward(float *dx, const float *dy, const float *table, int64_t rows,
                          int64_t t, int64_t heads, int64_t d, int64_t pairs)
{
    for (int64_t i = 0; i < rows * t * heads; i++) {
        const float *c = table + i / heads % t * 2 * pairs;
        const float *s = c + pairs;
        const float *in = dy + i * d;
        float *out = dx + i * d;

        IL_VECTOR
        for (int64_t k = 0; k < pairs; k++) {
            const float a = in[k];
            const float b = in[k + pairs];

            out[k] += a * c[k] + b * s[k];
            out[k + pairs] += b * c[k] - a * s[k];
        }
        for (int64_t k = 2 * pairs; k < d; k++) {
            out[k] += in[k];
        }
    }
}
