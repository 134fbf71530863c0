/* Folders of Hugging Face's in tests: a registry with the plugins that were built, a
 * model made from a folder, and copies of the stored cases to spoil. */
#ifndef HF_H
#define HF_H

#include "pipeline/composer.h"
#include "pipeline/instance.h"
#include "base/files.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static char copy[64];

static il_status copy_one(void *user, const char *name, il_error *e)
{
    char *from = il_path_join(user, name);
    char *to = il_path_join(copy, name);
    char *data;
    size_t size;

    ck_assert_int_eq(il_file_read(from, 1 << 20, &data, &size, e), IL_OK);
    ck_assert_int_eq(il_file_write(to, data, size, e), IL_OK);
    free(data);
    free(from);
    free(to);
    return IL_OK;
}

static void copy_case(const char *name)
{
    char folder[600];

    strcpy(copy, "/tmp/interloop-hf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(copy));
    (void)snprintf(folder, sizeof folder, "%s/%s", fixtures(), name);
    ck_assert_int_eq(il_folder_list(folder, copy_one, folder, &err), IL_OK);
}

/* Puts `with` in the place of the first `what` of a file, zeros and all. */
static void change(const char *file, const char *what, const char *with)
{
    char *path = il_path_join(copy, file);
    const size_t n = strlen(what);
    char *data;
    size_t size;
    size_t at = 0;
    il_file_part parts[3];

    ck_assert_int_eq(il_file_read(path, 1 << 20, &data, &size, &err), IL_OK);
    while (at + n <= size && memcmp(data + at, what, n) != 0) {
        at++;
    }
    ck_assert_msg(at + n <= size, "%s has no %s", file, what);
    parts[0] = (il_file_part){data, at};
    parts[1] = (il_file_part){with, strlen(with)};
    parts[2] = (il_file_part){data + at + n, size - at - n};
    ck_assert_int_eq(il_file_write_parts(path, parts, 3, &err), IL_OK);
    free(data);
    free(path);
}

#endif
