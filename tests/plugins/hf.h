/* Folders of Hugging Face's in tests: a registry with the plugins that were built, and
 * a model made from a folder. */
#ifndef HF_H
#define HF_H

#include "pipeline/composer.h"
#include "pipeline/instance.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static il_registry *registry;
static il_arena *arena;
static il_problems problems;
static il_error err;
static il_instance *model;

static const char *fixtures(void)
{
    static char path[512];
    const char *given = getenv("IL_HF_FIXTURES");

    if (given != NULL) {
        return given;
    }
    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/hf", getenv("IL_ROOT"));
    return path;
}

static void hf_open(void)
{
    char folder[512];

    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    err = (il_error){0};
    ck_assert_int_eq(il_registry_create(&registry, NULL, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(registry, folder, true, &err) == IL_OK, "%s",
                  err.message);
    arena = il_arena_create(1 << 14);
    problems = (il_problems){.arena = arena};
    model = NULL;
}

static void hf_close(void)
{
    il_instance_destroy(model);
    il_arena_destroy(arena);
    il_registry_destroy(registry);
}

static il_status make(const char *folder, const char *more)
{
    char yaml[1024];
    il_component_spec spec = {.use = "hf_decoder", .range = ""};
    il_instance_input in = {.label = "model", .seed = 3};

    (void)snprintf(yaml, sizeof yaml, "{folder: \"%s\"%s}", folder, more);
    spec.params = il_compose(arena, "p.yaml", il_arena_strdup(arena, yaml),
                             strlen(yaml), &problems);
    return il_instance_create(&model, registry, IL_KIND_MODEL, &spec, &in, &problems,
                              &err);
}

#endif
