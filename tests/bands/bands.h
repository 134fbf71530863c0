/* Bands: a run's summary held against what an experiment is known to give.
 *
 * Bands, not numbers: they were set with slack from runs of few seeds, and what a seed
 * gives inside of them is its own affair. Where two things must be the same
 * computation, the band is exact equality. A variant or a metric that is missing is a
 * miss. For the small programs in this folder alone. */
#ifndef IL_TESTS_BANDS_H
#define IL_TESTS_BANDS_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct bands {
    json_t *summary;
    const json_t *rows;
    const char *label; /* before each line; "" for none */
    json_int_t seed;
    bool held; /* every band since it was last set to true */
    int passed, failed;
} bands;

/* Opens a summary; false, and a message, when it is none. */
static inline bool bands_open(bands *b, const char *path, const char *label)
{
    json_error_t err;

    memset(b, 0, sizeof *b);
    b->label = label;
    b->summary = json_load_file(path, 0, &err);
    b->rows = json_object_get(b->summary, "rows");
    if (!json_is_array(b->rows) ||
        json_array_size(json_object_get(b->summary, "seeds")) == 0) {
        fprintf(stderr, "%s: no summary of a run\n", path);
        json_decref(b->summary);
        return false;
    }
    return true;
}

static inline size_t bands_seeds(const bands *b)
{
    return json_array_size(json_object_get(b->summary, "seeds"));
}

static inline json_int_t bands_seed(const bands *b, size_t i)
{
    return json_integer_value(json_array_get(json_object_get(b->summary, "seeds"), i));
}

/* A metric, or a word, of a stage's variant ("" or NULL: none) at the present seed;
 * NULL: not there. */
static inline const json_t *bands_find(const bands *b, const char *stage,
                                       const char *variant, const char *metric)
{
    size_t i;
    json_t *row;

    json_array_foreach(b->rows, i, row)
    {
        const char *s = json_string_value(json_object_get(row, "stage"));
        const char *v = json_string_value(json_object_get(row, "variant"));

        if (s != NULL && strcmp(s, stage) == 0 &&
            json_integer_value(json_object_get(row, "seed")) == b->seed &&
            strcmp(v != NULL ? v : "", variant != NULL ? variant : "") == 0) {
            return json_object_get(json_object_get(row, "metrics"), metric);
        }
    }
    return NULL;
}

/* The number, or NaN. */
static inline double bands_get(const bands *b, const char *stage, const char *variant,
                               const char *metric)
{
    const json_t *found = bands_find(b, stage, variant, metric);

    return json_is_number(found) ? json_number_value(found) : NAN;
}

/* Holds a value against a bound; `who` and `what` are for the line it prints. */
static inline void bands_hold(bands *b, const char *who, const char *what, double value,
                              const char *sign, double bound)
{
    bool ok = false;

    if (strcmp(sign, ">=") == 0) {
        ok = value >= bound;
    } else if (strcmp(sign, "<=") == 0) {
        ok = value <= bound;
    } else {
        ok = value == bound; /* false for NaN, as are the others */
    }
    if (isnan(value) || isnan(bound)) {
        printf("miss     %sseed %lld %-16s %-36s missing\n", b->label,
               (long long)b->seed, who, what);
    } else {
        printf("%-8s %sseed %lld %-16s %-36s %.17g %s %.17g\n", ok ? "ok" : "miss",
               b->label, (long long)b->seed, who, what, value, sign, bound);
    }
    b->held = b->held && ok;
    b->passed += ok;
    b->failed += !ok;
}

/* The main function of a checker of one summary, seed by seed: 0 when every band is
 * met, 1 when one is not, 2 when there is no summary. */
static inline int bands_main(int argc, char **argv, void (*check_seed)(bands *b))
{
    bands b;

    if (argc != 2) {
        fprintf(stderr, "usage: %s SUMMARY.json\n", argv[0]);
        return 2;
    }
    if (!bands_open(&b, argv[1], "")) {
        return 2;
    }
    for (size_t i = 0; i < bands_seeds(&b); i++) {
        b.seed = bands_seed(&b, i);
        check_seed(&b);
    }
    printf("%d passed, %d failed\n", b.passed, b.failed);
    json_decref(b.summary);
    return b.failed > 0;
}

#endif
