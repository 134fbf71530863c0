#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "base/files.h"
#include "formats/zip.h"

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-zip-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the test's folder; valid until the next call. */
static const char *in_folder(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* An archive that is put together by hand. */
typedef struct made {
    unsigned char bytes[8192];
    size_t size;
    size_t entries; /* where the directory begins */
} made;

static void put(made *m, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        m->bytes[m->size++] = (unsigned char)(i < 8 ? value >> (8 * i) & 0xff : 0);
    }
}

static void put_bytes(made *m, const void *bytes, size_t size)
{
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

/* What a member's headers say; by default the truth. */
typedef struct says {
    const char *name;
    const void *packed;
    uint64_t packed_bytes, bytes;
    uint32_t crc;
    int method;
    int flags;
    uint64_t begin;
    bool wide; /* the directory keeps the sizes and the place in 64 bits */
} says;

static void put_local(made *m, says *s)
{
    s->begin = m->size;
    put(m, 0x04034b50, 4);
    put(m, 20, 2);
    put(m, (uint64_t)s->flags, 2);
    put(m, (uint64_t)s->method, 2);
    put(m, 0, 4);
    put(m, s->crc, 4);
    put(m, s->packed_bytes, 4);
    put(m, s->bytes, 4);
    put(m, strlen(s->name), 2);
    put(m, 0, 2);
    put_bytes(m, s->name, strlen(s->name));
    put_bytes(m, s->packed, (size_t)s->packed_bytes);
}

static void put_entry(made *m, const says *s)
{
    if (m->entries == 0) {
        m->entries = m->size;
    }
    put(m, 0x02014b50, 4);
    put(m, 20, 2);
    put(m, 20, 2);
    put(m, (uint64_t)s->flags, 2);
    put(m, (uint64_t)s->method, 2);
    put(m, 0, 4);
    put(m, s->crc, 4);
    put(m, s->wide ? 0xffffffff : s->packed_bytes, 4);
    put(m, s->wide ? 0xffffffff : s->bytes, 4);
    put(m, strlen(s->name), 2);
    put(m, s->wide ? 28 : 0, 2);
    put(m, 0, 10);
    put(m, s->wide ? 0xffffffff : s->begin, 4);
    put_bytes(m, s->name, strlen(s->name));
    if (s->wide) {
        put(m, 1, 2);
        put(m, 24, 2);
        put(m, s->bytes, 8);
        put(m, s->packed_bytes, 8);
        put(m, s->begin, 8);
    }
}

static void put_end(made *m, uint64_t count)
{
    uint64_t size = m->size - m->entries;

    put(m, 0x06054b50, 4);
    put(m, 0, 4);
    put(m, count, 2);
    put(m, count, 2);
    put(m, size, 4);
    put(m, m->entries, 4);
    put(m, 0, 2);
}

static says stored(const char *name, const char *text)
{
    size_t n = strlen(text);

    return (says){.name = name,
                  .packed = text,
                  .packed_bytes = n,
                  .bytes = n,
                  .crc = (uint32_t)crc32(0, (const Bytef *)text, (uInt)n)};
}

/* The same, deflated into `room`. */
static says deflated(const char *name, const char *text, unsigned char room[512])
{
    says s = stored(name, text);
    z_stream z = {0};

    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    z.next_in = (z_const Bytef *)text;
    z.avail_in = (uInt)strlen(text);
    z.next_out = room;
    z.avail_out = 512;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    s.method = Z_DEFLATED;
    s.packed = room;
    s.packed_bytes = 512 - z.avail_out;
    ck_assert_int_eq(deflateEnd(&z), Z_OK);
    return s;
}

/* Without the care of il_file_write, which waits for the disk: hundreds are opened. */
static il_status open_bytes(il_zip **zip, const void *bytes, size_t size, il_error *err)
{
    FILE *out;

    (void)unlink(in_folder("file")); /* cutting a file short waits too */
    out = fopen(in_folder("file"), "wb");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    ck_assert_int_eq(fclose(out), 0);
    return il_zip_open(zip, in_folder("file"), err);
}

static void refused_bytes(const made *m, const char *word)
{
    il_zip *zip = NULL;
    il_error err = {0};

    ck_assert_int_eq(open_bytes(&zip, m->bytes, m->size, &err), IL_ERR_INPUT);
    ck_assert_ptr_null(zip);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_str_eq(err.where, in_folder("file"));
}

/* An archive of one member that says what `s` does. */
static made one(says s)
{
    made m = {.size = 0};

    put_local(&m, &s);
    put_entry(&m, &s);
    put_end(&m, 1);
    return m;
}

static void holds(il_zip *zip, size_t i, const char *name, const char *text)
{
    const void *data = NULL;
    il_error err = {0};

    ck_assert_str_eq(il_zip_at(zip, i)->name, name);
    ck_assert_uint_eq(il_zip_at(zip, i)->bytes, strlen(text));
    ck_assert_msg(il_zip_data(zip, i, &data, &err) == IL_OK, "%s", err.message);
    ck_assert_mem_eq(data, text, strlen(text));
}

START_TEST(what_was_written_is_read_back)
{
    const il_zip_source members[] = {{"b", "he", 2, "llo", 3}, {"a", "", 0, NULL, 0}};
    il_zip *zip = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_zip_write(in_folder("file"), members, 2, &err), IL_OK);
    ck_assert_msg(il_zip_open(&zip, in_folder("file"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_uint_eq(il_zip_count(zip), 2);
    holds(zip, 0, "b", "hello");
    holds(zip, 1, "a", "");
    il_zip_close(zip);
    il_zip_close(NULL);
}
END_TEST

START_TEST(an_archive_of_nothing_is_one)
{
    il_zip *zip = NULL;

    ck_assert_int_eq(il_zip_write(in_folder("file"), NULL, 0, NULL), IL_OK);
    ck_assert_int_eq(il_zip_open(&zip, in_folder("file"), NULL), IL_OK);
    ck_assert_uint_eq(il_zip_count(zip), 0);
    il_zip_close(zip);
}
END_TEST

START_TEST(writing_refuses_a_name_that_repeats)
{
    const il_zip_source members[] = {{"a", "x", 1, NULL, 0}, {"a", "y", 1, NULL, 0}};
    il_error err = {0};

    ck_assert_int_eq(il_zip_write(in_folder("file"), members, 2, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "twice"));
    ck_assert(!il_file_exists(in_folder("file")));
}
END_TEST

START_TEST(deflated_members_are_unpacked)
{
    unsigned char room[512];
    made m = one(deflated("a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", room));
    il_zip *zip = NULL;

    ck_assert_int_eq(open_bytes(&zip, m.bytes, m.size, NULL), IL_OK);
    holds(zip, 0, "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    holds(zip, 0, "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    il_zip_close(zip);
}
END_TEST

START_TEST(sizes_in_64_bits_are_read)
{
    says s = stored("a", "wide");
    il_zip *zip = NULL;
    made m;

    s.wide = true;
    m = one(s);
    ck_assert_int_eq(open_bytes(&zip, m.bytes, m.size, NULL), IL_OK);
    holds(zip, 0, "a", "wide");
    il_zip_close(zip);
}
END_TEST

START_TEST(an_end_record_in_64_bits_is_read)
{
    says s = stored("a", "wide");
    made m = {.size = 0};
    il_zip *zip = NULL;
    size_t at;

    put_local(&m, &s);
    put_entry(&m, &s);
    at = m.size;
    put(&m, 0x06064b50, 4);
    put(&m, 44, 8);
    put(&m, 20, 2);
    put(&m, 20, 2);
    put(&m, 0, 8); /* disks */
    put(&m, 1, 8);
    put(&m, 1, 8);
    put(&m, at - m.entries, 8);
    put(&m, m.entries, 8);
    put(&m, 0x07064b50, 4);
    put(&m, 0, 4);
    put(&m, at, 8);
    put(&m, 1, 4);
    put(&m, 0x06054b50, 4);
    put(&m, 0, 4);
    put(&m, 0xffff, 2);
    put(&m, 0xffff, 2);
    put(&m, 0xffffffff, 4);
    put(&m, 0xffffffff, 4);
    put(&m, 0, 2);
    ck_assert_int_eq(open_bytes(&zip, m.bytes, m.size, NULL), IL_OK);
    holds(zip, 0, "a", "wide");
    il_zip_close(zip);
    m.bytes[at] ^= 1;
    refused_bytes(&m, "not where its locator says");
}
END_TEST

START_TEST(every_cut_is_refused)
{
    unsigned char room[512];
    made m = one(deflated("member", "some text, some text, some text", room));

    for (size_t size = 0; size < m.size; size++) {
        il_zip *zip = NULL;
        il_error err = {0};

        ck_assert_int_eq(open_bytes(&zip, m.bytes, size, &err), IL_ERR_INPUT);
    }
}
END_TEST

START_TEST(no_changed_byte_is_fatal)
{
    unsigned char room[512];
    made m = one(deflated("member", "some text, some text, some text", room));

    for (size_t i = 0; i < m.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            il_zip *zip = NULL;
            il_error err = {0};
            const void *data = NULL;
            il_status status;

            m.bytes[i] ^= (unsigned char)(1 << bit);
            status = open_bytes(&zip, m.bytes, m.size, &err);
            if (status == IL_OK && il_zip_count(zip) > 0) {
                status = il_zip_data(zip, 0, &data, &err);
            }
            ck_assert(status == IL_OK || status == IL_ERR_INPUT);
            il_zip_close(zip);
            m.bytes[i] ^= (unsigned char)(1 << bit);
        }
    }
}
END_TEST

START_TEST(a_changed_byte_of_the_data_is_noticed)
{
    made m = one(stored("a", "text"));
    il_zip *zip = NULL;
    il_error err = {0};
    const void *data = NULL;

    m.bytes[31] ^= 1; /* the header takes 30, the name one */
    ck_assert_int_eq(open_bytes(&zip, m.bytes, m.size, &err), IL_OK);
    ck_assert_int_eq(il_zip_data(zip, 0, &data, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'a': its checksum does not match"));
    il_zip_close(zip);
}
END_TEST

START_TEST(a_member_that_unpacks_to_another_size_is_refused)
{
    for (int less = -1; less <= 1; less += 2) {
        unsigned char room[512];
        says s = deflated("a", "text text text text text text", room);
        il_zip *zip = NULL;
        il_error err = {0};
        const void *data = NULL;
        made m;

        s.bytes = (uint64_t)((int64_t)s.bytes - less);
        m = one(s);
        ck_assert_int_eq(open_bytes(&zip, m.bytes, m.size, &err), IL_OK);
        ck_assert_int_eq(il_zip_data(zip, 0, &data, &err), IL_ERR_INPUT);
        ck_assert_ptr_nonnull(strstr(err.message, "does not unpack to the size"));
        il_zip_close(zip);
    }
}
END_TEST

START_TEST(an_archive_that_asks_for_too_much_is_refused_unopened)
{
    unsigned char room[512];
    says s = deflated("a", "text", room);
    made m;

    s.bytes = 0xf0000000; /* of some hundred bytes */
    m = one(s);
    refused_bytes(&m, "unpack to at most");
}
END_TEST

START_TEST(members_that_share_bytes_are_refused)
{
    says a = stored("a", "text");
    says b;
    made m = {.size = 0};

    put_local(&m, &a);
    b = a; /* a second entry for the same member, under a name that it has not */
    put_entry(&m, &a);
    put_entry(&m, &b);
    put_end(&m, 2);
    refused_bytes(&m, "overlaps another member");
}
END_TEST

START_TEST(a_name_that_repeats_is_refused)
{
    says a = stored("a", "text");
    says b = stored("a", "other");
    made m = {.size = 0};

    put_local(&m, &a);
    put_local(&m, &b);
    put_entry(&m, &a);
    put_entry(&m, &b);
    put_end(&m, 2);
    refused_bytes(&m, "'a': is there twice");
}
END_TEST

START_TEST(what_is_encrypted_or_packed_otherwise_is_refused)
{
    says s = stored("a", "text");
    made m;

    s.flags = 1;
    m = one(s);
    refused_bytes(&m, "'a': is encrypted");
    s.flags = 0;
    s.method = 12;
    m = one(s);
    refused_bytes(&m, "'a': expected it stored or deflated");
    s.method = 0;
    s.bytes = 3;
    m = one(s);
    refused_bytes(&m, "'a': is stored, with two different sizes");
}
END_TEST

START_TEST(headers_that_disagree_are_refused)
{
    made m = one(stored("a", "text"));

    m.bytes[30] = 'b';
    refused_bytes(&m, "differ in name or method");
    m = one(stored("a", "text"));
    m.bytes[0] = 'X';
    refused_bytes(&m, "its header is not where the directory says");
    m = one(stored("a", "text"));
    m.bytes[m.entries + 42] = 0xff; /* the member's place */
    refused_bytes(&m, "its header is not where the directory says");
    m = one(stored("a", "text"));
    m.bytes[m.entries + 20] = 0x40; /* both sizes */
    m.bytes[m.entries + 24] = 0x40;
    refused_bytes(&m, "past the end of the members");
}
END_TEST

START_TEST(a_directory_that_miscounts_is_refused)
{
    says s = stored("a", "text");
    made m = {.size = 0};

    put_local(&m, &s);
    put_entry(&m, &s);
    put_entry(&m, &s);
    put_end(&m, 1);
    refused_bytes(&m, "goes on past its last entry");
    m = (made){.size = 0};
    put_local(&m, &s);
    put_entry(&m, &s);
    put_end(&m, 60000);
    refused_bytes(&m, "fewer entries");
}
END_TEST

START_TEST(a_name_with_a_zero_is_refused)
{
    made m = one(stored("ab", "text"));

    m.bytes[31] = '\0';
    m.bytes[m.entries + 47] = '\0';
    refused_bytes(&m, "without zeros");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("zip");
    TCase *t = tcase_create("zip");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_was_written_is_read_back);
    tcase_add_test(t, an_archive_of_nothing_is_one);
    tcase_add_test(t, writing_refuses_a_name_that_repeats);
    tcase_add_test(t, deflated_members_are_unpacked);
    tcase_add_test(t, sizes_in_64_bits_are_read);
    tcase_add_test(t, an_end_record_in_64_bits_is_read);
    tcase_add_test(t, every_cut_is_refused);
    tcase_add_test(t, no_changed_byte_is_fatal);
    tcase_add_test(t, a_changed_byte_of_the_data_is_noticed);
    tcase_add_test(t, a_member_that_unpacks_to_another_size_is_refused);
    tcase_add_test(t, an_archive_that_asks_for_too_much_is_refused_unopened);
    tcase_add_test(t, members_that_share_bytes_are_refused);
    tcase_add_test(t, a_name_that_repeats_is_refused);
    tcase_add_test(t, what_is_encrypted_or_packed_otherwise_is_refused);
    tcase_add_test(t, headers_that_disagree_are_refused);
    tcase_add_test(t, a_directory_that_miscounts_is_refused);
    tcase_add_test(t, a_name_with_a_zero_is_refused);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
