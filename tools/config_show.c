/* interloop config explain, diff: where a value comes from, and what differs. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "plain.h"
#include "pipeline/describe.h"

enum { VALUE_WIDTH = 72 };

/* A value on one line, cut short. */
static const char *short_text(const il_node *node, char out[VALUE_WIDTH + 8])
{
    il_text text = {0};

    if (node->kind == IL_NODE_SCALAR) {
        (void)snprintf(out, VALUE_WIDTH + 1, node->quoted ? "\"%s\"" : "%s",
                       node->text);
        return out;
    }
    il_node_write_canonical(&text, node);
    (void)snprintf(out, VALUE_WIDTH + 1, "%s", text.data != NULL ? text.data : "");
    if (text.size > VALUE_WIDTH) {
        strcat(out, " ...");
    }
    il_text_free(&text);
    return out;
}

static void print_place(il_place place)
{
    if (place.line > 0 && strncmp(place.file, "--set ", 6) != 0) {
        printf("%s:%d:%d", place.file, place.line, place.column);
    } else {
        printf("%s", place.file != NULL ? place.file : "nowhere in particular");
    }
}

/* ---- explain -------------------------------------------------------------------- */

/* What stands there and all that it overrode, the last word first. */
static void print_history(const il_description *d)
{
    char text[VALUE_WIDTH + 8];

    if (d->value == NULL) {
        puts("  not given");
    }
    for (const il_node *n = d->value; n != NULL; n = n->under) {
        printf("  %s  ", n == d->value ? "is  " : "over");
        il_put_plain(stdout, short_text(n, text));
        fputs("  (", stdout);
        print_place(n->place);
        puts(")");
    }
}

static void print_keys(const il_description *d)
{
    const char *keys[64];
    const il_node nothing = {.kind = IL_NODE_MAP};
    const il_node *map = d->value != NULL ? d->value : &nothing;
    const il_schema *type = il_schema_pick(d->type, map);
    size_t count =
        type != NULL && map->kind == IL_NODE_MAP && type->kind != IL_SCHEMA_NAMED
            ? il_schema_keys(type, map, keys, 64)
            : 0;

    if (count > 0) {
        puts("  may hold");
    }
    for (size_t i = 0; i < count; i++) {
        const il_schema_field *field = il_schema_field_of(type, map, keys[i]);

        printf("    %-16s %s%s\n", keys[i], field != NULL ? field->help : "",
               il_node_get(map, keys[i]) != NULL ? " (given)" : "");
    }
}

static void format_bound(const il_param_spec *p, double bound, char out[32])
{
    if (p->type == IL_PARAM_TYPE_INT) {
        (void)snprintf(out, 32, "%.0f", bound);
    } else {
        il_format_real(bound, out);
    }
}

static void print_param_row(const il_param_spec *p, const char *indent)
{
    char low[32];
    char high[32];

    printf("%s%s%s%s", indent, p->help, p->unit[0] != '\0' ? ", in " : "", p->unit);
    if (p->type == IL_PARAM_TYPE_INT || p->type == IL_PARAM_TYPE_REAL) {
        format_bound(p, p->min, low);
        format_bound(p, p->max, high);
        printf("; from %s to %s", low, high);
    }
    for (size_t i = 0; p->type == IL_PARAM_TYPE_CHOICE && p->choices[i] != NULL; i++) {
        printf("%s%s", i == 0 ? "; one of " : ", ", p->choices[i]);
    }
    if (p->initial != NULL) {
        printf("; %s by default\n", p->initial[0] != '\0' ? p->initial : "nothing");
    } else {
        puts("; required");
    }
}

/* The kind of a component by where in the pipeline it stands. */
static il_kind kind_at(const char *path)
{
    return strncmp(path, "model.", 6) == 0          ? IL_KIND_MODEL
           : strncmp(path, "data.", 5) == 0         ? IL_KIND_DATASET
           : strncmp(path, "environment.", 12) == 0 ? IL_KIND_ENVIRONMENT
                                                    : IL_KIND_DETECTOR;
}

/* What the component's own table says; the exit code. */
static int print_params(const il_config_options *o, const il_node *tree,
                        il_arena *arena, const il_description *d)
{
    const il_node *use = il_node_get(d->component, "use");
    il_registry *registry = il_config_registry(o, tree, arena);
    char *id = il_arena_strdup(arena, use->kind == IL_NODE_SCALAR ? use->text : "");
    char *range = id != NULL ? strchr(id, '@') : NULL;
    const il_offer *offer = NULL;
    il_error err = {0};
    bool found = false;

    if (registry == NULL || id == NULL) {
        il_registry_destroy(registry);
        return 2;
    }
    if (range != NULL) {
        *range++ = '\0';
    }
    if (il_registry_find(registry, kind_at(o->words[1]), id, range != NULL ? range : "",
                         &offer, &err) != IL_OK) {
        printf("  its component: %s\n", err.message);
        il_registry_destroy(registry);
        return 0;
    }
    for (size_t i = 0; i < offer->component->param_count; i++) {
        const il_param_spec *p = &offer->component->params[i];

        if (!d->is_param) {
            printf("    %-16s", p->name);
            print_param_row(p, " ");
        } else if (strcmp(p->name, d->key) == 0) {
            found = true;
            printf("  of %s %s %s\n", il_kind_name(offer->component->kind), offer->id,
                   offer->file->version);
            print_param_row(p, "  ");
        }
    }
    if (d->is_param && !found) {
        printf("  %s %s %s has no such parameter\n",
               il_kind_name(offer->component->kind), offer->id, offer->file->version);
    }
    il_registry_destroy(registry);
    return d->is_param && !found ? 2 : 0;
}

int il_config_explain(const il_config_options *o)
{
    il_place place = {"PATH", 0, 0};
    const il_node *tree;
    il_config_file f;
    il_description d;
    int code = 0;

    if (!il_config_open(&f, o->words[0], o, &code)) {
        il_config_close(&f);
        return code;
    }
    tree = il_config_tree(&f, o);
    if (tree == NULL || il_problems_any(&f.problems) ||
        !il_describe_path(&d, tree, o->words[1], place, &f.problems)) {
        code = il_config_report(&f.problems);
        il_config_close(&f);
        return code;
    }
    printf("%s\n", o->words[1]);
    print_history(&d);
    if (d.help != NULL) {
        printf("  %s\n", d.help);
    }
    if (d.type->kind != IL_SCHEMA_ANY) {
        printf("  expected: %s\n", d.type->what);
    }
    print_keys(&d);
    if (d.component != NULL && !o->grammar) {
        code = print_params(o, tree, f.arena, &d);
    }
    il_config_close(&f);
    return code;
}

/* ---- diff ----------------------------------------------------------------------- */

static void print_side(char mark, const il_node *node)
{
    char text[VALUE_WIDTH + 8];

    if (node != NULL) {
        printf("  %c ", mark);
        il_put_plain(stdout, short_text(node, text));
        fputs("  (", stdout);
        print_place(node->place);
        puts(")");
    }
}

static void print_difference(const char *path, const il_node *a, const il_node *b,
                             void *user)
{
    (void)user;
    printf("%s\n", path);
    print_side('-', a);
    print_side('+', b);
}

static json_t *side_json(const il_node *node)
{
    il_text text = {0};
    json_t *value;

    if (node == NULL) {
        return json_null();
    }
    il_node_write_canonical(&text, node);
    value = text.data != NULL ? json_loads(text.data, JSON_DECODE_ANY, NULL) : NULL;
    il_text_free(&text);
    return value != NULL ? value : json_null();
}

static void add_difference(const char *path, const il_node *a, const il_node *b,
                           void *user)
{
    (void)json_array_append_new(user, json_pack("{s:s, s:o, s:o}", "path", path, "a",
                                                side_json(a), "b", side_json(b)));
}

/* A job of the other list with the same stage, variant and seed, or NULL. */
static const il_job *other_job(const il_jobs *jobs, const il_job *job)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i].seed == job->seed &&
            strcmp(jobs->items[i].stage, job->stage) == 0 &&
            strcmp(jobs->items[i].variant, job->variant) == 0) {
            return &jobs->items[i];
        }
    }
    return NULL;
}

static bool trains_alike(const il_job *a, const il_job *b)
{
    if (a->chain_count != b->chain_count) {
        return false;
    }
    for (size_t i = 0; i < a->chain_count; i++) {
        if (strcmp(a->chain[i].text, b->chain[i].text) != 0) {
            return false;
        }
    }
    return true;
}

/* "loop/naive, seed 1" of the jobs of one list that the other lacks or trains
 * otherwise. */
static json_t *changed_jobs(const il_jobs *jobs, const il_jobs *others, bool lacking)
{
    json_t *list = json_array();

    for (size_t i = 0; i < jobs->count; i++) {
        const il_job *job = &jobs->items[i];
        const il_job *other = other_job(others, job);

        if (lacking ? other == NULL : other != NULL && !trains_alike(job, other)) {
            (void)json_array_append_new(
                list, json_sprintf("%s%s%s, seed %llu", job->stage,
                                   job->variant[0] != '\0' ? "/" : "", job->variant,
                                   (unsigned long long)job->seed));
        }
    }
    return list;
}

static void print_jobs(const char *title, const json_t *list)
{
    size_t count = json_array_size(list);

    if (count > 0) {
        printf("%s:\n", title);
    }
    for (size_t i = 0; i < count; i++) {
        printf("  %s\n", json_string_value(json_array_get(list, i)));
    }
}

static int list_jobs(il_config_file *f, const il_config_options *o, il_jobs *jobs)
{
    il_jobs_filter filter = {.stages = &o->stage,
                             .stage_count = o->stage != NULL,
                             .variants = &o->variant,
                             .variant_count = o->variant != NULL,
                             .seeds = &o->seed,
                             .seed_count = o->has_seed};
    il_error err = {0};

    if (il_jobs_list(jobs, f->document, &filter, &f->problems, &err) != IL_OK) {
        return il_config_report(&f->problems);
    }
    return 0;
}

static int print_diff(const il_config_options *o, il_config_file *a, il_config_file *b)
{
    const il_node *trees[2] = {il_config_tree(a, o), il_config_tree(b, o)};
    json_t *all = json_object();
    json_t *list = json_array();
    il_jobs jobs[2];
    size_t count;
    int code;

    if (trees[0] == NULL || trees[1] == NULL) {
        code = il_config_report(&(trees[0] == NULL ? a : b)->problems);
        json_decref(list);
        json_decref(all);
        return code;
    }
    code = list_jobs(a, o, &jobs[0]);
    code = code == 0 ? list_jobs(b, o, &jobs[1]) : code;
    if (code != 0) {
        json_decref(list);
        json_decref(all);
        return code;
    }
    count = il_node_differences(a->arena, trees[0], trees[1],
                                o->json ? add_difference : print_difference, list);
    (void)json_object_set_new(all, "differences", list);
    (void)json_object_set_new(all, "changed", changed_jobs(&jobs[0], &jobs[1], false));
    (void)json_object_set_new(all, "only_a", changed_jobs(&jobs[0], &jobs[1], true));
    (void)json_object_set_new(all, "only_b", changed_jobs(&jobs[1], &jobs[0], true));
    if (o->json) {
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_jobs("trained otherwise", json_object_get(all, "changed"));
        print_jobs("only in the first", json_object_get(all, "only_a"));
        print_jobs("only in the second", json_object_get(all, "only_b"));
    }
    json_decref(all);
    return count > 0;
}

int il_config_diff(const il_config_options *o)
{
    il_config_file files[2];
    int code = 0;

    if (il_config_open(&files[0], o->words[0], o, &code)) {
        if (il_config_open(&files[1], o->words[1], o, &code)) {
            code = print_diff(o, &files[0], &files[1]);
        }
        il_config_close(&files[1]);
    }
    il_config_close(&files[0]);
    return code;
}
