/* The grammar of the channels halt and data; part of schema_table.c's. */
#include <math.h>
#include "pipeline/schema_private.h"

static const il_schema text = {.kind = IL_SCHEMA_TEXT, .what = "text"};
static const il_schema number = {
    .kind = IL_SCHEMA_REAL, .what = "a number", .min = -INFINITY, .max = INFINITY};
static const il_schema audits = {.kind = IL_SCHEMA_INT,
                                 .what = "a whole number of at least 1",
                                 .min = 1,
                                 .max = 1e12};
static const il_schema texts = {
    .kind = IL_SCHEMA_LIST, .what = "a list of names", .least = 1, .element = &text};

static const il_schema_field when_fields[] = {
    {"metric", &text, IL_FIELD_REQUIRED, "what an audit measures, by its name"},
    {"minus", &text, 0, "another metric, which is taken off it"},
    {"below", &number, IL_FIELD_ONE, "the detector is ill while it is below this"},
    {"above", &number, IL_FIELD_ONE, "or above this"},
    {"until", &number, 0, "once ill, healthy again only from here on"},
    {"for", &audits, 0, "audits in a row that must find it ill; 1 by default"},
};
const il_schema il__schema_when = {.kind = IL_SCHEMA_MAP,
                                   .what = "a line that is watched",
                                   .fields = when_fields,
                                   .field_count = IL__COUNT(when_fields)};

static const char *const action_words[] = {"stop", "alarm", NULL};
static const il_schema action = {
    .kind = IL_SCHEMA_CHOICE, .what = "stop or alarm", .choices = action_words};
static const il_schema_field freeze_fields[] = {
    {"freeze", &texts, IL_FIELD_REQUIRED,
     "groups of parameters that are stepped no more"},
};
static const il_schema freeze = {.kind = IL_SCHEMA_MAP,
                                 .what = "a freeze",
                                 .fields = freeze_fields,
                                 .field_count = IL__COUNT(freeze_fields)};
static const il_schema *const do_options[] = {&action, &freeze, NULL};
const il_schema il__schema_do = {.kind = IL_SCHEMA_EITHER,
                                 .what = "stop, alarm or {freeze: [GROUP...]}",
                                 .options = do_options};

static const char *const keep_words[] = {"last", "before", "best", NULL};
static const il_schema state = {
    .kind = IL_SCHEMA_CHOICE, .what = "last, before or best", .choices = keep_words};
static const il_schema share = {
    .kind = IL_SCHEMA_REAL, .what = "a number from 0 to 1", .max = 1};
static const il_schema part = {.kind = IL_SCHEMA_REAL,
                               .what = "a number above 0, up to 1",
                               .max = 1,
                               .open_min = true};
static const il_schema positive = {.kind = IL_SCHEMA_REAL,
                                   .what = "a number above 0",
                                   .max = INFINITY,
                                   .open_min = true};
static const il_schema_field sift_fields[] = {
    {"below", &share, IL_FIELD_ONE, "examples whose probability is below this"},
    {"above", &share, IL_FIELD_ONE, "or above this"},
    {"lowest", &part, IL_FIELD_ONE, "or the share of a batch with the lowest"},
    {"highest", &part, IL_FIELD_ONE, "or with the highest"},
};
static const il_schema sift = {.kind = IL_SCHEMA_MAP,
                               .what = "examples that are kept",
                               .fields = sift_fields,
                               .field_count = IL__COUNT(sift_fields)};
static const il_schema *const keep_options[] = {&state, &sift, NULL};
const il_schema il__schema_keep = {
    .kind = IL_SCHEMA_EITHER,
    .what = "last, before, best, {below: P}, {above: P}, {lowest: SHARE} or {highest: "
            "SHARE}",
    .options = keep_options};

static const char *const weigh_words[] = {"complement", NULL};
static const il_schema complement = {
    .kind = IL_SCHEMA_CHOICE, .what = "complement", .choices = weigh_words};
static const il_schema_field exponential_fields[] = {
    {"exponential", &positive, IL_FIELD_REQUIRED,
     "T: an example weighs exp(-p / T), p being its probability"},
};
static const il_schema exponential = {.kind = IL_SCHEMA_MAP,
                                      .what = "an exponential weight",
                                      .fields = exponential_fields,
                                      .field_count = IL__COUNT(exponential_fields)};
static const il_schema *const weigh_options[] = {&complement, &exponential, NULL};
const il_schema il__schema_reweight = {.kind = IL_SCHEMA_EITHER,
                                       .what = "complement (1 - p) or {exponential: T}",
                                       .options = weigh_options};
