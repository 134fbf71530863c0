/* Bundles: a good one, and what is done to it that must be refused, each for its own
 * reason. */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "bundle/bundle.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/hash.h"
#include "base/text.h"

enum { MEMBERS = 16 };

/* A bundle in pieces, to be spoilt. */
typedef struct pieces {
    char *names[MEMBERS];
    char *data[MEMBERS];
    size_t sizes[MEMBERS];
    size_t count;
} pieces;

static char folder[64];
static char good_path[96];
static char path[96];
static il_secret_key key;
static il_public_key public_key;

static const char *plugin(void)
{
    static char text[4096];
    const char *build = getenv("IL_BUILD");

    (void)snprintf(text, sizeof text, "%s/plugins/lda.so",
                   build != NULL ? build : "build");
    return text;
}

static void make_key(void)
{
    char *public_text = NULL;
    char *secret_text = NULL;
    size_t count = 0;
    il_error err = {0};

    ck_assert_int_eq(il_key_make(&public_text, &secret_text, &err), IL_OK);
    ck_assert_int_eq(
        il_public_keys_read(public_text, "key", &public_key, 1, &count, &err), IL_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(il_secret_key_read(secret_text, "key", NULL, &key, &err), IL_OK);
    free(public_text);
    free(secret_text);
}

static void open_folder(void)
{
    il_error err = {0};
    char readme[96];
    il_bundle_file files[] = {{"README.md", readme}, {"weights/a.txt", readme}};
    const char *libraries[] = {plugin()};
    il_bundle_recipe recipe = {.libraries = libraries,
                               .library_count = 1,
                               .files = files,
                               .file_count = 2,
                               .key = &key};

    strcpy(folder, "/tmp/il_bundle_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(readme, sizeof readme, "%s/README.md", folder);
    (void)snprintf(good_path, sizeof good_path, "%s/good.ilb", folder);
    (void)snprintf(path, sizeof path, "%s/bad.ilb", folder);
    ck_assert_int_eq(il_file_write(readme, "read me\n", 8, &err), IL_OK);
    make_key();
    ck_assert_msg(il_bundle_pack(good_path, &recipe, NULL, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
}

static void close_folder(void)
{
    il_error err = {0};

    (void)il_folder_remove(folder, &err);
}

/* ---- pieces --------------------------------------------------------------------- */

static void take(pieces *p)
{
    il_zip *zip = NULL;
    il_error err = {0};

    memset(p, 0, sizeof *p);
    ck_assert_int_eq(il_zip_open(&zip, good_path, &err), IL_OK);
    for (size_t i = 0; i < il_zip_count(zip); i++) {
        const il_zip_member *m = il_zip_at(zip, i);
        const void *data;

        ck_assert_int_eq(il_zip_data(zip, i, &data, &err), IL_OK);
        p->names[i] = strdup(m->name);
        p->sizes[i] = (size_t)m->bytes;
        p->data[i] = malloc(p->sizes[i] + 1);
        memcpy(p->data[i], data, p->sizes[i]);
        p->data[i][p->sizes[i]] = '\0';
    }
    p->count = il_zip_count(zip);
    il_zip_close(zip);
}

static size_t at(const pieces *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->names[i], name) == 0) {
            return i;
        }
    }
    ck_abort_msg("no piece '%s'", name);
    return 0;
}

static void replace(pieces *p, const char *name, char *text)
{
    size_t i = at(p, name);

    free(p->data[i]);
    p->data[i] = text;
    p->sizes[i] = strlen(text);
}

static void add(pieces *p, const char *name, const char *text)
{
    p->names[p->count] = strdup(name);
    p->data[p->count] = strdup(text);
    p->sizes[p->count++] = strlen(text);
}

static void drop(pieces *p, const char *name)
{
    size_t i = at(p, name);

    free(p->names[i]);
    free(p->data[i]);
    p->count--;
    p->names[i] = p->names[p->count];
    p->data[i] = p->data[p->count];
    p->sizes[i] = p->sizes[p->count];
}

static void rename_piece(pieces *p, const char *from, const char *to)
{
    size_t i = at(p, from);

    free(p->names[i]);
    p->names[i] = strdup(to);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Makes the sums say what the pieces are, as somebody would who wants a spoilt bundle
 * taken for a good one. */
static void sum(pieces *p)
{
    char *names[MEMBERS];
    il_text text = {0};

    for (size_t i = 0; i < p->count; i++) {
        names[i] = p->names[i];
    }
    qsort(names, p->count, sizeof *names, by_name);
    for (size_t i = 0; i < p->count; i++) {
        size_t k = at(p, names[i]);
        char hash[IL_HASH_HEX];

        if (strncmp(names[i], "SHA256SUMS", 10) != 0) {
            il_hash_bytes(p->data[k], p->sizes[k], hash);
            il_text_addf(&text, "%s  %s\n", hash, names[i]);
        }
    }
    replace(p, "SHA256SUMS", text.data);
}

static void put(const pieces *p)
{
    il_zip_source members[MEMBERS] = {{0}};
    il_error err = {0};

    for (size_t i = 0; i < p->count; i++) {
        members[i].name = p->names[i];
        members[i].data = p->data[i];
        members[i].data_bytes = p->sizes[i];
    }
    ck_assert_msg(il_zip_write(path, members, p->count, &err) == IL_OK, "%s",
                  err.message);
}

static void done(pieces *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->names[i]);
        free(p->data[i]);
    }
}

/* A text with its first `from` replaced; malloc'ed. */
static char *with(const char *text, const char *from, const char *to)
{
    const char *hit = strstr(text, from);
    il_text out = {0};

    ck_assert_msg(hit != NULL, "no '%s' in: %s", from, text);
    il_text_add_bytes(&out, text, (size_t)(hit - text));
    il_text_add(&out, to);
    il_text_add(&out, hit + strlen(from));
    return out.data;
}

/* ---- good ----------------------------------------------------------------------- */

START_TEST(a_bundle_says_who_it_is_and_who_signed_it)
{
    il_public_key other = public_key;
    il_error err = {0};
    il_bundle b;
    const void *data;
    size_t size;

    ck_assert_msg(il_bundle_open(&b, good_path, &err) == IL_OK, "%s", err.message);
    ck_assert_str_eq(b.id, "interloop.lda");
    ck_assert_str_eq(b.version, "1.0.0");
    ck_assert(b.is_signed);
    ck_assert_str_eq(b.signature.comment, "interloop bundle interloop.lda 1.0.0");
    ck_assert_ptr_eq(il_bundle_signer(&b, &public_key, 1), &public_key);
    other.key[0] ^= 1;
    ck_assert_ptr_null(il_bundle_signer(&b, &other, 1));
    ck_assert_ptr_nonnull(strstr(il_bundle_library(&b), "/lda.so"));
    ck_assert_int_eq(il_bundle_file_data(&b, "README.md", &data, &size, &err), IL_OK);
    ck_assert_mem_eq(data, "read me\n", size);
    ck_assert_int_eq(il_bundle_file_data(&b, "schema.json", &data, &size, &err), IL_OK);
    il_bundle_close(&b);
}
END_TEST

START_TEST(the_same_files_make_the_same_bundle)
{
    const char *libraries[] = {plugin()};
    il_bundle_recipe recipe = {.libraries = libraries, .library_count = 1, .key = &key};
    char *texts[2];
    size_t sizes[2];
    il_error err = {0};

    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(il_bundle_pack(path, &recipe, NULL, &err), IL_OK);
        ck_assert_int_eq(il_file_read(path, 1 << 28, &texts[i], &sizes[i], &err),
                         IL_OK);
    }
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert_mem_eq(texts[0], texts[1], sizes[0]);
    free(texts[0]);
    free(texts[1]);
}
END_TEST

START_TEST(packing_refuses_what_is_no_plugin_and_leaves_nothing)
{
    const char *libraries[] = {good_path};
    il_bundle_file outside = {"../README.md", good_path};
    il_bundle_recipe recipe = {.libraries = libraries, .library_count = 1};
    il_error err = {0};

    ck_assert_int_eq(il_bundle_pack(path, &recipe, NULL, &err), IL_ERR_INPUT);
    ck_assert(!il_file_exists(path));
    libraries[0] = plugin();
    recipe.files = &outside;
    recipe.file_count = 1;
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_bundle_pack(path, &recipe, NULL, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "begins with a dot"));
    ck_assert(!il_file_exists(path));
}
END_TEST

/* ---- bad ------------------------------------------------------------------------ */

static void no_sums(pieces *p)
{
    drop(p, "SHA256SUMS");
}
static void leads_out(pieces *p)
{
    add(p, "../evil", "x");
    sum(p);
}
static void leads_out_later(pieces *p)
{
    add(p, "weights/../../evil", "x");
    sum(p);
}
static void absolute(pieces *p)
{
    add(p, "/etc/evil", "x");
    sum(p);
}
static void backslash(pieces *p)
{
    add(p, "weights\\evil", "x");
    sum(p);
}
static void hidden(pieces *p)
{
    add(p, ".profile", "x");
    sum(p);
}
static void empty_part(pieces *p)
{
    add(p, "weights//evil", "x");
    sum(p);
}
static void control(pieces *p)
{
    add(p, "evil\033[2J", "x");
    sum(p);
}
static void in_a_file(pieces *p)
{
    add(p, "README.md/evil", "x");
    sum(p);
}
static void unlisted(pieces *p)
{
    add(p, "extra.md", "x");
}
static void missing(pieces *p)
{
    drop(p, "weights/a.txt");
}
static void changed(pieces *p)
{
    replace(p, "README.md", strdup("read you\n"));
}
static void bad_line(pieces *p)
{
    size_t i = at(p, "SHA256SUMS");

    p->data[i][3] = 'g';
}
static void unsorted(pieces *p)
{
    size_t i = at(p, "SHA256SUMS");
    char *first = strndup(p->data[i], strcspn(p->data[i], "\n") + 1);
    il_text text = {0};

    il_text_addf(&text, "%s%s", p->data[i], first);
    free(first);
    replace(p, "SHA256SUMS", text.data);
}
static void no_about(pieces *p)
{
    drop(p, "bundle.json");
    sum(p);
}
static void about_is_no_json(pieces *p)
{
    replace(p, "bundle.json", strdup("{\"format\": 1,"));
    sum(p);
}
static void about_twice(pieces *p)
{
    replace(p, "bundle.json",
            with(p->data[at(p, "bundle.json")], "\"format\": 1",
                 "\"format\": 1, \"format\": 1"));
    sum(p);
}
static void newer_format(pieces *p)
{
    replace(p, "bundle.json",
            with(p->data[at(p, "bundle.json")], "\"format\": 1", "\"format\": 2"));
    sum(p);
}
static void other_id(pieces *p)
{
    replace(
        p, "bundle.json",
        with(p->data[at(p, "bundle.json")], "\"interloop.lda\"", "\"interloop.gpt\""));
    sum(p);
}
static void id_is_a_path(pieces *p)
{
    replace(p, "bundle.json",
            with(p->data[at(p, "bundle.json")], "\"interloop.lda\"",
                 "\"interloop.gpt/lib.lda\""));
    sum(p);
}
static void case_alone(pieces *p)
{
    add(p, "readme.MD", "x");
    sum(p);
}
static void other_version(pieces *p)
{
    replace(p, "bundle.json",
            with(p->data[at(p, "bundle.json")], "\"version\": \"1.0.0\"",
                 "\"version\": \"9.0.0\""));
    sum(p);
}
static void other_target(pieces *p)
{
    replace(p, "bundle.json",
            with(p->data[at(p, "bundle.json")], il_bundle_target(), "riscv64-linux"));
    sum(p);
}
static void other_author(pieces *p)
{
    replace(
        p, "bundle.json",
        with(p->data[at(p, "bundle.json")], "\"author\": \"", "\"author\": \"not "));
    sum(p);
}
static void no_plugin(pieces *p)
{
    char name[96];

    (void)snprintf(name, sizeof name, "lib/%s/lda.so", il_bundle_target());
    p->sizes[at(p, name)] = 4096; /* cut short */
    sum(p);
}
static void other_name(pieces *p)
{
    char name[96];

    (void)snprintf(name, sizeof name, "lib/%s/lda.so", il_bundle_target());
    rename_piece(p, name, "lib/lda.so");
    sum(p);
}
static void old_signature(pieces *p)
{
    size_t i = at(p, "SHA256SUMS.minisig");
    char *line = strchr(p->data[i], '\n') + 1;

    memcpy(line, "RWT", 3); /* "Ed" and the first bits of the id */
}
static void for_another(pieces *p)
{
    size_t i = at(p, "SHA256SUMS");
    char *text = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_signature_write(&key, p->data[i], p->sizes[i],
                                        "interloop bundle interloop.lda 2.0.0", &text,
                                        &err),
                     IL_OK);
    replace(p, "SHA256SUMS.minisig", text);
}
static void no_signature(pieces *p)
{
    replace(p, "SHA256SUMS.minisig", strdup("untrusted comment: x\nAAAA\n"));
}

typedef struct bad {
    void (*spoil)(pieces *p);
    const char *reason;
} bad;

static const bad bads[] = {
    {no_sums, "the bundle has no such file"},
    {leads_out, "begins with a dot"},
    {leads_out_later, "begins with a dot"},
    {absolute, "no relative path"},
    {backslash, "no relative path"},
    {hidden, "begins with a dot"},
    {empty_part, "an empty part"},
    {control, "not printable"},
    {in_a_file, "lies inside another file"},
    {case_alone, "differs from another file in case alone"},
    {id_is_a_path, "that can be names of files"},
    {unlisted, "does not list 'extra.md'"},
    {missing, "lists 'weights/a.txt', which is not in the bundle"},
    {changed, "'README.md' was changed: expected SHA-256"},
    {bad_line, "line 1: expected a hash"},
    {unsorted, "sorted by names that differ"},
    {no_about, "the bundle has no such file"},
    {about_is_no_json, "bundle.json:1:"},
    {about_twice, "bundle.json:"},
    {newer_format, "expected format 1"},
    {other_id, "the id 'interloop.gpt' does not come from"},
    {other_version, "expected the version that the plugin has"},
    {other_target, "expected a library for riscv64-linux"},
    {other_author, "says other of itself than bundle.json does"},
    {no_plugin, NULL},
    {other_name, "the bundle has no such file"},
    {old_signature, "found the older kind"},
    {for_another, "the signature is for 'interloop bundle interloop.lda 2.0.0'"},
    {no_signature, "expected a minisign signature"},
};

START_TEST(a_spoilt_bundle_is_refused_for_its_own_reason)
{
    const bad *b = &bads[_i];
    il_bundle bundle;
    il_error err = {0};
    pieces p;

    take(&p);
    b->spoil(&p);
    put(&p);
    ck_assert_int_eq(il_bundle_open(&bundle, path, &err), IL_ERR_INPUT);
    ck_assert_msg(b->reason == NULL || strstr(err.message, b->reason) != NULL,
                  "expected '%s', got: %s", b->reason, err.message);
    ck_assert_ptr_null(bundle.zip);
    done(&p);
}
END_TEST

/* Changes bytes of the archive itself, which its writer would not. */
static void patch(void (*change)(unsigned char *data, size_t size), const char *reason)
{
    char *data = NULL;
    size_t size = 0;
    il_bundle bundle;
    il_error err = {0};

    ck_assert_int_eq(il_file_read(good_path, 1 << 28, &data, &size, &err), IL_OK);
    change((unsigned char *)data, size);
    ck_assert_int_eq(il_file_write(path, data, size, &err), IL_OK);
    ck_assert_int_eq(il_bundle_open(&bundle, path, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, reason) != NULL, "expected '%s', got: %s", reason,
                  err.message);
    free(data);
}

/* The directory's entry of a name. */
static unsigned char *entry_of(unsigned char *data, size_t size, const char *name)
{
    for (size_t i = size - 46; i > 0; i--) {
        if (memcmp(data + i, "PK\001\002", 4) == 0 &&
            memcmp(data + i + 46, name, strlen(name)) == 0) {
            return data + i;
        }
    }
    ck_abort_msg("no entry '%s'", name);
    return NULL;
}

static void make_link(unsigned char *data, size_t size)
{
    unsigned char *e = entry_of(data, size, "README.md");

    e[5] = 3;     /* made by Unix */
    e[41] = 0xA1; /* mode 0120777: a symbolic link */
    e[40] = 0xFF;
}

static void make_huge(unsigned char *data, size_t size)
{
    unsigned char *e = entry_of(data, size, "README.md");

    e[10] = 8; /* deflated, to nearly 4 GiB */
    memcpy(e + 24, "\xf0\xff\xff\xff", 4);
}

START_TEST(links_and_bombs_are_refused)
{
    patch(make_link, "is a link or no regular file");
    patch(make_huge, "README.md");
}
END_TEST

START_TEST(a_bundle_cut_short_anywhere_is_refused)
{
    char *data = NULL;
    size_t size = 0;
    il_error err = {0};

    ck_assert_int_eq(il_file_read(good_path, 1 << 28, &data, &size, &err), IL_OK);
    for (size_t cut = 0; cut < size; cut += 1 + size / 23) {
        il_bundle bundle;

        ck_assert_int_eq(il_file_write(path, data, cut, &err), IL_OK);
        ck_assert_int_eq(il_bundle_open(&bundle, path, &err), IL_ERR_INPUT);
        memset(&err, 0, sizeof err);
    }
    free(data);
}
END_TEST

START_TEST(a_signature_of_other_sums_is_nobody_s)
{
    il_bundle bundle;
    il_error err = {0};
    pieces p;

    take(&p);
    replace(&p, "README.md", strdup("read you\n"));
    sum(&p); /* consistent, and no longer what was signed */
    put(&p);
    ck_assert_int_eq(il_bundle_open(&bundle, path, &err), IL_OK);
    ck_assert(bundle.is_signed);
    ck_assert_ptr_null(il_bundle_signer(&bundle, &public_key, 1));
    il_bundle_close(&bundle);
    done(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bundle");
    TCase *tc = tcase_create("bundle");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, open_folder, close_folder);
    tcase_add_test(tc, a_bundle_says_who_it_is_and_who_signed_it);
    tcase_add_test(tc, the_same_files_make_the_same_bundle);
    tcase_add_test(tc, packing_refuses_what_is_no_plugin_and_leaves_nothing);
    tcase_add_loop_test(tc, a_spoilt_bundle_is_refused_for_its_own_reason, 0,
                        (int)(sizeof bads / sizeof bads[0]));
    tcase_add_test(tc, links_and_bombs_are_refused);
    tcase_add_test(tc, a_bundle_cut_short_anywhere_is_refused);
    tcase_add_test(tc, a_signature_of_other_sums_is_nobody_s);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
