/* The grammar of an edit, in a signal and in an audit; part of schema_table.c's. */
#include <math.h>
#include "pipeline/schema_private.h"

static const il_schema name = {.kind = IL_SCHEMA_NAME, .what = "a name"};
static const il_schema text = {.kind = IL_SCHEMA_TEXT, .what = "text"};
static const il_schema flag = {.kind = IL_SCHEMA_FLAG, .what = "true or false"};
static const il_schema number = {
    .kind = IL_SCHEMA_REAL, .what = "a number", .min = -INFINITY, .max = INFINITY};
static const il_schema feature = {.kind = IL_SCHEMA_INT,
                                  .what = "the number of a feature, from 0",
                                  .max = 2147483647.0};
static const il_schema features = {.kind = IL_SCHEMA_LIST,
                                   .what = "a list of features",
                                   .least = 1,
                                   .element = &feature};
static const char *const units[] = {"direction", "classes", NULL};
static const il_schema unit = {
    .kind = IL_SCHEMA_CHOICE, .what = "direction or classes", .choices = units};
static const char *const errors[] = {"dropped", "kept", NULL};
static const il_schema error = {
    .kind = IL_SCHEMA_CHOICE, .what = "dropped or kept", .choices = errors};

static const char *const end_words[] = {"zero", "middle", NULL};
static const il_schema ends = {
    .kind = IL_SCHEMA_CHOICE, .what = "zero or middle", .choices = end_words};

/* What each kind of edit takes, and after it what the map around it takes. */
#define FEATURES                                                                       \
    {                                                                                  \
        "features", &features, 0, "of a dictionary: which are edited"                  \
    }
#define ABLATE                                                                         \
    {                                                                                  \
        "ablate", &flag, IL_FIELD_REQUIRED,                                            \
            "true: what the detector reads is taken out"                               \
    }
#define TO                                                                                \
    {                                                                                     \
        "to", &ends, 0,                                                                   \
            "what the coordinate becomes: zero (the default), or the middle between the " \
            "class means"                                                                 \
    }
#define CLAMP                                                                          \
    {                                                                                  \
        "clamp", &number, IL_FIELD_REQUIRED,                                           \
            "what the coordinate or the features become"                               \
    }
#define STEER                                                                          \
    {                                                                                  \
        "steer", &number, IL_FIELD_REQUIRED, "what is added to them"                   \
    }
#define UNIT                                                                                 \
    {                                                                                        \
        "unit", &unit, 0,                                                                    \
            "what is counted: direction, of norm 1 (the default), or distances between the " \
            "class means"                                                                    \
    }
#define SPLICE                                                                         \
    {                                                                                  \
        "splice", &flag, IL_FIELD_REQUIRED,                                            \
            "true: the reconstruction goes in their place"                             \
    }
#define ERROR                                                                          \
    {                                                                                  \
        "error", &error, 0, "what the reconstruction leaves out; dropped by default"   \
    }
#define AROUND                                                                         \
    {"detector", &name, IL_FIELD_REQUIRED, "whose site is edited, and by what"},       \
        {"tokens", &text, 0, "positions; those of the detector by default"},           \
    {                                                                                  \
        "weight", &number, 0, "strength; 1 by default"                                 \
    }

static const il_schema_field ablate_fields[] = {ABLATE, TO, FEATURES};
static const il_schema_field clamp_fields[] = {CLAMP, FEATURES};
static const il_schema_field steer_fields[] = {STEER, UNIT, FEATURES};
static const il_schema_field splice_fields[] = {SPLICE, ERROR};
static const il_schema_field audit_ablate_fields[] = {ABLATE, TO, FEATURES, AROUND};
static const il_schema_field audit_clamp_fields[] = {CLAMP, FEATURES, AROUND};
static const il_schema_field audit_steer_fields[] = {STEER, UNIT, FEATURES, AROUND};
static const il_schema_field audit_splice_fields[] = {SPLICE, ERROR, AROUND};

static const il_schema_case cases[] = {
    IL__CASE("ablate", ablate_fields),
    IL__CASE("clamp", clamp_fields),
    IL__CASE("steer", steer_fields),
    IL__CASE("splice", splice_fields),
};
static const il_schema map = {.kind = IL_SCHEMA_CASES,
                              .what = "an edit",
                              .cases = cases,
                              .case_count = IL__COUNT(cases)};
static const char *const words[] = {"ablate", "splice", NULL};
static const il_schema word = {
    .kind = IL_SCHEMA_CHOICE, .what = "ablate or splice", .choices = words};
static const il_schema *const options[] = {&word, &map, NULL};

const il_schema il__schema_edit = {
    .kind = IL_SCHEMA_EITHER,
    .what = "ablate, splice, {ablate: true}, {clamp: V}, {steer: V} or {splice: true}",
    .options = options};

static const il_schema_case audit_cases[] = {
    IL__CASE("ablate", audit_ablate_fields),
    IL__CASE("clamp", audit_clamp_fields),
    IL__CASE("steer", audit_steer_fields),
    IL__CASE("splice", audit_splice_fields),
};
static const il_schema audit_map = {.kind = IL_SCHEMA_CASES,
                                    .what = "an edit to measure under",
                                    .cases = audit_cases,
                                    .case_count = IL__COUNT(audit_cases)};

const il_schema il__schema_edits = {.kind = IL_SCHEMA_NAMED,
                                    .what = "a map of edits",
                                    .whole = true,
                                    .element = &audit_map};
