/* interloop plugin inspect: what a file says of itself, without running anything of it;
 * and, when asked, what loading it adds, from another process. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "plugin.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plain.h"
#include "base/files.h"
#include "plugin/elf.h"
#include "plugin/loader.h"
#include "plugin/registry.h"

enum { FILE_LIMIT = 256 << 20 };

static const char *text_of(const json_t *o, const char *key)
{
    return il_plain(json_string_value(json_object_get(o, key)));
}

/* The text of a bound as in "1"; nothing when there is none. */
static const char *bound(const json_t *o, const char *key, char out[32])
{
    const json_t *value = json_object_get(o, key);

    out[0] = '\0';
    if (json_is_number(value) && strcmp(text_of(o, "type"), "int") == 0) {
        (void)snprintf(out, 32, "%.0f", json_number_value(value));
    } else if (json_is_number(value)) {
        il_format_real(json_number_value(value), out);
    }
    return out;
}

static void print_param(const json_t *p)
{
    const json_t *initial = json_object_get(p, "default");
    const json_t *choices = json_object_get(p, "choices");
    char low[32];
    char high[32];

    printf("    %-20s %-6s %s%s", text_of(p, "name"), text_of(p, "type"),
           json_is_string(initial) ? "default " : "required",
           json_is_string(initial) ? text_of(p, "default") : "");
    if (text_of(p, "unit")[0] != '\0') {
        printf(" %s", text_of(p, "unit"));
    }
    if (bound(p, "min", low)[0] != '\0' || bound(p, "max", high)[0] != '\0') {
        (void)bound(p, "max", high);
        printf(", from %s to %s", low[0] ? low : "anything",
               high[0] ? high : "anything");
    }
    for (size_t i = 0; i < json_array_size(choices); i++) {
        printf("%s%s", i == 0 ? ", one of " : " | ",
               il_plain(json_string_value(json_array_get(choices, i))));
    }
    printf("\n      %s\n", text_of(p, "help"));
}

static void print_manifest(const char *path, const il_image *image, const json_t *m)
{
    const json_t *components = json_object_get(m, "components");

    printf("%s\n  namespace %s, version %s, licence %s\n  by %s\n  %s\n"
           "  ABI %u.%u, needs a host of %u.%u or newer\n  SHA-256 %s\n",
           path, text_of(m, "space"), text_of(m, "version"), text_of(m, "licence"),
           text_of(m, "author"), text_of(m, "summary"), image->prefix.abi_major,
           image->prefix.abi_minor, image->prefix.abi_major,
           image->prefix.host_minor_min, image->sha256);
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        const json_t *params = json_object_get(c, "params");

        printf("\n  %s %s.%s: %s\n", text_of(c, "kind"), text_of(m, "space"),
               text_of(c, "name"), text_of(c, "summary"));
        for (size_t k = 0; k < json_array_size(params); k++) {
            print_param(json_array_get(params, k));
        }
    }
}

/* ---- what the file itself shows ---------------------------------------------------
 */

static json_t *names_json(const il_elf *elf,
                          const char *(*next)(const il_elf *elf, size_t *cursor))
{
    json_t *list = json_array();
    const char *name;
    size_t cursor = 0;

    while ((name = next(elf, &cursor)) != NULL) {
        (void)json_array_append_new(list, json_string(name));
    }
    return list;
}

/* Hash, ABI, the libraries it needs, the symbols it takes from them and offers. */
static il_status file_json(const char *path, const il_image *image, json_t **out,
                           il_error *err)
{
    char *data = NULL;
    size_t size = 0;
    json_t *needed;
    json_t *o;
    il_elf elf;
    il_status status = il_file_read(path, FILE_LIMIT, &data, &size, err);

    if (status == IL_OK) {
        status = il_elf_read(&elf, data, size, path, err);
    }
    if (status != IL_OK) {
        free(data);
        return status;
    }
    needed = json_array();
    for (size_t i = 0; i < elf.needed_count; i++) {
        (void)json_array_append_new(needed, json_string(elf.needed[i]));
    }
    o = json_pack("{s:s, s:s, s:[i,i], s:i}", "path", path, "sha256", image->sha256,
                  "abi", (int)image->prefix.abi_major, (int)image->prefix.abi_minor,
                  "host_minor", (int)image->prefix.host_minor_min);
    (void)json_object_set_new(o, "needed", needed);
    (void)json_object_set_new(o, "imports", names_json(&elf, il_elf_imported));
    (void)json_object_set_new(o, "exports", names_json(&elf, il_elf_exported));
    free(data);
    *out = o;
    return IL_OK;
}

static void print_list(const char *title, const json_t *list)
{
    printf("  %s:", title);
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf(" %s", il_plain(json_string_value(json_array_get(list, i))));
    }
    puts(json_array_size(list) == 0 ? " nothing" : "");
}

/* ---- what loading adds ------------------------------------------------------------
 */

#define OFFER(list, api, slot)                                                         \
    do {                                                                               \
        if (IL_HAS(api, slot)) {                                                       \
            (void)json_array_append_new(list, json_string(#slot));                     \
        }                                                                              \
    } while (0)

/* The functions of a component, of which a manifest says nothing. */
static json_t *slots_json(const il_component *c)
{
    const il_model_api *m = c->api;
    const il_dataset_api *d = c->api;
    const il_environment_api *e = c->api;
    const il_detector_api *t = c->api;
    json_t *list = json_array();

    switch (c->kind) {
    case IL_KIND_MODEL:
        OFFER(list, m, create);
        OFFER(list, m, forward);
        OFFER(list, m, destroy);
        OFFER(list, m, carry_width);
        OFFER(list, m, step);
        break;
    case IL_KIND_DATASET:
        OFFER(list, d, create);
        OFFER(list, d, destroy);
        OFFER(list, d, splits);
        OFFER(list, d, fields);
        OFFER(list, d, get);
        OFFER(list, d, fingerprint);
        OFFER(list, d, prompt_rows);
        OFFER(list, d, prompt);
        OFFER(list, d, metrics);
        OFFER(list, d, behaviour);
        OFFER(list, d, text);
        break;
    case IL_KIND_ENVIRONMENT:
        OFFER(list, e, create);
        OFFER(list, e, destroy);
        OFFER(list, e, shape);
        OFFER(list, e, fields);
        OFFER(list, e, fingerprint);
        OFFER(list, e, reset);
        OFFER(list, e, step);
        OFFER(list, e, labels);
        OFFER(list, e, policies);
        OFFER(list, e, act);
        OFFER(list, e, prompts);
        OFFER(list, e, prompt);
        OFFER(list, e, allowed);
        OFFER(list, e, judge);
        OFFER(list, e, metrics);
        OFFER(list, e, text);
        break;
    case IL_KIND_DETECTOR:
        OFFER(list, t, create);
        OFFER(list, t, destroy);
        OFFER(list, t, score);
        OFFER(list, t, linear);
        break;
    }
    return list;
}

static json_t *component_json(const il_component *c)
{
    const il_detector_api *t = c->api;
    json_t *o = json_pack("{s:s, s:s}", "kind", il_kind_name(c->kind), "name", c->name);

    (void)json_object_set_new(o, "functions", slots_json(c));
    if (c->kind == IL_KIND_ENVIRONMENT) {
        (void)json_object_set_new(
            o, "form",
            json_string(((const il_environment_api *)c->api)->form ==
                                IL_ENVIRONMENT_STEPS
                            ? "steps"
                            : "text"));
    }
    if (c->kind == IL_KIND_DETECTOR) {
        (void)json_object_set_new(
            o, "reads", json_string(t->reads == IL_READS_ROWS ? "rows" : "sequences"));
        if (t->recipe != NULL) {
            (void)json_object_set_new(
                o, "recipe",
                json_pack("{s:s, s:i, s:f, s:f, s:f, s:b}", "method", t->recipe->method,
                          "steps", (int)t->recipe->steps, "lr", (double)t->recipe->lr,
                          "l2", (double)t->recipe->l2, "weight_decay",
                          (double)t->recipe->weight_decay, "standardize",
                          (int)t->recipe->standardize));
        }
    }
    return o;
}

/* Asked in the other process. */
static il_status describe(const char *path, const il_plugin *entry, il_text *out,
                          il_error *err)
{
    json_t *list = json_array();
    char *text;

    for (size_t i = 0; i < entry->component_count; i++) {
        (void)json_array_append_new(list, component_json(&entry->components[i]));
    }
    text = json_dumps(list, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(list);
    if (text == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    il_text_add(out, text);
    free(text);
    return IL_OK;
}

static void print_loaded(const json_t *loaded)
{
    puts("\n  loaded in another process: the entry is what the manifest says");
    for (size_t i = 0; i < json_array_size(loaded); i++) {
        const json_t *c = json_array_get(loaded, i);
        const json_t *recipe = json_object_get(c, "recipe");

        printf("  %s %s", text_of(c, "kind"), text_of(c, "name"));
        if (json_object_get(c, "form") != NULL) {
            printf(", of %s", text_of(c, "form"));
        }
        if (json_object_get(c, "reads") != NULL) {
            printf(", reads %s", text_of(c, "reads"));
        }
        putchar('\n');
        printf("  ");
        print_list("functions", json_object_get(c, "functions"));
        if (recipe != NULL) {
            char *text = json_dumps(recipe, JSON_REAL_PRECISION(6));

            printf("    recipe: %s\n", text != NULL ? il_plain(text) : "");
            free(text);
        }
    }
}

/* ---- the verb ---------------------------------------------------------------------
 */

/* Everything there is to say, as one object: the manifest's keys, `file`, `loaded`. */
static il_status collect(const char *path, const il_image *image, bool load,
                         json_t **out, il_error *err)
{
    json_t *whole = json_loads(image->manifest.text, 0, NULL);
    json_t *file = NULL;
    char *loaded = NULL;
    char *absolute = realpath(path, NULL);
    il_status status = file_json(path, image, &file, err);

    if (status == IL_OK) {
        (void)json_object_set_new(whole, "file", file);
    }
    if (status == IL_OK && load) {
        status = il_plugin_ask(absolute != NULL ? absolute : path, true, describe,
                               &loaded, err);
        if (status == IL_OK) {
            (void)json_object_set_new(whole, "loaded", json_loads(loaded, 0, NULL));
        }
    }
    free(loaded);
    free(absolute);
    if (status != IL_OK) {
        json_decref(whole);
        return status;
    }
    *out = whole;
    return IL_OK;
}

static void print_all(const char *path, const il_image *image, const json_t *whole)
{
    const json_t *file = json_object_get(whole, "file");

    print_manifest(path, image, whole);
    putchar('\n');
    print_list("needs the libraries", json_object_get(file, "needed"));
    print_list("and of them", json_object_get(file, "imports"));
    if (json_object_get(whole, "loaded") != NULL) {
        print_loaded(json_object_get(whole, "loaded"));
    }
}

int il_plugin_inspect(int argc, char **argv)
{
    const char *path = NULL;
    bool as_json = false;
    bool load = false;
    il_error err = {0};
    json_t *whole = NULL;
    il_image image;
    char *text;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            as_json = true;
        } else if (strcmp(argv[i], "--load") == 0) {
            load = true;
        } else if (argv[i][0] != '-' && path == NULL) {
            path = argv[i];
        } else {
            return il_plugin_wrong("cannot use ", argv[i]);
        }
    }
    if (path == NULL) {
        return il_plugin_wrong("expected a file", "");
    }
    if (il_image_read(&image, path, true, &err) != IL_OK ||
        collect(path, &image, load, &whole, &err) != IL_OK) {
        il_image_free(&image);
        return il_plugin_complain(&err);
    }
    if (as_json) {
        text = json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(17));
        puts(text != NULL ? text : "");
        free(text);
    } else {
        print_all(path, &image, whole);
    }
    json_decref(whole);
    il_image_free(&image);
    return 0;
}
