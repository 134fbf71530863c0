/* Reading ELF files that lie about themselves: any bytes may be given, and nothing
 * outside them is read (the bytes stand at the end of an allocation of their size). */
#include "plugin/elf.h"
#include "support.h"
#include "interloop/rng.h"

static char *good;
static size_t good_size;

/* Built and stamped once; the tests fork. */
static void make_good(void)
{
    char folder[64];
    char path[128];
    il_error err = {0};

    folder_make(folder);
    build(folder, "good", "three", "");
    stamp(folder, "good");
    (void)snprintf(path, sizeof path, "%s/good.so", folder);
    ck_assert_int_eq(il_file_read(path, 1 << 24, &good, &good_size, &err), IL_OK);
    folder_drop(folder);
}

static void drop_good(void)
{
    free(good);
}

/* Reads a copy of exactly `size` bytes, and every string of it, as a loader would. */
static il_status read_copy(const char *data, size_t size, il_error *err)
{
    char *copy = malloc(size > 0 ? size : 1);
    volatile size_t sum = 0;
    il_status status;
    size_t cursor = 0;
    const char *symbol;
    il_elf elf;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    status = il_elf_read(&elf, copy, size, "x.so", err);
    if (status == IL_OK) {
        for (size_t i = 0; i < elf.needed_count; i++) {
            sum += strlen(elf.needed[i]);
        }
        while ((symbol = il_elf_undefined(&elf, &cursor)) != NULL) {
            sum += strlen(symbol);
        }
        for (size_t i = 0; i < elf.manifest_size; i++) {
            sum += (unsigned char)elf.manifest[i];
        }
        for (size_t i = 0; elf.entry != NULL && i < elf.entry_size; i++) {
            sum += elf.entry[i];
        }
    }
    (void)sum; /* volatile, so that every byte was read */
    free(copy);
    return status;
}

START_TEST(a_plugin_shows_its_entry_manifest_and_libraries)
{
    size_t cursor = 0;
    il_error err = {0};
    il_elf elf;

    ck_assert_msg(il_elf_read(&elf, good, good_size, "x.so", &err) == IL_OK, "%s",
                  err.message);
    ck_assert(elf.native);
    ck_assert_int_eq(elf.entry_kind, IL_ELF_ENTRY_OBJECT);
    ck_assert_uint_eq(elf.entry_size, sizeof(il_plugin));
    ck_assert_mem_eq(elf.entry, "ILPLUGIN", 8);
    ck_assert_uint_ge(elf.needed_count, 1);
    ck_assert_str_eq(elf.needed[elf.needed_count - 1], "libc.so.6");
    ck_assert_int_eq(elf.manifest[0], '{');
    ck_assert(!elf.text_relocations && !elf.executable_stack && !elf.search_path);
    ck_assert_ptr_null(il_elf_undefined(&elf, &cursor));
}
END_TEST

/* Gives the first entry of the dynamic section with tag `from` the tag `to`. */
static void retag(char *bytes, uint64_t from, uint64_t to)
{
    for (size_t at = 0; at + 16 <= good_size; at += 8) {
        uint64_t tag;

        memcpy(&tag, bytes + at, sizeof tag);
        if (tag == from) {
            memcpy(bytes + at, &to, sizeof to);
            return;
        }
    }
    ck_abort_msg("there is no tag %llx", (unsigned long long)from);
}

START_TEST(what_makes_loading_unsafe_is_seen)
{
    enum { RELACOUNT = 0x6ffffff9, TEXTREL = 22, RPATH = 15, RUNPATH = 29 };
    enum { AUDIT = 0x6ffffefc };
    char *bytes = malloc(good_size);
    il_error err = {0};
    size_t needed;
    il_elf elf;

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, good, good_size);
    retag(bytes, RELACOUNT, TEXTREL);
    ck_assert_int_eq(il_elf_read(&elf, bytes, good_size, "x.so", &err), IL_OK);
    ck_assert(elf.text_relocations);
    needed = elf.needed_count;
    retag(bytes, TEXTREL, RPATH);
    ck_assert_int_eq(il_elf_read(&elf, bytes, good_size, "x.so", &err), IL_OK);
    ck_assert(elf.search_path && !elf.text_relocations);
    retag(bytes, RPATH, RUNPATH);
    ck_assert_int_eq(il_elf_read(&elf, bytes, good_size, "x.so", &err), IL_OK);
    ck_assert(elf.search_path);
    /* An auditor is one more library that loading the file would run. */
    retag(bytes, RUNPATH, AUDIT);
    ck_assert_int_eq(il_elf_read(&elf, bytes, good_size, "x.so", &err), IL_OK);
    ck_assert_uint_eq(elf.needed_count, needed + 1);
    free(bytes);
}
END_TEST

START_TEST(a_truncated_file_is_refused_at_every_length)
{
    for (size_t size = 0; size < good_size; size += size < 4096 ? 1 : 61) {
        il_error err = {0};

        ck_assert_msg(read_copy(good, size, &err) == IL_ERR_INPUT, "%zu bytes", size);
        ck_assert_int_ne(err.message[0], '\0');
    }
}
END_TEST

START_TEST(damaged_bytes_are_read_without_harm)
{
    char *bytes = malloc(good_size);
    il_rng rng;
    size_t refused = 0;

    ck_assert_ptr_nonnull(bytes);
    il_rng_open(&rng, 7, 0, IL_RNG_PLUGIN, 0, 0);
    for (int i = 0; i < 20000; i++) {
        il_error err = {0};
        /* Headers, the dynamic section and the section table are where it hurts. */
        size_t span = i % 2 == 0 ? 1024 : good_size;
        int count = 1 + i % 4;

        memcpy(bytes, good, good_size);
        for (int k = 0; k < count; k++) {
            size_t at = il_rng_u32(&rng) % span;

            bytes[i % 3 == 0 ? good_size - 1 - at : at] = (char)il_rng_u32(&rng);
        }
        refused += read_copy(bytes, good_size, &err) != IL_OK;
    }
    ck_assert_uint_gt(refused, 1000);
    free(bytes);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("elf");

    tcase_add_unchecked_fixture(tc, make_good, drop_good);
    tcase_add_test(tc, a_plugin_shows_its_entry_manifest_and_libraries);
    tcase_add_test(tc, what_makes_loading_unsafe_is_seen);
    tcase_add_test(tc, a_truncated_file_is_refused_at_every_length);
    tcase_add_test(tc, damaged_bytes_are_read_without_harm);
    return run_plugin_case(tc);
}
