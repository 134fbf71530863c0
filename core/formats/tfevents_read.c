/* The layout is described in tfevents.c. */
#include "formats/tfevents_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME_HEAD = 12, FRAME_TAIL = 4, RECORD_MAX = 1 << 20 };

typedef struct bytes {
    const unsigned char *data;
    size_t size;
} bytes;

/* One field of a message: its number, and the bytes of its value or the varint. */
typedef struct field {
    uint64_t number;
    unsigned wire;
    uint64_t varint;
    bytes value;
} field;

static bool varint_take(bytes *from, uint64_t *out)
{
    uint64_t sum = 0;

    for (int shift = 0; shift < 64 && from->size > 0; shift += 7) {
        unsigned char byte = *from->data++;

        from->size--;
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = sum;
            return true;
        }
    }
    return false;
}

/* The next field; false when the message is broken. */
static bool field_take(bytes *from, field *out)
{
    uint64_t key;
    uint64_t size;

    if (!varint_take(from, &key)) {
        return false;
    }
    *out = (field){.number = key >> 3, .wire = (unsigned)(key & 7)};
    switch (out->wire) {
    case 0:
        return varint_take(from, &out->varint);
    case 1:
        size = 8;
        break;
    case 2:
        if (!varint_take(from, &size)) {
            return false;
        }
        break;
    case 5:
        size = 4;
        break;
    default:
        return false;
    }
    if (size > from->size) {
        return false;
    }
    out->value = (bytes){from->data, (size_t)size};
    from->data += size;
    from->size -= (size_t)size;
    return true;
}

/* A value of a summary; one that is no scalar is passed over. */
static bool value_visit(bytes message, int64_t step, il_tfevents_visit visit,
                        void *user)
{
    bytes tag = {NULL, 0};
    bool scalar = false;
    float number = 0;
    field f;

    while (message.size > 0) {
        if (!field_take(&message, &f)) {
            return false;
        }
        if (f.number == 1 && f.wire == 2) {
            tag = f.value;
        } else if (f.number == 2 && f.wire == 5) {
            memcpy(&number, f.value.data, sizeof number);
            scalar = true;
        }
    }
    if (scalar && tag.data != NULL) {
        visit(user, step, (const char *)tag.data, tag.size, number);
    }
    return true;
}

static bool event_visit(bytes message, il_tfevents_visit visit, void *user)
{
    bytes summary = {NULL, 0};
    int64_t step = 0;
    field f;

    while (message.size > 0) {
        if (!field_take(&message, &f)) {
            return false;
        }
        if (f.number == 2 && f.wire == 0) {
            step = (int64_t)f.varint;
        } else if (f.number == 5 && f.wire == 2) {
            summary = f.value;
        }
    }
    while (summary.size > 0) {
        if (!field_take(&summary, &f) || (f.number == 1 && f.wire == 2 &&
                                          !value_visit(f.value, step, visit, user))) {
            return false;
        }
    }
    return true;
}

/* Visits whole records; *used is the bytes of those. */
static bool records_visit(bytes all, il_tfevents_visit visit, void *user, size_t *used)
{
    while (all.size - *used >= FRAME_HEAD + FRAME_TAIL) {
        const unsigned char *p = all.data + *used;
        uint64_t length;

        memcpy(&length, p, sizeof length); /* little-endian, as tfevents.c asserts */
        if (length > RECORD_MAX) {
            return false;
        }
        if (length > all.size - *used - FRAME_HEAD - FRAME_TAIL) {
            break;
        }
        if (!event_visit((bytes){p + FRAME_HEAD, (size_t)length}, visit, user)) {
            return false;
        }
        *used += FRAME_HEAD + (size_t)length + FRAME_TAIL;
    }
    return true;
}

il_status il_tfevents_read(const char *path, size_t *at, il_tfevents_visit visit,
                           void *user, il_error *err)
{
    enum { CHUNK = 2 * RECORD_MAX };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    unsigned char *data = NULL;
    il_status status = IL_OK;
    struct stat st;
    size_t used;

    if (fd < 0 || fstat(fd, &st) != 0) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot read: %s", strerror(errno));
        goto out;
    }
    data = malloc(CHUNK);
    if (data == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        goto out;
    }
    if (st.st_size < (off_t)*at) {
        *at = 0;
    }
    do { /* a chunk holds a whole record, so it gets on as long as there is one */
        ssize_t n = pread(fd, data, CHUNK, (off_t)*at);

        used = 0;
        if (n < 0) {
            status =
                il_error_set(err, IL_ERR_IO, path, "cannot read: %s", strerror(errno));
        } else if (!records_visit((bytes){data, (size_t)n}, visit, user, &used)) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "expected records of events at byte %zu", *at + used);
        }
        *at += used;
    } while (status == IL_OK && used > 0);
out:
    free(data);
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}
