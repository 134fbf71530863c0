/* Versions and the ranges that a pipeline asks for. */
#include "plugin/version.h"
#include "support.h"

typedef struct range_case {
    const char *version;
    const char *range;
    bool known;
    bool in;
} range_case;

static const range_case ranges[] = {
    {"1.0.3", "", true, true},        {"1.0.3", "1.0.3", true, true},
    {"1.0.3", "1.0.4", true, false},  {"1.4.0", "^1.0", true, true},
    {"1.4.0", "^1.4.1", true, false}, {"2.0.0", "^1.0", true, false},
    {"1.4.0", "^1", true, true},      {"0.2.5", "^0.2", true, true},
    {"0.3.0", "^0.2", true, false},   {"0.3.0", "^0", true, true},
    {"1.2.9", "~1.2", true, true},    {"1.3.0", "~1.2", true, false},
    {"1.2.1", "~1.2.2", true, false}, {"1.9.0", "~1", true, true},
    {"3.0.0", ">=1.2", true, true},   {"1.1.9", ">=1.2", true, false},
    {"1.10.0", ">=1.9", true, true},  {"1.0.3-beta", "^1.0", true, true},
    {"1.0.3", "1.0", false, false},   {"1.0.3", "<2", false, false},
    {"1.0.3", "^", false, false},     {"1.0.3", "^1.0.3.4", false, false},
    {"1.0.3", "^1.", false, false},   {"1.0.3", "latest", false, false},
    {"1.0.3", "^1.0 ", false, false}, {"1.0.3", ">=999999999", false, false},
};

START_TEST(a_range_takes_the_versions_it_says)
{
    const range_case *c = &ranges[_i];
    bool known = !c->known;
    bool in = il_version_in(c->version, c->range, &known);

    ck_assert_msg(known == c->known && (!known || in == c->in),
                  "%s in '%s': known %d, in %d", c->version, c->range, known, in);
}
END_TEST

START_TEST(a_version_is_three_numbers)
{
    static const char *const bad[] = {"",       "1",      "1.0",    "1.0.0.0",
                                      "v1.0.0", "1.0.0-", "1..0",   "1.0.0 ",
                                      "-1.0.0", "1.0.x",  ".1.0.0", "1.0.0_"};
    int parts[3];

    ck_assert(il_version_parse("1.20.3", parts));
    ck_assert_int_eq(parts[1], 20);
    ck_assert(il_version_parse("1.0.0+build", parts));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!il_version_parse(bad[i], parts), "'%s'", bad[i]);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("version");

    tcase_add_loop_test(tc, a_range_takes_the_versions_it_says, 0,
                        (int)(sizeof ranges / sizeof ranges[0]));
    tcase_add_test(tc, a_version_is_three_numbers);
    return run_plugin_case(tc);
}
