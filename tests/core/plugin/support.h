/* What the tests of plugins share: folders, and plugins compiled from
 * tests/fixtures/plugins with the compiler that the tests were built with. */
#ifndef IL_TESTS_PLUGIN_SUPPORT_H
#define IL_TESTS_PLUGIN_SUPPORT_H

#include "base/files.h"
#include "plugin/registry.h"

/* After the project's headers: it has a macro named `fail`. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

IL_UNUSED static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* A fresh folder, by its real path. */
IL_UNUSED static void folder_make(char folder[64])
{
    strcpy(folder, "/tmp/il_plugin_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

IL_UNUSED static void folder_drop(const char *folder)
{
    il_error err = {0};

    ck_assert_int_eq(il_folder_remove(folder, &err), IL_OK);
}

/* Runs a line of shell; fails when that fails. */
IL_UNUSED static void shell(const char *line)
{
    ck_assert_msg(system(line) == 0, "failed: %s", line);
}

/* Compiles a fixture into FOLDER/NAME.so, not yet stamped. */
IL_UNUSED static void build(const char *folder, const char *name, const char *source,
                            const char *flags)
{
    char line[2048];

    (void)snprintf(
        line, sizeof line,
        "%s -std=c11 -shared -fPIC -fvisibility=hidden -I'%s/include' "
        "'%s/tests/fixtures/plugins/%s.c' -o '%s/%s.so' %s -lm 2>'%s/log' || "
        "{ cat '%s/log'; exit 1; }; rm '%s/log'",
        from_environment("CC", "cc"), from_environment("IL_ROOT", "."),
        from_environment("IL_ROOT", "."), source, folder, name, flags, folder, folder,
        folder);
    shell(line);
}

IL_UNUSED static void stamp(const char *folder, const char *name)
{
    char line[1024];

    (void)snprintf(line, sizeof line, "'%s' plugin stamp '%s/%s.so'",
                   from_environment("INTERLOOP", "build/interloop"), folder, name);
    shell(line);
}

/* A registry with one folder. */
IL_UNUSED static il_registry *registry_of(const char *folder)
{
    il_registry *r = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_registry_create(&r, NULL, &err), IL_OK);
    ck_assert_msg(il_registry_add_folder(r, folder, true, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
    return r;
}

#define expect_in(text, part)                                                          \
    do {                                                                               \
        const char *text_ = (text);                                                    \
        const char *part_ = (part);                                                    \
        ck_assert_msg(text_ != NULL && strstr(text_, part_) != NULL,                   \
                      "expected '%s' in: %s", part_, text_ ? text_ : "(nothing)");     \
    } while (0)

/* Runs a suite of one case; the exit code. */
IL_UNUSED static int run_plugin_case(TCase *tc)
{
    Suite *suite = suite_create("plugin");
    SRunner *runner;
    int failed;

    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
