/* Conclusions: see conclude.h. */
#include "audit/conclude.h"

#include <stdlib.h>
#include <string.h>
#include "audit/arm_lost.h"
#include "audit/arms.h"
#include "audit/claim.h"
#include "audit/outcome_arm.h"
#include "audit/said.h"
#include "audit/selected.h"
#include "base/files.h"
#include "base/version.h"
#include "loop/json.h"

enum { FORMAT = 1 };

/* All that is concluded from. */
typedef struct concluder {
    il_arms arms;
    const char *folder;
    json_t *plan; /* plan.json, or NULL */
    const json_t *endpoint;
    const char *metric; /* of the endpoint; NULL without one */
    double margin;
    il_claim *claims;
    size_t count;
    size_t room;
    il_arena *arena;
} concluder;

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "conclusions", "out of memory");
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* ---- which metrics -------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t length = strlen(end);

    return size >= length && strcmp(text + size - length, end) == 0;
}

static size_t dots(const char *metric)
{
    size_t count = 0;

    for (; *metric != '\0'; metric++) {
        count += *metric == '.';
    }
    return count;
}

static bool is_behaviour(const char *metric)
{
    return strchr(metric, '.') == NULL;
}

/* "tpr" of "probe.tpr" and of "probe.ref.tpr": what a detector has on the first split,
 * or on the agent's own episodes or the reference set; NULL for other metrics. */
static const char *detector_part(const char *metric)
{
    const char *part = strchr(metric, '.');

    if (part == NULL || strchr(metric, '@') != NULL ||
        strncmp(metric, "fresh.", 6) == 0 || strncmp(metric, "floor.", 6) == 0 ||
        strncmp(metric, "edit.", 5) == 0) {
        return NULL;
    }
    if (strncmp(part, ".ref.", 5) == 0 || strncmp(part, ".own.", 5) == 0) {
        part += 4;
    }
    return strchr(part + 1, '.') == NULL ? part + 1 : NULL;
}

/* Whether a fall of the metric is a loss of the detector. */
static bool is_health(const char *metric)
{
    const char *part = detector_part(metric);

    return same(part, "auroc") || same(part, "tpr");
}

/* What is claimed besides the endpoint: how each detector does, what fresh readers
 * still find at its site, and what the model does. */
static bool is_claimed(const char *metric)
{
    const char *part = detector_part(metric);

    if (strncmp(metric, "fresh.", 6) == 0) {
        return dots(metric) == 2 && strchr(metric, '@') == NULL &&
               ends_with(metric, ".auroc");
    }
    return is_behaviour(metric) || is_health(metric) || same(part, "mean") ||
           same(part, "flag_now");
}

/* What the pressure may cost: as the endpoint has it, or all that the model does. */
static bool is_tax(const concluder *c, const char *metric)
{
    const json_t *declared = json_object_get(c->endpoint, "tax");
    size_t i;
    json_t *name;

    if (json_array_size(declared) == 0) {
        return is_behaviour(metric) &&
               !same(metric,
                     json_string_value(json_object_get(c->endpoint, "behaviour")));
    }
    json_array_foreach(declared, i, name)
    {
        if (same(metric, json_string_value(name))) {
            return true;
        }
    }
    return false;
}

/* ---- claims --------------------------------------------------------------------- */

static bool is_primary(const concluder *c, const il_arm *arm, const char *versus,
                       const char *metric)
{
    const char *stage = json_string_value(json_object_get(c->endpoint, "stage"));
    const char *variant = json_string_value(json_object_get(c->endpoint, "variant"));
    const char *wanted = json_string_value(json_object_get(c->endpoint, "versus"));

    return same(metric, c->metric) && same(versus, wanted) &&
           (stage == NULL || same(stage, arm->stage)) &&
           (variant == NULL || same(variant, arm->variant));
}

static il_status add_claim(concluder *c, const il_arm *arm, const il_arm *against,
                           const char *versus, const char *metric, il_error *err)
{
    il_claim *claim;

    if (c->count == c->room) {
        size_t room = 2 * c->room + 64;
        il_claim *claims = realloc(c->claims, room * sizeof *claims);

        if (claims == NULL) {
            return no_memory(err);
        }
        c->claims = claims;
        c->room = room;
    }
    claim = &c->claims[c->count];
    IL_TRY(
        il_claim_make(claim, arm, against, versus, metric, c->margin, c->arena, err));
    claim->primary = is_primary(c, arm, versus, metric);
    claim->health = is_health(metric);
    c->count += claim->count > 0;
    return IL_OK;
}

/* Claims about all metrics that the arm's first row has. */
static il_status add_against(concluder *c, const il_arm *arm, const il_arm *against,
                             const char *versus, il_error *err)
{
    const char *metric;
    json_t *value;

    if (against == NULL || against == arm) {
        return IL_OK;
    }
    json_object_foreach((json_t *)arm->rows[0].metrics, metric, value)
    {
        if (is_claimed(metric) || same(metric, c->metric) || is_tax(c, metric)) {
            IL_TRY(add_claim(c, arm, against, versus, metric, err));
        }
    }
    return IL_OK;
}

static il_status add_claims(concluder *c, il_error *err)
{
    for (size_t i = 0; i < c->arms.count; i++) {
        const il_arm *arm = &c->arms.items[i];
        size_t k;
        json_t *name;

        if (!same(arm->role, "pressed")) {
            continue;
        }
        IL_TRY(add_against(
            c, arm,
            arm->twin != NULL ? il_arms_find(&c->arms, arm->stage, arm->twin) : NULL,
            "twin", err));
        json_array_foreach(arm->placebos, k, name)
        {
            IL_TRY(add_against(
                c, arm, il_arms_find(&c->arms, arm->stage, json_string_value(name)),
                "placebo", err));
        }
    }
    return il_claims_correct(c->claims, c->count, true) &&
                   il_claims_correct(c->claims, c->count, false)
               ? IL_OK
               : no_memory(err);
}

/* ---- an arm --------------------------------------------------------------------- */

/* The plan's word on an arm: whether it was scheduled, why it has no twin. */
static const json_t *planned(const concluder *c, const il_arm *arm)
{
    const json_t *arms = json_object_get(c->plan, "arms");
    size_t i;
    json_t *entry;

    json_array_foreach(arms, i, entry)
    {
        const char *variant = json_string_value(json_object_get(entry, "variant"));

        if (same(json_string_value(json_object_get(entry, "stage")), arm->stage) &&
            same(variant != NULL ? variant : "", arm->variant)) {
            return entry;
        }
    }
    return NULL;
}

/* Copies keys that the plan has of an arm. */
static void add_planned(json_t *out, const json_t *entry)
{
    static const char *const keys[] = {"scheduled", "without"};

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(entry, keys[i]);

        if (value != NULL) {
            (void)json_object_set(out, keys[i], value);
        }
    }
}

static json_t *arm_json(const concluder *c, const il_arm *arm)
{
    json_t *seeds = json_array();
    json_t *claims = json_array();
    json_t *tax = json_array();
    const il_arm *twin =
        arm->twin != NULL ? il_arms_find(&c->arms, arm->stage, arm->twin) : NULL;
    json_t *outcome = il_outcome_arm(c->folder, arm, twin);
    json_t *out;

    for (size_t i = 0; i < arm->count; i++) {
        (void)json_array_append_new(seeds, il__json_seed(arm->rows[i].seed));
    }
    out = json_pack("{s:s, s:s, s:o}", "stage", arm->stage, "variant", arm->variant,
                    "seeds", seeds);
    if (arm->role[0] != '\0') {
        (void)json_object_set_new(out, "role", json_string(arm->role));
    }
    if (arm->twin != NULL) {
        (void)json_object_set_new(out, "twin", json_string(arm->twin));
    }
    if (json_array_size(arm->placebos) > 0) {
        (void)json_object_set(out, "placebos", (json_t *)arm->placebos);
    }
    add_planned(out, planned(c, arm));
    for (size_t i = 0; i < c->count; i++) {
        const il_claim *claim = &c->claims[i];

        if (claim->arm != arm) {
            continue;
        }
        if (same(claim->versus, "twin") && is_tax(c, claim->metric)) {
            (void)json_array_append_new(tax, il_claim_json(claim));
        } else {
            (void)json_array_append_new(claims, il_claim_json(claim));
        }
    }
    (void)json_object_set_new(out, "claims", claims);
    (void)json_object_set_new(out, "tax", tax);
    if (outcome != NULL) {
        (void)json_object_set_new(out, "outcome", outcome);
    }
    if (same(arm->role, "pressed")) {
        (void)json_object_set_new(out, "lost", il_arm_lost(arm, twin));
        (void)json_object_set_new(
            out, "sentence",
            il_said_of(arm, c->claims, c->count, c->metric,
                       json_string_value(json_object_get(c->endpoint, "behaviour")),
                       json_string_value(json_object_get(out, "without"))));
    }
    return out;
}

/* ---- the whole ------------------------------------------------------------------ */

static il_status read_plan(concluder *c, const char *folder, il_error *err)
{
    char *path = il_path_join(folder, "plan.json");
    il_status status = path == NULL ? no_memory(err) : IL_OK;

    if (status == IL_OK && il_file_exists(path)) {
        status = il__json_read(path, &c->plan, err);
    }
    free(path);
    c->endpoint = json_object_get(c->plan, "endpoint");
    c->metric = json_string_value(json_object_get(c->endpoint, "metric"));
    c->margin = json_is_number(json_object_get(c->endpoint, "margin"))
                    ? json_number_value(json_object_get(c->endpoint, "margin"))
                    : IL_SAID_MARGIN;
    return status;
}

static il_status assemble(json_t **out, const concluder *c, const char *folder,
                          il_error *err)
{
    const char *stage = json_string_value(json_object_get(c->endpoint, "stage"));
    json_t *selection = NULL;
    json_t *arms;

    IL_TRY(il_selected(&selection, folder, stage, c->metric, err));
    arms = json_array();
    for (size_t i = 0; i < c->arms.count; i++) {
        const il_arm *arm = &c->arms.items[i];

        if (json_object_size(arm->rows[0].metrics) > 0) {
            (void)json_array_append_new(arms, arm_json(c, arm));
        }
    }
    *out = json_pack("{s:i, s:s, s:o, s:o, s:o}", "interloop", FORMAT, "version",
                     IL_VERSION, "endpoint",
                     c->endpoint != NULL ? json_deep_copy(c->endpoint) : json_null(),
                     "selection", selection, "arms", arms);
    if (*out != NULL && json_object_get(c->plan, "endpoints_before") != NULL) {
        (void)json_object_set(*out, "endpoints_before",
                              json_object_get(c->plan, "endpoints_before"));
    }
    return *out != NULL ? IL_OK : no_memory(err);
}

il_status il_conclude(json_t **out, const char *folder, il_error *err)
{
    concluder c = {.folder = folder, .arena = il_arena_create(1 << 14)};
    il_status status = c.arena != NULL ? IL_OK : no_memory(err);

    if (status == IL_OK) {
        status = il_arms_read(&c.arms, folder, err);
    }
    if (status == IL_OK) {
        status = read_plan(&c, folder, err);
    }
    if (status == IL_OK) {
        status = add_claims(&c, err);
    }
    if (status == IL_OK) {
        status = assemble(out, &c, folder, err);
    }
    free(c.claims);
    json_decref(c.plan);
    il_arms_free(&c.arms);
    il_arena_destroy(c.arena);
    return status;
}

il_status il_conclude_write(const char *folder, il_error *err)
{
    char *path = il_path_join(folder, "conclusions.json");
    json_t *conclusions = NULL;
    il_status status = path == NULL ? no_memory(err) : IL_OK;

    if (status == IL_OK) {
        status = il_conclude(&conclusions, folder, err);
    }
    if (status == IL_OK) {
        status = il__json_write(path, conclusions, err);
    }
    json_decref(conclusions);
    free(path);
    return status;
}
