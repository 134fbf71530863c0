/* Sentences: see said.h. */
#include "audit/said.h"

#include <math.h>
#include <string.h>
#include "base/text.h"

/* The first claim of an arm about a metric; behaviours where `metric` is NULL. */
static const il_claim *find(const il_arm *arm, const il_claim *claims, size_t count,
                            const char *metric)
{
    const il_claim *found = NULL;

    for (size_t i = 0; i < count; i++) {
        const il_claim *c = &claims[i];
        bool fits = metric != NULL ? strcmp(c->metric, metric) == 0
                                   : strchr(c->metric, '.') == NULL;

        if (c->arm == arm && fits &&
            (found == NULL || (c->primary && !found->primary))) {
            found = c;
        }
    }
    return found;
}

/* "lie fell by 0.310 (0.220 to 0.400)" */
static void add_change(il_text *out, const il_claim *c)
{
    double mean = c->test.mean;

    if (fabs(mean) < 5e-4) {
        il_text_addf(out, "%s did not move", c->metric);
    } else {
        il_text_addf(out, "%s %s by %.3f", c->metric, mean < 0 ? "fell" : "rose",
                     fabs(mean));
    }
    if (c->count > 1) {
        il_text_addf(out, " (95%% %+.3f to %+.3f)", c->test.low, c->test.high);
    }
}

static void add_health(il_text *out, const il_claim *c)
{
    add_change(out, c);
    if (c->count < 2) {
        il_text_addf(out, ", which one seed cannot hold against the margin of %g",
                     c->margin);
    } else if (c->within.shown) {
        il_text_addf(out, ", shown to lie within the margin of %g: it is alive",
                     c->margin);
    } else if (c->test.high < -c->margin) {
        il_text_addf(out,
                     ", shown to lie beyond the margin of %g: it is not what it was",
                     c->margin);
    } else {
        il_text_addf(out, ", not shown to lie within the margin of %g", c->margin);
    }
}

static void add_seeds(il_text *out, const il_claim *c)
{
    if (c->count == 1) {
        il_text_add(out, "; one seed, which shows nothing about another");
        return;
    }
    il_text_addf(out, "; %zu seeds, with which no p by sign flips is below %.3g",
                 c->count, c->test.floor_p);
}

/* Why there is nothing to say. */
static void add_nothing(il_text *out, const il_arm *arm, const char *without)
{
    if (arm->twin != NULL) {
        il_text_addf(out,
                     ": its twin %s has measured nothing on record to compare with",
                     arm->twin);
    } else {
        il_text_addf(out, ": it has no twin on record to compare with%s%s%s",
                     without != NULL ? " (" : "", without != NULL ? without : "",
                     without != NULL ? ")" : "");
    }
}

json_t *il_said_of(const il_arm *arm, const il_claim *claims, size_t count,
                   const char *metric, const char *behaviour, const char *without)
{
    const il_claim *did = find(arm, claims, count, behaviour);
    const il_claim *health = metric != NULL ? find(arm, claims, count, metric) : NULL;
    const il_claim *any = did != NULL ? did : health;
    il_text out = {0};
    json_t *said;

    il_text_addf(&out, "%s", il_arm_name(arm));
    if (any == NULL) {
        add_nothing(&out, arm, without);
    } else {
        il_text_addf(&out, " against its %s %s: ", any->versus,
                     il_arm_name(any->against));
    }
    if (did != NULL) {
        add_change(&out, did);
    }
    if (health != NULL && health != did) {
        il_text_add(&out, did != NULL ? "; " : "");
        add_health(&out, health);
    }
    if (any != NULL) {
        add_seeds(&out, any);
    }
    said = out.failed ? NULL : json_string(out.data);
    il_text_free(&out);
    return said != NULL ? said : json_string("");
}
