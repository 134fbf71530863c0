/* Reading a sweep: see sweep.h. */
#include "pipeline/sweep.h"

#include <string.h>

static bool is_map(const il_node *node)
{
    return node != NULL && node->kind == IL_NODE_MAP;
}

/* A value as part of a folder's name. */
static void add_value(il_text *out, const il_node *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_.+-";
    char found[64];
    const char *text = value->kind == IL_NODE_SCALAR
                           ? value->text
                           : il_node_describe(value, found, sizeof found);

    for (const char *p = text; *p != '\0'; p++) {
        il_text_addf(out, "%c", strchr(plain, *p) != NULL ? *p : '_');
    }
}

/* Two values of one name would be one folder's. */
static bool tell_apart(const il_axis *axis, il_problems *problems)
{
    bool apart = true;

    for (size_t i = 0; i < axis->values->count; i++) {
        for (size_t k = 0; k < i; k++) {
            il_text a = {0};
            il_text b = {0};

            add_value(&a, axis->values->items[i].value);
            add_value(&b, axis->values->items[k].value);
            if (a.failed || b.failed ||
                strcmp(a.data != NULL ? a.data : "", b.data != NULL ? b.data : "") ==
                    0) {
                il_problem_add(problems, axis->values->items[i].value->place,
                               "the value '%.40s' a second time",
                               a.data != NULL ? a.data : "");
                apart = false;
            }
            il_text_free(&a);
            il_text_free(&b);
        }
    }
    return apart;
}

/* Whether a path leads into a stage's variants, which have been applied by the time
 * that a point is laid over them: it would change nothing. */
static bool in_variants(const char *path)
{
    const char *rest = strncmp(path, "stages.", 7) == 0 ? strchr(path + 7, '.') : NULL;

    return rest != NULL && strncmp(rest, ".variants", 9) == 0 &&
           (rest[9] == '.' || rest[9] == '\0');
}

static bool add_axis(il_sweep *s, const il_node_item *item, il_problems *problems)
{
    il_axis *axis = &s->axes[s->axis_count];

    if (item->value->kind != IL_NODE_LIST || item->value->count == 0) {
        return false; /* the schema's to report */
    }
    if (s->axis_count == IL_SWEEP_PATHS) {
        il_problem_add(problems, item->place, "a sweep sets at most %d paths",
                       IL_SWEEP_PATHS);
        return false;
    }
    if (!il_variant_may(item->key) || strncmp(item->key, "plugins", 7) == 0) {
        il_problem_add(problems, item->place, "a sweep may not set '%.60s'", item->key);
        return false;
    }
    if (in_variants(item->key)) {
        il_problem_add(
            problems, item->place,
            "a sweep may not set '%.120s': set in the stage what the variant "
            "sets there",
            item->key);
        return false;
    }
    for (size_t i = 0; i < s->axis_count; i++) {
        if (strcmp(s->axes[i].path, item->key) == 0) {
            il_problem_add(problems, item->place, "the path '%.200s' a second time",
                           item->key);
            return false;
        }
    }
    axis->path = item->key;
    axis->values = item->value;
    axis->place = item->place;
    if (!tell_apart(axis, problems)) {
        return false;
    }
    s->axis_count++;
    return true;
}

/* The rest of a path after its last `keys` dots. */
static const char *last_keys(const char *path, int keys)
{
    const char *p = path + strlen(path);

    while (p > path) {
        if (p[-1] == '.' && --keys == 0) {
            return p;
        }
        p--;
    }
    return path;
}

/* Names each axis by as few of its last keys as tell it from the others. */
static void name_axes(il_sweep *s)
{
    for (size_t i = 0; i < s->axis_count; i++) {
        for (int keys = 1; keys <= 8; keys++) {
            bool alone = true;

            s->axes[i].name = last_keys(s->axes[i].path, keys);
            for (size_t k = 0; k < s->axis_count; k++) {
                alone = alone && (k == i || strcmp(s->axes[i].name,
                                                   last_keys(s->axes[k].path, keys)));
            }
            if (alone) {
                break;
            }
        }
    }
}

static bool matches(const il_node *wanted, const il_node *value)
{
    if (wanted->kind == IL_NODE_LIST) {
        for (size_t i = 0; i < wanted->count; i++) {
            if (matches(wanted->items[i].value, value)) {
                return true;
            }
        }
        return false;
    }
    return il_node_equal(wanted, value);
}

/* Whether an exclusion says so of a point in all of its paths. */
static bool excluded(const il_sweep *s, size_t point, const il_node *exclude)
{
    for (size_t i = 0; is_map(exclude) && i < exclude->count; i++) {
        const il_node *rule = exclude->items[i].value;
        bool all = is_map(rule) && rule->count > 0;

        for (size_t k = 0; all && k < rule->count; k++) {
            bool found = false;

            for (size_t a = 0; a < s->axis_count; a++) {
                found = found ||
                        (strcmp(s->axes[a].path, rule->items[k].key) == 0 &&
                         matches(rule->items[k].value, il_sweep_value(s, point, a)));
            }
            all = found;
        }
        if (all) {
            return true;
        }
    }
    return false;
}

/* An exclusion of what is not swept would never match. */
static void check_exclude(const il_sweep *s, const il_node *exclude,
                          il_problems *problems)
{
    const char *paths[IL_SWEEP_PATHS];

    for (size_t a = 0; a < s->axis_count; a++) {
        paths[a] = s->axes[a].path;
    }
    for (size_t i = 0; is_map(exclude) && i < exclude->count; i++) {
        const il_node *rule = exclude->items[i].value;

        for (size_t k = 0; is_map(rule) && k < rule->count; k++) {
            bool known = false;

            for (size_t a = 0; a < s->axis_count; a++) {
                known = known || strcmp(paths[a], rule->items[k].key) == 0;
            }
            if (!known) {
                il_problem_add_nearest(problems, rule->items[k].place,
                                       rule->items[k].key, paths, s->axis_count,
                                       "'%.120s' is not swept", rule->items[k].key);
            }
        }
    }
}

/* The number of values along the zipped lists, which is one; 0 with a problem. */
static size_t zip_length(const il_sweep *s, size_t grid_count, il_problems *problems)
{
    size_t length = 1;

    for (size_t a = grid_count; a < s->axis_count; a++) {
        size_t count = s->axes[a].values->count;

        if (a > grid_count && count != length) {
            il_problem_add(problems, s->axes[a].place,
                           "zipped lists are equally long: expected %zu values as for "
                           "'%.100s', found %zu",
                           length, s->axes[grid_count].path, count);
            return 0;
        }
        length = count;
    }
    return length;
}

static bool make_points(il_sweep *s, il_arena *arena, size_t grid_count,
                        const il_node *exclude, il_place place, il_problems *problems)
{
    size_t zip = zip_length(s, grid_count, problems);
    size_t total = zip;

    for (size_t a = 0; a < grid_count && total <= IL_SWEEP_POINTS; a++) {
        total *= s->axes[a].values->count;
    }
    if (total > IL_SWEEP_POINTS) {
        il_problem_add(problems, place, "more than %d points in a sweep",
                       IL_SWEEP_POINTS);
        return true;
    }
    s->points = il_arena_calloc(arena, total + 1, sizeof *s->points);
    if (s->points == NULL) {
        return false;
    }
    for (size_t i = 0; i < total; i++) {
        size_t rest = i / zip;

        for (size_t a = s->axis_count; a > grid_count; a--) {
            s->points[s->point_count][a - 1] = i % zip;
        }
        for (size_t a = grid_count; a > 0; a--) {
            s->points[s->point_count][a - 1] = rest % s->axes[a - 1].values->count;
            rest /= s->axes[a - 1].values->count;
        }
        s->point_count += !excluded(s, s->point_count, exclude);
    }
    if (s->point_count == 0 && total > 0) {
        il_problem_add(problems, place, "every point of the sweep is excluded");
    }
    return true;
}

bool il_sweep_read(il_sweep *out, il_arena *arena, const il_node *sweep,
                   il_problems *problems)
{
    const il_node *grid = il_node_get(sweep, "grid");
    const il_node *zip = il_node_get(sweep, "zip");
    const il_node *exclude = il_node_get(sweep, "exclude");
    size_t grid_count;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; is_map(grid) && i < grid->count; i++) {
        (void)add_axis(out, &grid->items[i], problems);
    }
    grid_count = out->axis_count;
    for (size_t i = 0; is_map(zip) && i < zip->count; i++) {
        (void)add_axis(out, &zip->items[i], problems);
    }
    name_axes(out);
    check_exclude(out, exclude, problems);
    if (out->axis_count == 0) {
        return true;
    }
    return make_points(out, arena, grid_count, exclude, sweep->place, problems);
}

const char *il_sweep_label(il_arena *arena, const il_sweep *s, size_t point,
                           unsigned axes)
{
    il_text text = {0};
    const char *kept;

    for (size_t a = 0; a < s->axis_count; a++) {
        if (axes & (1u << a)) {
            il_text_addf(&text, "%s%s=", text.size > 0 ? "," : "", s->axes[a].name);
            add_value(&text, il_sweep_value(s, point, a));
        }
    }
    kept =
        text.failed ? NULL : il_arena_strdup(arena, text.data != NULL ? text.data : "");
    il_text_free(&text);
    return kept;
}
