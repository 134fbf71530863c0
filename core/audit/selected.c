/* Selection: see selected.h. */
#include "audit/selected.h"

#include <stdlib.h>
#include <string.h>
#include "audit/arms.h"
#include "base/files.h"
#include "stats/stats.h"

typedef struct counter {
    const char *root; /* RUNS */
    const char *stage;
    const char *metric;
    json_t *states;        /* results that were counted, as keys */
    json_t *seeds;         /* as keys */
    json_t *unread;        /* names of runs */
    size_t runs;           /* that asked */
    size_t arms;           /* that were counted */
    uint64_t alternatives; /* those, each as often as it had ends to choose from */
    json_t *picks;         /* demands and halts, each once */
} counter;

/* Whether an arm is an answer to the question, and one that pressed. */
static bool asks(const counter *c, const il_arm *arm)
{
    double value;

    if (strcmp(arm->role, "pressed") != 0 ||
        (c->stage != NULL && strcmp(arm->stage, c->stage) != 0)) {
        return false;
    }
    for (size_t i = 0; i < arm->count; i++) {
        if (c->metric == NULL || il_arm_metric(&arm->rows[i], c->metric, &value)) {
            return true;
        }
    }
    return false;
}

/* How many ends an arm may have had, one of which it took: by halts, as its run's plan
 * says. */
static uint64_t ends_of(const json_t *plan, const il_arm *arm)
{
    size_t i;
    json_t *entry;

    json_array_foreach(json_object_get(plan, "arms"), i, entry)
    {
        const char *stage = json_string_value(json_object_get(entry, "stage"));
        const char *variant = json_string_value(json_object_get(entry, "variant"));
        json_int_t ends = json_integer_value(json_object_get(entry, "ends"));

        if (stage != NULL && strcmp(stage, arm->stage) == 0 && ends > 1 &&
            strcmp(variant != NULL ? variant : "", arm->variant) == 0) {
            return (uint64_t)ends;
        }
    }
    return 1;
}

/* Counts an arm unless one of its results was counted already. */
static void count_arm(counter *c, const il_arm *arm, const json_t *plan)
{
    bool known = false;

    for (size_t i = 0; i < arm->count; i++) {
        known = known || json_object_get(c->states, arm->rows[i].state) != NULL;
    }
    c->arms += !known;
    c->alternatives += known ? 0 : ends_of(plan, arm);
    for (size_t i = 0; i < arm->count; i++) {
        char seed[32];

        (void)snprintf(seed, sizeof seed, "%llu",
                       (unsigned long long)arm->rows[i].seed);
        (void)json_object_set_new(c->states, arm->rows[i].state, json_true());
        (void)json_object_set_new(c->seeds, seed, json_true());
    }
}

/* What a run's plan says that it let a measure choose: an array under `picks`. */
static void add_picks(counter *c, const json_t *plan)
{
    size_t i;
    json_t *pick;

    json_array_foreach(json_object_get(plan, "picks"), i, pick)
    {
        bool known = false;

        for (size_t k = 0; k < json_array_size(c->picks); k++) {
            known = known || json_equal(json_array_get(c->picks, k), pick);
        }
        if (!known) {
            (void)json_array_append(c->picks, pick);
        }
    }
}

/* A run's plan, which the caller decrefs; NULL where there is none to read. */
static json_t *plan_of(const char *folder)
{
    char *path = il_path_join(folder, "plan.json");
    json_t *plan =
        path != NULL && il_file_exists(path) ? json_load_file(path, 0, NULL) : NULL;

    free(path);
    return plan;
}

/* Counts what a run has of the question. */
static void count_run(counter *c, const char *folder, const il_arms *arms)
{
    json_t *plan = plan_of(folder);
    bool asked = false;

    for (size_t i = 0; i < arms->count; i++) {
        if (asks(c, &arms->items[i])) {
            count_arm(c, &arms->items[i], plan);
            asked = true;
        }
    }
    c->runs += asked;
    if (asked) {
        add_picks(c, plan);
    }
    json_decref(plan);
}

static il_status visit(void *user, const char *name, il_error *err)
{
    counter *c = user;
    char *folder = il_path_join(c->root, name);
    char *summary = folder != NULL ? il_path_join(folder, "summary.json") : NULL;
    il_error unread = {0};
    il_arms arms;

    if (summary == NULL) {
        free(folder);
        return il_error_set(err, IL_ERR_MEMORY, c->root, "out of memory");
    }
    if (name[0] == '.' || !il_file_exists(summary)) {
        /* the store, or no run */
    } else if (il_arms_read(&arms, folder, &unread) != IL_OK) {
        (void)json_array_append_new(c->unread, json_string(name));
    } else {
        count_run(c, folder, &arms);
        il_arms_free(&arms);
    }
    free(summary);
    free(folder);
    return IL_OK;
}

/* RUNS of RUNS/NAME, malloc'ed. */
static char *root_of(const char *folder)
{
    size_t size = strlen(folder);
    char *plain = strdup(folder);
    char *root;

    while (plain != NULL && size > 1 && plain[size - 1] == '/') {
        plain[--size] = '\0';
    }
    root = plain != NULL ? il_path_folder(plain) : NULL;
    free(plain);
    return root;
}

static json_t *counted(const counter *c)
{
    json_t *over = json_array();
    uint64_t alternatives = c->alternatives > 0 ? c->alternatives : 1;
    size_t i;
    json_t *pick;

    (void)json_array_append_new(
        over, json_pack("{s:s, s:I}", "what", "runs", "count", (json_int_t)c->runs));
    (void)json_array_append_new(over, json_pack("{s:s, s:I}", "what", "pressed arms",
                                                "count", (json_int_t)c->arms));
    (void)json_array_append_new(over,
                                json_pack("{s:s, s:I}", "what", "seeds", "count",
                                          (json_int_t)json_object_size(c->seeds)));
    json_array_foreach(c->picks, i, pick)
    {
        (void)json_array_append(over, pick);
    }
    if (json_array_size(c->unread) > 0) {
        (void)json_array_append_new(
            over, json_pack("{s:s, s:O}", "what", "unread", "runs", c->unread));
    }
    return json_pack("{s:I, s:f, s:o}", "alternatives", (json_int_t)alternatives,
                     "bits", il_selection_bits(alternatives), "over", over);
}

il_status il_selected(json_t **out, const char *folder, const char *stage,
                      const char *metric, il_error *err)
{
    char *root = root_of(folder);
    counter c = {.root = root,
                 .stage = stage,
                 .metric = metric,
                 .states = json_object(),
                 .seeds = json_object(),
                 .unread = json_array(),
                 .picks = json_array()};
    il_status status = root == NULL
                           ? il_error_set(err, IL_ERR_MEMORY, folder, "out of memory")
                           : il_folder_list(root, visit, &c, err);

    if (status == IL_OK) {
        *out = counted(&c);
    }
    json_decref(c.states);
    json_decref(c.seeds);
    json_decref(c.unread);
    json_decref(c.picks);
    free(root);
    return status;
}
