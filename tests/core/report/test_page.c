#include "report/page.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The luminance of "#rrggbb" (WCAG 2, relative luminance). */
static double luminance(const char *colour)
{
    static const double weights[] = {0.2126, 0.7152, 0.0722};
    double sum = 0;

    ck_assert_uint_eq(strlen(colour), 7);
    for (int i = 0; i < 3; i++) {
        char part[3] = {colour[1 + 2 * i], colour[2 + 2 * i], '\0'};
        double v = (double)strtol(part, NULL, 16) / 255;

        sum += weights[i] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static const il__page_colour *colour_named(const char *name)
{
    size_t n;
    const il__page_colour *all = il__page_colours(&n);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    ck_abort_msg("no colour is called %s", name);
    return NULL;
}

static void assert_contrast(const char *ink, const char *ground)
{
    const il__page_colour *a = colour_named(ink);
    const il__page_colour *b = colour_named(ground);
    const char *pairs[2][2] = {{a->light, b->light}, {a->dark, b->dark}};

    for (int k = 0; k < 2; k++) {
        double x = luminance(pairs[k][0]) + 0.05;
        double y = luminance(pairs[k][1]) + 0.05;
        double ratio = x > y ? x / y : y / x;

        ck_assert_msg(ratio >= 4.5, "%s on %s, %s: %.2f", ink, ground,
                      k == 0 ? "light" : "dark", ratio);
    }
}

START_TEST(what_is_written_can_be_read_in_the_light_and_in_the_dark)
{
    static const char *const inks[] = {"ink", "muted", "a", "b", "c", "d"};

    for (size_t i = 0; i < sizeof inks / sizeof inks[0]; i++) {
        assert_contrast(inks[i], "bg");
        assert_contrast(inks[i], "soft");
    }
    assert_contrast("b", "tint");
    assert_contrast("bg", "b"); /* a pill */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("page");
    TCase *t = tcase_create("page");
    SRunner *sr;
    int failed;

    tcase_add_test(t, what_is_written_can_be_read_in_the_light_and_in_the_dark);
    suite_add_tcase(s, t);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed > 0;
}
