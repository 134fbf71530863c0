#include <check.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

START_TEST(a_text_grows_and_stays_terminated)
{
    il_text t = {0};

    for (int i = 0; i < 1000; i++) {
        il_text_addf(&t, "%d,", i % 10);
        il_text_add(&t, "x");
        il_text_add_bytes(&t, "yz", 1);
    }
    ck_assert_uint_eq(t.size, 4000);
    ck_assert_uint_eq(strlen(t.data), 4000);
    ck_assert_mem_eq(t.data + 3996, "9,xy", 4);
    ck_assert(!t.failed);
    il_text_free(&t);
    ck_assert_ptr_null(t.data);
}
END_TEST

START_TEST(an_empty_piece_makes_an_empty_string)
{
    il_text t = {0};

    il_text_add(&t, "");
    ck_assert_str_eq(t.data, "");
    il_text_free(&t);
}
END_TEST

START_TEST(whole_numbers_are_read_whole_or_not_at_all)
{
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "+1",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "-",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "one"};
    int64_t v = 7;
    uint64_t u = 7;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!il_parse_int(bad[i], &v), "took '%s'", bad[i]);
    }
    ck_assert_int_eq(v, 7);
    ck_assert(il_parse_int("-9223372036854775808", &v) && v == INT64_MIN);
    ck_assert(il_parse_int("9223372036854775807", &v) && v == INT64_MAX);
    ck_assert(il_parse_uint("18446744073709551615", &u) && u == UINT64_MAX);
    u = 7;
    ck_assert(!il_parse_uint("-1", &u));
    ck_assert(!il_parse_uint("18446744073709551616", &u));
    ck_assert_uint_eq(u, 7);
}
END_TEST

START_TEST(reals_are_decimal_and_finite)
{
    static const char *const bad[] = {"",      ".",     "-",   "nan",  "inf", "-inf",
                                      "0x1p3", "1e",    "1e+", "1,5",  " 1",  "1.5.2",
                                      "+1.5",  "1e999", "1f",  "1_000"};
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},       {"-0.0", -0.0},     {"1.", 1},     {".5", 0.5},
                {"3e-4", 3e-4}, {"-2.5E+3", -2500}, {"1e-400", 0}, {"5e-324", 5e-324}};
    double v = 7;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!il_parse_real(bad[i], &v), "took '%s'", bad[i]);
    }
    ck_assert(v == 7);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(il_parse_real(good[i].text, &v), "refused '%s'", good[i].text);
        ck_assert(v == good[i].value && signbit(v) == signbit(good[i].value));
    }
}
END_TEST

START_TEST(reals_are_written_with_as_few_digits_as_read_back)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.05, "0.05"},
                 {1e-8, "1e-08"},
                 {3, "3.0"},
                 {-0.0, "-0.0"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e22, "1e+22"},
                 {123456789, "123456789.0"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {DBL_MIN, "2.2250738585072014e-308"},
                 {5e-324, "5e-324"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"}};
    char out[32];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        il_format_real(cases[i].value, out);
        ck_assert_str_eq(out, cases[i].text);
    }
    il_format_real32(0.1f, out);
    ck_assert_str_eq(out, "0.1");
    il_format_real32(FLT_MAX, out);
    ck_assert_str_eq(out, "3.4028235e+38");
}
END_TEST

/* A cheap generator of bit patterns; the point is only to see many of them. */
static uint64_t next_bits(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 29;
}

START_TEST(every_finite_real_survives_the_round_trip)
{
    uint64_t state = 1;
    char out[32];

    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_bits(&state);
        uint32_t bits32 = (uint32_t)(bits >> 16);
        double v;
        double back;
        float v32;

        memcpy(&v, &bits, sizeof v);
        memcpy(&v32, &bits32, sizeof v32);
        if (isfinite(v)) {
            il_format_real(v, out);
            ck_assert(il_parse_real(out, &back));
            ck_assert_mem_eq(&back, &v, sizeof v);
        }
        if (isfinite(v32)) {
            il_format_real32(v32, out);
            ck_assert(il_parse_real(out, &back));
            ck_assert((float)back == v32);
        }
    }
}
END_TEST

START_TEST(a_locale_with_a_comma_changes_nothing)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE",
                                        "fr_FR.UTF-8", "fr_FR.utf8", "ps_AF"};
    double v = 0;
    char out[32];

    /* Where no such locale is installed the check holds of the C locale alone. */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (setlocale(LC_ALL, names[i]) != NULL) {
            break;
        }
    }
    ck_assert(il_parse_real("-1234.5", &v));
    ck_assert(v == -1234.5);
    ck_assert(!il_parse_real("1,5", &v));
    il_format_real(0.05, out);
    ck_assert_str_eq(out, "0.05");
    il_format_real(1.25e-9, out);
    ck_assert_str_eq(out, "1.25e-09");
    il_format_real(3, out);
    ck_assert_str_eq(out, "3.0");
}
END_TEST

START_TEST(the_nearest_spelling_is_offered_when_it_is_near)
{
    static const char *const known[] = {"weight", "route",  "source", "channel",
                                        "gate",   "stages", "seed"};
    enum { COUNT = sizeof known / sizeof known[0] };
    static const struct {
        const char *word;
        const char *nearest;
    } cases[] = {{"wieght", "weight"}, {"chanel", "channel"}, {"routes", "route"},
                 {"seed", "seed"},     {"gaet", "gate"},      {"x", NULL},
                 {"", NULL},           {"optimizer", NULL},   {"sed", "seed"},
                 {"sxyzce", NULL}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = il_nearest(cases[i].word, known, COUNT);

        ck_assert_msg((got == NULL) == (cases[i].nearest == NULL) &&
                          (got == NULL || strcmp(got, cases[i].nearest) == 0),
                      "for '%s' got '%s'", cases[i].word, got != NULL ? got : "(none)");
    }
    ck_assert_ptr_null(il_nearest("seed", NULL, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("text");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_text_grows_and_stays_terminated);
    tcase_add_test(tests, an_empty_piece_makes_an_empty_string);
    tcase_add_test(tests, whole_numbers_are_read_whole_or_not_at_all);
    tcase_add_test(tests, reals_are_decimal_and_finite);
    tcase_add_test(tests, reals_are_written_with_as_few_digits_as_read_back);
    tcase_add_test(tests, every_finite_real_survives_the_round_trip);
    tcase_add_test(tests, a_locale_with_a_comma_changes_nothing);
    tcase_add_test(tests, the_nearest_spelling_is_offered_when_it_is_near);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
