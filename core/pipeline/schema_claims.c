/* The grammar of what a run is compared with, and of the question that it answers; part
 * of schema_table.c's. */
#include <math.h>
#include "pipeline/schema_private.h"

static const il_schema flag = {.kind = IL_SCHEMA_FLAG, .what = "true or false"};
static const il_schema name = {.kind = IL_SCHEMA_NAME, .what = "a name"};
static const il_schema text = {.kind = IL_SCHEMA_TEXT, .what = "text"};
static const il_schema texts = {
    .kind = IL_SCHEMA_LIST, .what = "a list of metrics", .least = 1, .element = &text};
static const il_schema positive = {.kind = IL_SCHEMA_REAL,
                                   .what = "a number above 0",
                                   .max = INFINITY,
                                   .open_min = true};

static const char *const nones[] = {"none", NULL};
static const il_schema none = {
    .kind = IL_SCHEMA_CHOICE, .what = "none", .choices = nones};

static const char *const placebos[] = {"auto",  "rows", "constant",
                                       "noise", "none", NULL};
static const il_schema placebo = {
    .kind = IL_SCHEMA_CHOICE, .what = "a kind of placebo", .choices = placebos};
static const il_schema_field twins_fields[] = {
    {"twin", &flag, 0, "the same without the pressure; true by default"},
    {"placebo", &placebo, 0,
     "the same without the information: what is done to the score, or none; auto by "
     "default"},
};
static const il_schema twins_map = {.kind = IL_SCHEMA_MAP,
                                    .what = "what a pressed run is compared with",
                                    .fields = twins_fields,
                                    .field_count = IL__COUNT(twins_fields)};
static const il_schema *const twins_options[] = {&none, &twins_map, NULL};
const il_schema il__schema_twins = {.kind = IL_SCHEMA_EITHER,
                                    .what = "none or {twin, placebo}",
                                    .options = twins_options};

static const char *const scrambles[] = {"rows", "constant", "noise", NULL};
const il_schema il__schema_scramble = {.kind = IL_SCHEMA_CHOICE,
                                       .what = "what stands in a score's place",
                                       .choices = scrambles};

static const char *const against[] = {"twin", "placebo", NULL};
static const il_schema versus = {
    .kind = IL_SCHEMA_CHOICE, .what = "twin or placebo", .choices = against};
static const il_schema_field endpoint_fields[] = {
    {"metric", &text, IL_FIELD_REQUIRED, "the one metric that decides"},
    {"stage", &name, IL_FIELD_REQUIRED, "of which stage"},
    {"variant", &name, 0, "of which variant; all that press by default"},
    {"versus", &versus, 0, "what it is compared with: twin (the default) or placebo"},
    {"margin", &positive, 0,
     "how far it may move and still count as the same; 0.1 by default"},
    {"behaviour", &text, 0, "the metric of what the model does that is told first"},
    {"tax", &texts, 0,
     "metrics of what the pressure may cost; all that the model does by default"},
};
const il_schema il__schema_endpoint = {.kind = IL_SCHEMA_MAP,
                                       .what = "an endpoint",
                                       .fields = endpoint_fields,
                                       .field_count = IL__COUNT(endpoint_fields)};
