/* Half-width floats: every one of them. */
#include "tensor/kernels.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL = 65536 };

static float wide[ALL];
static unsigned char bytes[2 * ALL + 1];

/* All bit patterns, at an odd address. */
static const unsigned char *patterns(void)
{
    for (int i = 0; i < ALL; i++) {
        bytes[1 + 2 * i] = (unsigned char)i;
        bytes[2 + 2 * i] = (unsigned char)(i >> 8);
    }
    return bytes + 1;
}

START_TEST(every_f16_is_exact)
{
    il_k_widen_f16(wide, patterns(), ALL);
    for (int i = 0; i < ALL; i++) {
        const int exponent = i >> 10 & 31;
        const int fraction = i & 1023;
        const double size = exponent == 31  ? (fraction == 0 ? INFINITY : NAN)
                            : exponent == 0 ? ldexp(fraction, -24)
                                            : ldexp(1024 + fraction, exponent - 25);

        if (isnan(size)) {
            ck_assert(isnan(wide[i]));
        } else {
            ck_assert_msg((double)wide[i] == (i & 0x8000 ? -size : size), "%04x", i);
        }
        ck_assert_int_eq(signbit(wide[i]) != 0, i >> 15);
    }
}
END_TEST

START_TEST(every_bf16_is_the_upper_half_of_its_float)
{
    il_k_widen_bf16(wide, patterns(), ALL);
    for (int i = 0; i < ALL; i++) {
        const uint32_t bits = (uint32_t)i << 16;

        ck_assert_mem_eq(&wide[i], &bits, sizeof bits);
    }
}
END_TEST

START_TEST(no_number_more_is_written)
{
    float two[2] = {7.0f, 7.0f};

    il_k_widen_f16(two, patterns() + 2 * 0x3c00, 1);
    ck_assert_float_eq(two[0], 1.0f);
    ck_assert_float_eq(two[1], 7.0f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("half-width floats");
    TCase *t = tcase_create("all");
    SRunner *sr;
    int failed;

    tcase_add_test(t, every_f16_is_exact);
    tcase_add_test(t, every_bf16_is_the_upper_half_of_its_float);
    tcase_add_test(t, no_number_more_is_written);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
