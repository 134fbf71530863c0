/* Contracts compared: see contract.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "detect/composite.h"
#include "detect/contract.h"
#include "detect/detector.h"

const char *const il_mismatch_words[] = {
    "site", "convention", "tokens",  "context", "pool",   "scaling",     "on",
    "rate", "unit",       "trusted", "model",   "member", "calibration", NULL};

bool il_mismatch_may(const char *what)
{
    for (size_t i = 0; il_mismatch_words[i] != NULL; i++) {
        if (strcmp(il_mismatch_words[i], what) == 0) {
            return true;
        }
    }
    return false;
}

void il_mismatch_add(il_mismatches *out, const char *what, const char *expected,
                     const char *got)
{
    il_mismatch *m = &out->items[out->count];

    if (out->count == IL_MISMATCHES_MAX) {
        return; /* enough to say that it does not fit */
    }
    m->what = what;
    (void)snprintf(m->expected, sizeof m->expected, "%s", expected);
    (void)snprintf(m->got, sizeof m->got, "%s", got);
    out->count++;
}

/* A text of the contract against one of the detector's; NULL: there is none. */
static void compare_text(il_mismatches *out, const char *what, const char *expected,
                         const json_t *contract, const char *key)
{
    const char *got = json_string_value(json_object_get(contract, key));

    if (got == NULL && expected == NULL) {
        return;
    }
    if (got == NULL || expected == NULL || strcmp(got, expected) != 0) {
        il_mismatch_add(out, what, expected != NULL ? expected : "nothing",
                        got != NULL ? got : "nothing");
    }
}

static void compare_number(il_mismatches *out, const char *what, double expected,
                           const json_t *got)
{
    char a[32];
    char b[32];

    if (!json_is_number(got)) {
        il_format_real(expected, a);
        il_mismatch_add(out, what, a, "nothing");
    } else if (json_number_value(got) != expected) {
        il_format_real(expected, a);
        il_format_real(json_number_value(got), b);
        il_mismatch_add(out, what, a, b);
    }
}

static void compare_sites(il_mismatches *out, const il_detector *d,
                          const json_t *contract)
{
    const json_t *sites = json_object_get(contract, "sites");
    char a[32];
    char b[32];

    if (json_array_size(sites) != d->site_count) {
        (void)snprintf(a, sizeof a, "%zu", d->site_count);
        (void)snprintf(b, sizeof b, "%zu", json_array_size(sites));
        il_mismatch_add(out, "number of sites", a, b);
        return;
    }
    for (size_t i = 0; i < d->site_count; i++) {
        const char *got = json_string_value(json_array_get(sites, i));

        if (got == NULL || strcmp(got, d->spec->sites.items[i]) != 0) {
            il_mismatch_add(out, "site", d->spec->sites.items[i],
                            got != NULL ? got : "nothing");
        }
    }
}

/* Members by name, and as they were. They are restored before what reads them. */
static void compare_members(il_mismatches *out, const il_detector *d,
                            const json_t *contract)
{
    const json_t *of = json_object_get(contract, "of");
    char a[96];
    char b[96];

    if (json_array_size(of) != d->member_count) {
        (void)snprintf(a, sizeof a, "%zu", d->member_count);
        (void)snprintf(b, sizeof b, "%zu", json_array_size(of));
        il_mismatch_add(out, "number of members", a, b);
        return;
    }
    for (size_t i = 0; i < d->member_count; i++) {
        const json_t *item = json_array_get(of, i);
        const char *name = json_string_value(json_object_get(item, "detector"));
        const char *was = json_string_value(json_object_get(item, "hash"));
        const char *expected = d->members[i]->spec->name;
        char is[IL_HASH_HEX];

        il_detector_hash(d->members[i], is);
        if (name == NULL || strcmp(name, expected) != 0) {
            il_mismatch_add(out, "member", expected, name != NULL ? name : "nothing");
        } else if (was == NULL || strcmp(was, is) != 0) {
            (void)snprintf(a, sizeof a, "%.60s of hash %.12s", expected, is);
            (void)snprintf(b, sizeof b, "%.60s of hash %.12s", expected,
                           was != NULL ? was : "nothing");
            il_mismatch_add(out, "member", a, b);
        }
    }
}

/* The params that both name; a component's later version may know further ones. */
static void compare_params(il_mismatches *out, const il_detector *d,
                           const json_t *contract)
{
    const json_t *saved = json_object_get(contract, "params");
    json_t *own;
    json_t *here;
    const char *key;
    json_t *value;

    if (!json_is_object(saved)) {
        return; /* a file from elsewhere, which tensors alone describe */
    }
    here = il_detector_contract(d);
    own = json_object_get(here, "params");
    json_object_foreach(own, key, value)
    {
        json_t *got = json_object_get(saved, key);

        if (got != NULL && !json_equal(got, value)) {
            char a[160];
            char b[160];
            char *x = json_dumps(value, JSON_ENCODE_ANY);
            char *y = json_dumps(got, JSON_ENCODE_ANY);

            (void)snprintf(a, sizeof a, "%s: %s", key, x != NULL ? x : "");
            (void)snprintf(b, sizeof b, "%s: %s", key, y != NULL ? y : "");
            il_mismatch_add(out, "params", a, b);
            free(x);
            free(y);
        }
    }
    json_decref(here);
}

/* A zero is only good for the rows that it was taken on. */
static void compare_zero(il_mismatches *out, const il_detector *d,
                         const json_t *contract)
{
    const il_rezero_spec *spec = &d->spec->rezero;

    if (spec->split == NULL) {
        return;
    }
    compare_text(out, "trusted", spec->split, contract, "trusted");
    compare_number(out, "trusted", (double)spec->rows,
                   json_object_get(contract, "trusted_rows"));
    if (!json_is_real(json_object_get(contract, "zero"))) {
        il_mismatch_add(out, "trusted", "a zero", "nothing");
    }
}

/* The rate and the unit that a threshold was set for; one that is given as a logit
 * binds nothing. */
static void compare_threshold(il_mismatches *out, const il_detector *d,
                              const json_t *contract)
{
    const il_threshold_spec *spec = &d->spec->threshold;

    if (spec->kind != IL_THRESHOLD_RATE ||
        (d->spec->from == NULL && json_object_get(contract, "rate") == NULL)) {
        return; /* a state of before it was calibrated has none yet */
    }
    compare_number(out, "rate", spec->fpr, json_object_get(contract, "rate"));
    compare_text(out, "unit", il_unit_name(spec->unit), contract, "unit");
}

/* By its method: what it makes of scores came with the detector. */
static void compare_calibration(il_mismatches *out, const il_detector *d,
                                const json_t *contract)
{
    const il_calibrate_spec *spec = &d->spec->calibrate;

    if (d->spec->from != NULL && !spec->given) {
        return; /* it comes with the file */
    }
    if (d->spec->from != NULL && !spec->given) {
        return; /* it comes with the detector, as its threshold does */
    }
    compare_text(out, "calibration", spec->given ? spec->method : NULL,
                 json_object_get(contract, "calibration"), "method");
}

static void compare_scaling(il_mismatches *out, const json_t *contract)
{
    const char *got = json_string_value(json_object_get(contract, "scaling"));

    if (got == NULL ||
        (strcmp(got, IL_SCALING_NONE) != 0 && strcmp(got, IL_SCALING_STANDARD) != 0)) {
        il_mismatch_add(out, "scaling", IL_SCALING_NONE " or " IL_SCALING_STANDARD,
                        got != NULL ? got : "nothing");
    }
}

void il_contract_compare(const il_detector *d, const json_t *contract,
                         il_mismatches *out)
{
    const il_detector_spec *s = d->spec;

    out->count = 0;
    compare_text(out, "component", d->instance->offer->id, contract, "component");
    compare_params(out, d, contract);
    compare_members(out, d, contract);
    compare_sites(out, d, contract);
    compare_text(out, "convention",
                 d->convention != NULL ? d->convention : IL_CONVENTION, contract,
                 "convention");
    compare_text(out, "tokens", s->tokens, contract, "tokens");
    compare_text(out, "context", il_context_name(s->context), contract, "context");
    compare_text(out, "keys", s->keys, contract, "keys");
    compare_text(out, "pool", s->pool, contract, "pool");
    compare_scaling(out, contract);
    compare_text(out, "on", s->on, contract, "on");
    compare_threshold(out, d, contract);
    compare_calibration(out, d, contract);
    compare_zero(out, d, contract);
}
