/* Folders of plugins: what is usable, what is refused and why, and finding by id and
 * range. */
#include "support.h"

static char folder[64];

static void make_folder(void)
{
    folder_make(folder);
}

static void drop_folder(void)
{
    folder_drop(folder);
}

START_TEST(a_valid_plugin_is_found_with_all_that_it_offers)
{
    il_registry *r;
    const il_offer *o = NULL;
    il_error err = {0};

    build(folder, "good", "three", "");
    stamp(folder, "good");
    r = registry_of(folder);
    ck_assert_uint_eq(il_registry_files(r), 1);
    ck_assert_ptr_null(il_registry_file(r, 0)->refused);
    ck_assert_str_eq(il_registry_file(r, 0)->space, "three");
    ck_assert_str_eq(il_registry_file(r, 0)->version, "1.2.3");
    ck_assert_uint_eq(strlen(il_registry_file(r, 0)->sha256), 64);
    expect_in(il_registry_file(r, 0)->manifest, "\"help\":\"how wide\"");
    ck_assert_uint_eq(il_registry_offers(r), 3);
    ck_assert_str_eq(il_registry_offer(r, 2)->id, "three.probe");
    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "three.net", "^1.0", &o, &err),
                     IL_OK);
    ck_assert_ptr_eq(o, il_registry_offer(r, 0));
    ck_assert_int_eq(il_registry_add_folder(r, folder, true, &err), IL_OK);
    ck_assert_uint_eq(il_registry_files(r), 1);
    il_registry_destroy(r);
}
END_TEST

START_TEST(every_plugin_that_is_built_here_is_usable)
{
    char path[4096];
    il_registry *r;

    (void)snprintf(path, sizeof path, "%s/plugins",
                   from_environment("IL_BUILD", "build"));
    r = registry_of(path);
    ck_assert_uint_ge(il_registry_files(r), 1);
    for (size_t i = 0; i < il_registry_files(r); i++) {
        const il_plugin_file *f = il_registry_file(r, i);

        ck_assert_msg(f->refused == NULL, "%s: %s", f->path, f->refused);
    }
    il_registry_destroy(r);
}
END_TEST

START_TEST(a_component_that_is_not_there_is_explained)
{
    il_registry *r;
    const il_offer *o = NULL;
    il_error err = {0};

    build(folder, "good", "three", "");
    stamp(folder, "good");
    build(folder, "young", "three", "-DSPACE='\"lab\"'");
    r = registry_of(folder);
    ck_assert_int_eq(il_registry_find(r, IL_KIND_DETECTOR, "three.prove", "", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "did you mean 'three.probe'?");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_find(r, IL_KIND_DETECTOR, "three.net", "", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "is a model, expected a detector");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "net", "", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "no plugin offers the model 'interloop.net'");
    expect_in(err.message, "on offer: three.net");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "lab.zzz", "", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "young.so: has no manifest");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "three.net", "^2.0", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "expected version ^2.0, found 1.2.3");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "three.net", "<2", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "found '<2'");
    il_registry_destroy(r);
}
END_TEST

START_TEST(one_id_in_two_files_is_an_error_that_names_both)
{
    il_registry *r = NULL;
    il_error err = {0};

    build(folder, "one", "three", "");
    stamp(folder, "one");
    build(folder, "two", "three", "-DRELEASE='\"2.0.0\"'");
    stamp(folder, "two");
    ck_assert_int_eq(il_registry_create(&r, NULL, &err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(r, folder, true, &err), IL_ERR_INPUT);
    expect_in(err.where, "two.so");
    expect_in(err.message, "one.so");
    expect_in(err.message, "'three.net'");
    il_registry_destroy(r);
}
END_TEST

START_TEST(folders_must_be_absolute_there_and_safe)
{
    il_registry *r = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_registry_create(&r, NULL, &err), IL_OK);
    ck_assert_int_eq(il_registry_add_folder(r, "plugins", false, &err), IL_ERR_INPUT);
    expect_in(err.message, "expected an absolute folder");
    err = (il_error){0};
    ck_assert_int_eq(il_registry_add_folder(r, "/nowhere/at/all", true, &err),
                     IL_ERR_INPUT);
    err = (il_error){0};
    ck_assert_int_eq(il_registry_add_folder(r, "/nowhere/at/all", false, &err), IL_OK);
    ck_assert_int_eq(chmod(folder, 0777), 0);
    ck_assert_int_eq(il_registry_add_folder(r, folder, false, &err), IL_ERR_INPUT);
    expect_in(err.message, "mode 0777");
    ck_assert_int_eq(chmod(folder, 0700), 0);
    il_registry_destroy(r);
}
END_TEST

START_TEST(no_plugins_at_all_is_said)
{
    il_registry *r = registry_of(folder);
    const il_offer *o = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_registry_find(r, IL_KIND_MODEL, "gpt", "", &o, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "there is no model on offer (0 plugin files found)");
    il_registry_destroy(r);
}
END_TEST

/* Runs in the folder. SECTION puts the file `m` in as manifest, MANIFEST prints the
 * one that is there. */
static const char prelude[] =
    "cd '%s' && F=file.so && "
    "SECTION='objcopy --remove-section=.interloop --add-section .interloop=m "
    "--set-section-flags .interloop=noload,readonly file.so' && "
    "MANIFEST='%s plugin inspect --json file.so'\n";
#define TEXT_OF(number) #number
#define TEXT(macro)     TEXT_OF(macro)
#define MINOR           TEXT(IL_ABI_MINOR)
#define ABI             TEXT(IL_ABI_MAJOR) "." MINOR
#define LEAST           "(host minor " TEXT(IL_ABI_MINOR_HOST) ")"
static const char loadable[] =
    "echo '{\"schema\":1,\"space\":\"x\",\"version\":\"1.0.0\",\"abi\":"
    "{\"major\":1,\"minor\":" MINOR ",\"host_minor_min\":0}}' >m; $SECTION";

/* What is to be refused: how it is made from which flags, and what the reason says. */
typedef struct hostile {
    const char *flags; /* NULL: the valid plugin, changed by `then` */
    bool stamped;
    const char *then; /* a line of shell in the folder; $F is the file */
    const char *reason;
} hostile;

static const hostile table[] = {
    {"-DMAGIC=\"'N','O','P','L','U','G','I','N'\"", false, NULL,
     "does not begin with \"ILPLUGIN\""},
    {"-DMAJOR=9", false, NULL, "built for ABI 9." MINOR ", this host has " ABI},
    {"-DMINOR=77 -DLEAST=77", false, NULL,
     "needs a host with ABI 1.77 or newer, this host has " ABI},
    {"-DFORK=3", false, NULL, "fork 3"},
    {"-DSIZE=40", false, NULL, "its entry says it has 40 bytes"},
    {"-DNOWHERE", false, NULL, "does not export il_plugin_entry"},
    {"-DFUNCTION", false, NULL, "il_plugin_entry is no data"},
    {"-DSMALL", false, NULL, "il_plugin_entry is no data"},
    {"", false, NULL, "has no manifest: interloop plugin stamp"},
    {"-DUNDEFINED", false, NULL, "needs the symbol json_object"},
    {"-DOTHER -L. -lother", false, NULL, "needs the library libother.so"},
    {"-Wl,-rpath,/anywhere", false, NULL, "has an RPATH or RUNPATH"},
    {"-Wl,-z,execstack", false, NULL, "wants an executable stack"},
    {"-DROUND", false, loadable, "changes the floating-point environment"},
#if defined(__x86_64__)
    {"-DFLUSH", false, loadable, "changes the floating-point environment"},
#endif
    {"-DSCORE=NULL", false, loadable, "a detector needs `create` and `score`"},
    {"-DSPACE=NULL", false, loadable, "expected a namespace"},
    {NULL, true, "chmod o+w $F", "everybody may write to this file"},
    {NULL, true, "mv $F real; ln -s real $F", "is a symbolic link"},
    {NULL, true, "rm $F; mkdir $F", "expected a regular file"},
    {NULL, true, "rm $F; mkfifo -m 600 $F", "expected a regular file"},
    {NULL, true, "echo 'not a plugin' >$F", "expected an ELF file"},
    {NULL, true, ": >$F", "expected an ELF file"},
    {NULL, true, "head -c 300 $F >t; mv t $F", "lies outside the file"},
    {NULL, true, "printf '\\001' | dd of=$F bs=1 seek=4 conv=notrunc 2>/dev/null",
     "expected a 64-bit"},
    {NULL, true, "printf '\\050' | dd of=$F bs=1 seek=18 conv=notrunc 2>/dev/null",
     "machine 40"},
    {NULL, true, "echo '{' >m; $SECTION", "its manifest is no JSON"},
    {NULL, true, "echo '{\"schema\":99}' >m; $SECTION", "its manifest has schema 99"},
    {NULL, true, "echo '{\"schema\":1}' >m; $SECTION", "no `space` or no `version`"},
    {NULL, true, "$MANIFEST | sed s/1.2.3/1.2.4/ >m; $SECTION",
     "disagrees with its code on `version`: 1.2.4 in the manifest, in the code 1.2.3"},
    {NULL, true, "$MANIFEST | sed 's/how wide/how tall/' >m; $SECTION",
     "disagrees with its code on `components`"},
    {NULL, true, "$MANIFEST | sed 's/.major.:1/\"major\":2/' >m; $SECTION",
     "ABI 2." MINOR " " LEAST " in the manifest, " ABI " " LEAST " in the code"},
    {NULL, true, "$MANIFEST | sed 's/^{/{\"more\":1,/' >m; $SECTION",
     "says more than its code"},
};

START_TEST(a_hostile_file_is_refused_with_its_reason)
{
    const hostile *h = &table[_i];
    il_registry *r;

    if (h->flags != NULL) {
        char flags[512];

        (void)snprintf(flags, sizeof flags, "%s -L'%s'", h->flags, folder);
        if (strstr(h->flags, "-lother") != NULL) {
            char line[512];

            (void)snprintf(
                line, sizeof line,
                "echo 'int other(void); int other(void) { return 0; }' | %s -x "
                "c -shared -fPIC - -o '%s/libother.so' -Wl,-soname,libother.so",
                from_environment("CC", "cc"), folder);
            shell(line);
        }
        build(folder, "file", "hostile", flags);
        (void)snprintf(flags, sizeof flags, "%s/libother.so", folder);
        (void)unlink(flags);
    } else {
        build(folder, "file", "three", "");
    }
    if (h->stamped) {
        stamp(folder, "file");
    }
    if (h->then != NULL) {
        char line[2048];

        (void)snprintf(line, sizeof line, prelude, folder,
                       from_environment("INTERLOOP", "build/interloop"));
        (void)snprintf(line + strlen(line), sizeof line - strlen(line), "%s", h->then);
        shell(line);
    }
    r = registry_of(folder);
    ck_assert_uint_eq(il_registry_files(r), 1);
    ck_assert_uint_eq(il_registry_offers(r), 0);
    ck_assert_ptr_null(il_registry_file(r, 0)->entry);
    expect_in(il_registry_file(r, 0)->refused, h->reason);
    il_registry_destroy(r);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("registry");

    tcase_add_checked_fixture(tc, make_folder, drop_folder);
    tcase_add_test(tc, a_valid_plugin_is_found_with_all_that_it_offers);
    tcase_add_test(tc, every_plugin_that_is_built_here_is_usable);
    tcase_add_test(tc, a_component_that_is_not_there_is_explained);
    tcase_add_test(tc, one_id_in_two_files_is_an_error_that_names_both);
    tcase_add_test(tc, folders_must_be_absolute_there_and_safe);
    tcase_add_test(tc, no_plugins_at_all_is_said);
    tcase_add_loop_test(tc, a_hostile_file_is_refused_with_its_reason, 0,
                        (int)(sizeof table / sizeof table[0]));
    return run_plugin_case(tc);
}
