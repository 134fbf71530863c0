#include "audit/outcome_arm.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/outcome_units.h"
#include "base/files.h"
#include "loop/json.h"
#include "stats/stats.h"

enum { DRAWS = 1000, STAY_FROM = 5 };

/* ---- when ------------------------------------------------------------------------ */

il_outcome_course il_outcome_course_of(const int64_t *steps, const double *behaviour,
                                       const double *flag_now, const double *recall,
                                       size_t count, const il_outcome_bounds *bounds)
{
    size_t stay = count >= STAY_FROM ? 2 : 1;
    il_outcome_course c = {-1, -1, -1};
    double *less = calloc(count + 1, sizeof *less);
    double first = NAN;

    for (size_t i = 0; less != NULL && i < count; i++) {
        less[i] = -behaviour[i];
        first = isnan(first) ? recall[i] : first;
    }
    if (less != NULL) {
        /* Just below: a bound belongs to what is above it. */
        c.behaviour =
            il_first_below(steps, less, count, nextafter(-bounds->much, INFINITY),
                           -bounds->some, stay);
    }
    free(less);
    c.unseen =
        il_first_below(steps, flag_now, count, bounds->now, 1.5 * bounds->now, stay);
    if (first > 0) {
        c.blind = il_first_below(steps, recall, count, 0.5 * first, 0.75 * first, stay);
    }
    return c;
}

/* ---- what audits say --------------------------------------------------------------
 */

/* An arm's seeds as their audits have them. */
typedef struct told {
    il_outcome_run *runs;
    const json_t **outcomes;
    char **folders;
    size_t count;
    il_arena *arena;
    json_t *audits; /* all of them: what `outcomes` lives in */
} told;

static void told_close(told *t)
{
    json_decref(t->audits);
    il_arena_destroy(t->arena);
    memset(t, 0, sizeof *t);
}

static double at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static bool take_units(told *t, const json_t *json, il_outcome_run *run)
{
    static const char *const names[] = {"bad",  "weight", "good", "good_weight",
                                        "rows", "now",    "then", "veiled"};
    const json_t *columns[8];
    const json_t *flagged = json_object_get(json, "past_flagged");
    const json_t *kept = json_object_get(json, "past_kept");
    size_t count = json_array_size(json_object_get(json, "bad"));
    size_t past_count = json_array_size(flagged);
    il_outcome_unit *units = il_arena_calloc(t->arena, count + 1, sizeof *units);
    il_outcome_past *past = il_arena_calloc(t->arena, past_count + 1, sizeof *past);

    if (units == NULL || past == NULL || count == 0 ||
        json_array_size(kept) != past_count) {
        return false;
    }
    for (int k = 0; k < 8; k++) {
        columns[k] = json_object_get(json, names[k]);
        if (json_array_size(columns[k]) != count) {
            return false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        units[i] = (il_outcome_unit){
            .bad = at(columns[0], i),
            .weight = at(columns[1], i),
            .good = at(columns[2], i),
            .good_weight = at(columns[3], i),
            .rows = at(columns[4], i),
            .now = at(columns[5], i),
            .then = at(columns[6], i),
            .veiled = at(columns[7], i),
        };
    }
    for (size_t i = 0; i < past_count; i++) {
        past[i] = (il_outcome_past){at(flagged, i), at(kept, i)};
    }
    run->units = units;
    run->count = count;
    run->past = past;
    run->past_count = past_count;
    return true;
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Adds a seed whose audit tells an outcome with its units; others are left out. */
static void told_add(told *t, const char *folder, const il_arm *arm, uint64_t seed)
{
    char *job = il_arena_printf(t->arena, "%s/%s%s%s/seed-%" PRIu64, folder, arm->stage,
                                arm->variant[0] != '\0' ? "/" : "", arm->variant, seed);
    const char *path =
        job != NULL ? il_arena_printf(t->arena, "%s/audit.json", job) : NULL;
    json_t *audit = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    const json_t *outcome = json_object_get(audit, "outcome");
    const json_t *inputs = json_object_get(outcome, "inputs");
    il_outcome_run run = {.seed = (int64_t)seed,
                          .good = number_of(inputs, "good"),
                          .alarm = number_of(inputs, "alarm")};

    if (take_units(t, json_object_get(outcome, "units"), &run)) {
        (void)json_array_append(t->audits, audit);
        t->outcomes[t->count] = outcome;
        t->folders[t->count] = job;
        t->runs[t->count++] = run;
    }
    json_decref(audit);
}

static bool told_open(told *t, const char *folder, const il_arm *arm)
{
    memset(t, 0, sizeof *t);
    t->audits = json_array();
    t->arena = il_arena_create(1 << 16);
    if (t->arena == NULL || t->audits == NULL) {
        told_close(t);
        return false;
    }
    t->runs = il_arena_calloc(t->arena, arm->count + 1, sizeof *t->runs);
    t->outcomes = il_arena_calloc(t->arena, arm->count + 1, sizeof *t->outcomes);
    t->folders = il_arena_calloc(t->arena, arm->count + 1, sizeof *t->folders);
    if (t->runs == NULL || t->outcomes == NULL || t->folders == NULL) {
        told_close(t);
        return false;
    }
    for (size_t i = 0; i < arm->count; i++) {
        told_add(t, folder, arm, arm->rows[i].seed);
    }
    return true;
}

static il_outcome_rule rule_of(const json_t *outcome)
{
    const json_t *json = json_object_get(outcome, "rule");
    il_outcome_rule rule = il_outcome_rule_default();
    const struct {
        const char *key;
        double *value;
    } parts[] = {{"floor", &rule.floor},         {"full", &rule.full},
                 {"good_full", &rule.good_full}, {"some", &rule.some},
                 {"much", &rule.much},           {"enough", &rule.enough},
                 {"seen", &rule.seen},           {"alarm", &rule.alarm}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double x = number_of(json, parts[i].key);

        *parts[i].value = isnan(x) ? *parts[i].value : x;
    }
    rule.instead = json_is_true(json_object_get(json, "instead"));
    return rule;
}

/* ---- written down -----------------------------------------------------------------
 */

static void set(json_t *object, const char *key, double value)
{
    if (isfinite(value)) {
        (void)json_object_set_new(object, key, json_real(value));
    }
}

static json_t *inputs_json(il_outcome_inputs in)
{
    json_t *json = json_object();

    for (int i = 0; i < IL_OUTCOME_INPUTS; i++) {
        set(json, il_outcome_input_name(i), *il_outcome_input(&in, i));
    }
    return json;
}

static json_t *classes_json(const double value[IL_OUTCOMES])
{
    json_t *json = json_object();

    for (int o = 0; o < IL_OUTCOMES; o++) {
        set(json, il_outcome_name((il_outcome)o), value[o]);
    }
    return json;
}

static json_t *bounds_json(const il_outcome_bounds *b)
{
    const struct {
        const char *name;
        double value;
        int input;
    } all[] = {{"some", b->some, IL_OUTCOME_BEHAVIOUR},
               {"much", b->much, IL_OUTCOME_BEHAVIOUR},
               {"enough", b->enough, IL_OUTCOME_GOOD},
               {"flag_now", b->now, IL_OUTCOME_FLAG_NOW},
               {"flag_then", b->then, IL_OUTCOME_FLAG_THEN},
               {"kept", b->kept, IL_OUTCOME_KEPT},
               {"alarm", b->alarm, IL_OUTCOME_ALARM}};
    json_t *json = json_object();

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        (void)json_object_set_new(json, all[i].name,
                                  json_pack("{s:f, s:s}", "value", all[i].value, "from",
                                            b->twin[all[i].input] ? "twin" : "rule"));
    }
    return json;
}

/* The audits of a seed's trajectory: a line of metrics.jsonl that has an outcome. */
static json_t *course_json(const char *job, const char *detector,
                           const il_outcome_bounds *bounds, il_arena *arena)
{
    char *path = il_path_join(job, "metrics.jsonl");
    const char *ref = il_arena_printf(arena, "%s.ref.tpr", detector);
    const char *own = il_arena_printf(arena, "%s.tpr", detector);
    size_t room = 0;
    size_t n = 0;
    int64_t *steps = NULL;
    double *columns = NULL; /* behaviour, flag_now, recall, `room` of each */
    char *data = NULL;
    size_t size = 0;
    il_error err = {0};
    il_outcome_course c;
    json_t *json = json_object();

    if (path != NULL && il_file_exists(path) && ref != NULL && own != NULL &&
        il_file_read(path, (size_t)1 << 31, &data, &size, &err) == IL_OK) {
        for (size_t i = 0; i < size; i++) {
            room += data[i] == '\n';
        }
        steps = il_arena_calloc(arena, room + 1, sizeof *steps);
        columns = il_arena_calloc(arena, 3 * room + 1, sizeof *columns);
    }
    free(path);
    for (size_t from = 0; steps != NULL && columns != NULL && from < size;) {
        const char *end = memchr(data + from, '\n', size - from);
        json_t *line;

        if (end == NULL) {
            break;
        }
        line = json_loadb(data + from, (size_t)(end - data) - from, 0, NULL);
        if (json_object_get(line, "outcome.behaviour") != NULL) {
            double recall = number_of(line, ref);

            steps[n] = json_integer_value(json_object_get(line, "step"));
            columns[n] = number_of(line, "outcome.behaviour");
            columns[room + n] = number_of(line, "outcome.flag_now");
            columns[2 * room + n] = isnan(recall) ? number_of(line, own) : recall;
            n++;
        }
        json_decref(line);
        from = (size_t)(end - data) + 1;
    }
    free(data);
    (void)json_object_set_new(json, "audits", json_integer((json_int_t)n));
    if (n == 0) {
        return json;
    }
    c = il_outcome_course_of(steps, columns, columns + room, columns + 2 * room, n,
                             bounds);
    if (c.behaviour >= 0) {
        (void)json_object_set_new(json, "behaviour", json_integer(c.behaviour));
    }
    if (c.unseen >= 0) {
        (void)json_object_set_new(json, "unseen", json_integer(c.unseen));
    }
    if (c.blind >= 0) {
        (void)json_object_set_new(json, "blind", json_integer(c.blind));
    }
    if (c.blind >= 0 && c.behaviour >= 0) {
        (void)json_object_set_new(json, "lag", json_integer(c.blind - c.behaviour));
    }
    return json;
}

static json_t *seed_json(const told *t, size_t i, const il_outcome_rule *rule,
                         const il_outcome_bounds *bounds, double *mix,
                         il_outcome *class, double *margin, il_outcome *next)
{
    const char *detector =
        json_string_value(json_object_get(t->outcomes[i], "detector"));
    double own[IL_OUTCOMES];
    double veiled;
    il_outcome_inputs in = il_outcome_shares(&t->runs[i], &veiled);
    int nearest;
    json_t *json;

    *class = il_outcome_of(&in, bounds);
    *margin = il_outcome_margin(&in, bounds, next, &nearest);
    il_outcome_mix(&in, bounds, rule, veiled, own);
    for (int o = 0; o < IL_OUTCOMES; o++) {
        mix[o] += own[o] / (double)t->count;
    }
    json = json_pack(
        "{s:o, s:s, s:s, s:s, s:o, s:o, s:o}", "seed",
        il__json_seed((uint64_t)t->runs[i].seed), "class", il_outcome_name(*class),
        "next", il_outcome_name(*next), "nearest", il_outcome_input_name(nearest),
        "inputs", inputs_json(in), "mix", classes_json(own), "course",
        course_json(t->folders[i], detector != NULL ? detector : "", bounds, t->arena));
    set(json, "margin", *margin);
    return json;
}

static json_t *arm_json(const told *t, const told *twin)
{
    il_outcome_rule rule = rule_of(t->outcomes[0]);
    il_outcome_inputs twins = il_outcome_mean(twin->runs, twin->count);
    il_outcome_bounds bounds =
        il_outcome_bounds_of(&rule, twin->count > 0 ? &twins : NULL);
    il_outcome likely = IL_OUTCOME_HONEST;
    il_outcome to = IL_OUTCOME_HONEST;
    double least = INFINITY;
    double mix[IL_OUTCOMES] = {0};
    json_t *seeds = json_array();
    il_outcome_odds odds;
    il_error err = {0};
    json_t *json;

    if (il_outcome_resample(t->runs, t->count, twin->runs, twin->count, &rule, DRAWS, 0,
                            &odds, &err) != IL_OK) {
        json_decref(seeds);
        return NULL;
    }
    for (int o = 1; o < IL_OUTCOMES; o++) {
        likely =
            odds.probability[o] > odds.probability[likely] ? (il_outcome)o : likely;
    }
    for (size_t i = 0; i < t->count; i++) {
        il_outcome class;
        il_outcome next;
        double margin;

        (void)json_array_append_new(
            seeds, seed_json(t, i, &rule, &bounds, mix, &class, &margin, &next));
        if (class == likely && margin < least) {
            least = margin;
            to = next;
        }
    }
    json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "class",
                     il_outcome_name(likely), "probability",
                     classes_json(odds.probability), "low", classes_json(odds.low),
                     "high", classes_json(odds.high), "bounds", bounds_json(&bounds),
                     "inputs", inputs_json(il_outcome_mean(t->runs, t->count)), "mix",
                     classes_json(mix), "seeds", seeds);
    if (isfinite(least)) {
        set(json, "margin", least);
        (void)json_object_set_new(json, "next", json_string(il_outcome_name(to)));
    }
    if (twin->count > 0) {
        (void)json_object_set_new(json, "twin",
                                  json_pack("{s:I, s:o}", "seeds",
                                            (json_int_t)twin->count, "inputs",
                                            inputs_json(twins)));
    }
    return json;
}

json_t *il_outcome_arm(const char *folder, const il_arm *arm, const il_arm *twin)
{
    static const char *const copied[] = {"behaviour", "good", "detector", "rule"};
    told own;
    told other = {0};
    json_t *json = NULL;

    if (!told_open(&own, folder, arm)) {
        return NULL;
    }
    if (own.count > 0 && (twin == NULL || told_open(&other, folder, twin))) {
        json = arm_json(&own, &other);
    }
    for (size_t i = 0; json != NULL && i < sizeof copied / sizeof *copied; i++) {
        json_t *value = json_object_get(own.outcomes[0], copied[i]);

        if (value != NULL) {
            (void)json_object_set(json, copied[i], value);
        }
    }
    told_close(&own);
    told_close(&other);
    return json;
}
