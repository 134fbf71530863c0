/* Zip archives, as far as files of arrays need them: stored and deflated members, one
 * disk, no encryption.
 *
 * The reader treats every archive as hostile. The central directory is what counts; it
 * must lie right before the end record, agree with each member's own header, and name
 * members that lie apart. What an archive says that it unpacks to is bounded before a
 * byte is unpacked, and each member must unpack to exactly what it says. */
#ifndef IL_FORMATS_ZIP_H
#define IL_FORMATS_ZIP_H

#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

typedef struct il_zip il_zip; /* an open archive */

typedef struct il_zip_member {
    const char *name; /* as in the archive; no two are the same */
    uint64_t bytes;   /* unpacked */
    uint32_t mode;    /* of a file under Unix, where the archive says so; else 0 */
} il_zip_member;

/* An archive may unpack to this many times its own size, and this much more: weights do
 * not pack well, and a file that claims to is no file of weights. */
#define IL_ZIP_RATIO 100
#define IL_ZIP_SLACK ((uint64_t)64 << 20)

/* Opens and checks an archive. What it hands out is borrowed from *out, which maps the
 * file. Anything wrong with the contents is IL_ERR_INPUT with the path and the member.
 */
il_status il_zip_open(il_zip **out, const char *path, il_error *err);
void il_zip_close(il_zip *zip); /* takes NULL */

/* Members in the order of the central directory. */
size_t il_zip_count(const il_zip *zip);
const il_zip_member *il_zip_at(const il_zip *zip, size_t i);

/* The contents of a member, unpacked at the first call and kept; its checksum must
 * match. A stored member is handed out as it lies in the file, at any alignment. */
il_status il_zip_data(il_zip *zip, size_t i, const void **data, il_error *err);

/* One member to be written: pieces that follow each other. */
typedef struct il_zip_source {
    const char *name;
    const void *head;
    size_t head_bytes;
    const void *data;
    size_t data_bytes;
} il_zip_source;

/* Replaces `path`, all or nothing. Members are stored, dated 1980, in the order given:
 * equal contents give equal bytes. Beyond 65535 members or 4 GiB, and for names that
 * repeat, IL_ERR_INPUT, and nothing is written. */
il_status il_zip_write(const char *path, const il_zip_source *members, size_t count,
                       il_error *err);

#endif
