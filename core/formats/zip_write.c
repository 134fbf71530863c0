/* The writer: every member stored, its sizes known before its header is written. */
#include "formats/zip.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/files.h"
#include "base/text.h"
#include "formats/zip_private.h"

enum { NEEDS = 20, DATE = 0x21 /* 1 January 1980 */ };

static void put(il_text *t, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(value >> (8 * i) & 0xff);

        il_text_add_bytes(t, &byte, 1);
    }
}

static uint32_t checksum(const il_zip_source *m)
{
    uLong crc = crc32_z(0, (const Bytef *)m->head, m->head_bytes);

    /* a NULL would start zlib's checksum afresh */
    return (uint32_t)(m->data_bytes > 0
                          ? crc32_z(crc, (const Bytef *)m->data, m->data_bytes)
                          : crc);
}

/* What both headers of a member say, from the version needed to the extras' length. */
static void put_facts(il_text *t, const il_zip_source *m, uint32_t crc)
{
    uint64_t size = (uint64_t)m->head_bytes + m->data_bytes;

    put(t, NEEDS, 2);
    put(t, 0, 2); /* flags */
    put(t, 0, 2); /* stored */
    put(t, 0, 2);
    put(t, DATE, 2);
    put(t, crc, 4);
    put(t, size, 4);
    put(t, size, 4);
    put(t, strlen(m->name), 2);
    put(t, 0, 2);
}

/* Whether all of it fits the 32-bit form; names are told apart. */
static il_status check(const char *path, const il_zip_source *members, size_t count,
                       il_error *err)
{
    uint64_t all = 0;

    for (size_t i = 0; i < count; i++) {
        size_t name = strlen(members[i].name);

        for (size_t j = 0; j < i; j++) {
            if (strcmp(members[i].name, members[j].name) == 0) {
                return il_error_set(err, IL_ERR_INPUT, path,
                                    "member '%s' is there twice", members[i].name);
            }
        }
        if (name == 0 || name > 0xffff) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "member %zu: expected a name of 1 to 65535 bytes", i);
        }
        all += ZIP_LOCAL + ZIP_ENTRY + 2 * name;
        if (members[i].head_bytes >= ZIP_64 || members[i].data_bytes >= ZIP_64) {
            all = ZIP_64;
            break;
        }
        all += members[i].head_bytes + members[i].data_bytes;
    }
    if (count >= 0xffff || all >= ZIP_64 - ZIP_END) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "does not fit a zip archive of 65535 members and 4 GiB: "
                            "write safetensors");
    }
    return IL_OK;
}

/* The member's head in the file, and its entry, `at` being where the head begins. */
static void put_member(il_text *head, il_text *directory, const il_zip_source *m,
                       uint64_t at)
{
    uint32_t crc = checksum(m);

    put(head, ZIP_LOCAL_MARK, 4);
    put_facts(head, m, crc);
    il_text_add(head, m->name);
    put(directory, ZIP_ENTRY_MARK, 4);
    put(directory, NEEDS, 2);
    put_facts(directory, m, crc);
    put(directory, 0, 6); /* no comment, disk 0, no attributes */
    put(directory, 0, 4); /* nor any of the system that made it */
    put(directory, at, 4);
    il_text_add(directory, m->name);
}

/* The end record of a directory that begins at `at`. */
static void put_end(il_text *directory, size_t count, uint64_t at)
{
    uint64_t size = directory->size;

    put(directory, ZIP_END_MARK, 4);
    put(directory, 0, 4);
    put(directory, count, 2);
    put(directory, count, 2);
    put(directory, size, 4);
    put(directory, at, 4);
    put(directory, 0, 2);
}

il_status il_zip_write(const char *path, const il_zip_source *members, size_t count,
                       il_error *err)
{
    il_file_part *parts = NULL;
    il_text *heads = NULL;
    il_text directory = {0};
    uint64_t at = 0;
    bool failed = false;
    il_status status = check(path, members, count, err);

    if (status != IL_OK) {
        return status;
    }
    parts = calloc(3 * count + 1, sizeof *parts);
    heads = calloc(count + 1, sizeof *heads);
    if (parts == NULL || heads == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        const il_zip_source *m = &members[i];

        put_member(&heads[i], &directory, m, at);
        failed = failed || heads[i].failed;
        parts[3 * i] = (il_file_part){heads[i].data, heads[i].size};
        parts[3 * i + 1] = (il_file_part){m->head, m->head_bytes};
        parts[3 * i + 2] = (il_file_part){m->data, m->data_bytes};
        at += heads[i].size + m->head_bytes + m->data_bytes;
    }
    put_end(&directory, count, at);
    if (failed || directory.failed) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        goto out;
    }
    parts[3 * count] = (il_file_part){directory.data, directory.size};
    status = il_file_write_parts(path, parts, 3 * count + 1, err);
out:
    for (size_t i = 0; heads != NULL && i < count; i++) {
        il_text_free(&heads[i]);
    }
    free(heads);
    il_text_free(&directory);
    free(parts);
    return status;
}
