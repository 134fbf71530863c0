/* A record is framed as TFRecord does it:
 *   length, 8 bytes, little-endian · masked CRC-32C of these 8 · data · masked CRC-32C
 * of data and its data is a protobuf message, of which we write and read these fields
 * alone:
 *   Event      1: wall_time, double · 2: step, varint · 3: file_version, string
 *              5: summary, Summary
 *   Summary    1: value, Value
 *   Value      1: tag, string · 2: simple_value, float · 5: histo, Histogram
 *   Histogram  1: min · 2: max · 3: num · 4: sum · 5: sum_squares, doubles
 *              6: bucket_limit · 7: bucket, packed doubles
 * A field begins with the varint number * 8 + wire type: 0 a varint, 1 eight bytes, 2 a
 * length and as many bytes, 5 four bytes. */
#include "formats/tfevents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers are written as they lie in memory, little-endian");

enum { FRAME_HEAD = 12, FRAME_TAIL = 4 };
#define FILE_MAX                                                                       \
    ((size_t)1 << 30) /* an event file beyond this is not taken up again               \
                       */

static const char version[] = "brain.Event:2"; /* of the format, in the first record */

struct il_tfevents {
    FILE *stream;
    char *path;
};

/* CRC-32C (Castagnoli) bit by bit: records are some fifty bytes, written a few a
 * second. */
static uint32_t crc32c(const unsigned char *data, size_t size)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
        }
    }
    return ~crc;
}

/* TFRecord masks its checksums, so that a checksum of data with checksums in it stays
 * good. */
static uint32_t crc_masked(const void *data, size_t size)
{
    uint32_t crc = crc32c(data, size);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void add_varint(il_text *t, uint64_t v)
{
    char bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v != 0);
    il_text_add_bytes(t, bytes, n);
}

static void add_key(il_text *t, unsigned field, unsigned wire)
{
    add_varint(t, field * 8 + wire);
}

static void add_bytes_field(il_text *t, unsigned field, const char *data, size_t size)
{
    add_key(t, field, 2);
    add_varint(t, size);
    il_text_add_bytes(t, data, size);
}

static void add_double_field(il_text *t, unsigned field, double v)
{
    add_key(t, field, 1);
    il_text_add_bytes(t, (const char *)&v, sizeof v);
}

static il_status write_record(il_tfevents *file, il_text *event, il_error *err)
{
    il_status status = IL_OK;
    uint64_t length = event->size;
    uint32_t head = crc_masked(&length, sizeof length);
    uint32_t tail;

    if (event->failed) {
        return il_error_set(err, IL_ERR_MEMORY, file->path, "out of memory");
    }
    tail = crc_masked(event->data, event->size);
    if (fwrite(&length, sizeof length, 1, file->stream) != 1 ||
        fwrite(&head, sizeof head, 1, file->stream) != 1 ||
        fwrite(event->data, event->size, 1, file->stream) != 1 ||
        fwrite(&tail, sizeof tail, 1, file->stream) != 1) {
        status = il_error_set(err, IL_ERR_IO, file->path, "cannot write: %s",
                              strerror(errno));
    }
    return status;
}

/* The next varint before `end`; false when it is cut or longer than 64 bits. */
static bool read_varint(const unsigned char **p, const unsigned char *end, uint64_t *v)
{
    uint64_t sum = 0;

    for (int shift = 0; shift < 64 && *p < end; shift += 7) {
        unsigned char byte = *(*p)++;

        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *v = sum;
            return true;
        }
    }
    return false;
}

/* The step of an event, 0 when it has none; false when the message is broken. */
static bool read_step(const unsigned char *p, size_t size, int64_t *step)
{
    const unsigned char *end = p + size;

    *step = 0;
    while (p < end) {
        uint64_t key;
        uint64_t v = 0;

        if (!read_varint(&p, end, &key)) {
            return false;
        }
        switch (key & 7) {
        case 0:
            if (!read_varint(&p, end, &v)) {
                return false;
            }
            if (key >> 3 == 2) {
                *step = (int64_t)v;
            }
            v = 0;
            break;
        case 1:
            v = 8;
            break;
        case 2:
            if (!read_varint(&p, end, &v)) {
                return false;
            }
            break;
        case 5:
            v = 4;
            break;
        default:
            return false;
        }
        if (v > (uint64_t)(end - p)) {
            return false;
        }
        p += v;
    }
    return true;
}

/* Whether a whole record lies at `p`, with right checksums; its data's size in *size.
 */
static bool record_whole(const unsigned char *p, size_t left, size_t *size)
{
    uint64_t length;
    uint32_t head;
    uint32_t tail;

    if (left < FRAME_HEAD + FRAME_TAIL) {
        return false;
    }
    memcpy(&length, p, sizeof length);
    memcpy(&head, p + sizeof length, sizeof head);
    if (head != crc_masked(p, sizeof length) ||
        length > left - FRAME_HEAD - FRAME_TAIL) {
        return false;
    }
    memcpy(&tail, p + FRAME_HEAD + length, sizeof tail);
    *size = (size_t)length;
    return tail == crc_masked(p + FRAME_HEAD, (size_t)length);
}

/* How many of a file's first bytes are kept: whole records before step `from`. 0 when
 * the file does not begin with an event file's opening record. */
static size_t kept_bytes(const unsigned char *data, size_t size, int64_t from)
{
    size_t kept = 0;
    size_t bytes = 0;
    int64_t step;

    if (!record_whole(data, size, &bytes) || bytes < sizeof version - 1 ||
        memcmp(data + FRAME_HEAD + bytes - (sizeof version - 1), version,
               sizeof version - 1) != 0) {
        return 0;
    }
    kept = FRAME_HEAD + bytes + FRAME_TAIL;
    while (record_whole(data + kept, size - kept, &bytes) &&
           read_step(data + kept + FRAME_HEAD, bytes, &step) && step < from) {
        kept += FRAME_HEAD + bytes + FRAME_TAIL;
    }
    return kept;
}

/* Whether the bytes are an opening record of ours that was cut off: all that is there
 * of its frame's head, which is always the same, must be right. */
static bool opening_torn(const char *data, size_t size)
{
    uint64_t length =
        9 + 2 + sizeof version - 1; /* a double and a string with their keys */
    uint32_t crc = crc_masked(&length, sizeof length);
    char head[FRAME_HEAD];

    memcpy(head, &length, sizeof length);
    memcpy(head + sizeof length, &crc, sizeof crc);
    return size < FRAME_HEAD + length + FRAME_TAIL &&
           memcmp(data, head, size < FRAME_HEAD ? size : FRAME_HEAD) == 0;
}

/* Reads an event file that is there and cuts it to what is kept, which may be nothing.
 */
static il_status take_up(const char *path, int64_t from, size_t *kept, il_error *err)
{
    il_status status = IL_OK;
    char *data = NULL;
    size_t size = 0;

    IL_TRY(il_file_read(path, FILE_MAX, &data, &size, err));
    *kept = kept_bytes((const unsigned char *)data, size, from);
    if (*kept == 0 && !opening_torn(data, size)) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "expected a TensorBoard event file; move it away");
    } else if (*kept < size && truncate(path, (off_t)*kept) != 0) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot cut: %s", strerror(errno));
    }
    free(data);
    return status;
}

il_status il_tfevents_open(il_tfevents **out, const char *path, int64_t from,
                           double wall_time, il_error *err)
{
    il_status status = IL_OK;
    il_tfevents *file;
    size_t kept = 0;

    if (il_file_exists(path)) {
        IL_TRY(take_up(path, from, &kept, err));
    }
    file = calloc(1, sizeof *file);
    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    file->stream = fopen(path, "ab");
    if (file->stream == NULL) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot open: %s", strerror(errno));
    } else if (kept == 0) {
        il_text event = {0};

        add_double_field(&event, 1, wall_time);
        add_bytes_field(&event, 3, version, sizeof version - 1);
        status = write_record(file, &event, err);
        il_text_free(&event);
    }
    if (status != IL_OK) {
        (void)il_tfevents_close(file, NULL); /* the first error is the one to tell */
        return status;
    }
    *out = file;
    return IL_OK;
}

/* An event with one value of a summary: the value's fields after its tag. */
static il_status add_value(il_tfevents *file, double wall_time, int64_t step,
                           const char *tag, const il_text *fields, il_error *err)
{
    il_status status;
    il_text point = {0};
    il_text summary = {0};
    il_text event = {0};

    add_bytes_field(&point, 1, tag, strlen(tag));
    if (!fields->failed) {
        il_text_add_bytes(&point, fields->data, fields->size);
    }
    if (!point.failed) {
        add_bytes_field(&summary, 1, point.data, point.size);
    }
    add_double_field(&event, 1, wall_time);
    add_key(&event, 2, 0);
    add_varint(&event, (uint64_t)step);
    if (!point.failed && !summary.failed) {
        add_bytes_field(&event, 5, summary.data, summary.size);
    }
    event.failed = event.failed || summary.failed || point.failed || fields->failed;
    status = write_record(file, &event, err);
    il_text_free(&event);
    il_text_free(&summary);
    il_text_free(&point);
    return status;
}

il_status il_tfevents_add(il_tfevents *file, double wall_time, int64_t step,
                          const char *tag, float value, il_error *err)
{
    il_text fields = {0};
    il_status status;

    add_key(&fields, 2, 5);
    il_text_add_bytes(&fields, (const char *)&value, sizeof value);
    status = add_value(file, wall_time, step, tag, &fields, err);
    il_text_free(&fields);
    return status;
}

il_status il_tfevents_add_histogram(il_tfevents *file, double wall_time, int64_t step,
                                    const char *tag, const il_histogram *h,
                                    il_error *err)
{
    il_text histo = {0};
    il_text fields = {0};
    il_status status;

    if (h->count == 0) {
        return IL_OK;
    }
    add_double_field(&histo, 1, h->min);
    add_double_field(&histo, 2, h->max);
    add_double_field(&histo, 3, h->num);
    add_double_field(&histo, 4, h->sum);
    add_double_field(&histo, 5, h->sum_squares);
    add_bytes_field(&histo, 6, (const char *)h->limits, h->count * sizeof *h->limits);
    add_bytes_field(&histo, 7, (const char *)h->counts, h->count * sizeof *h->counts);
    if (!histo.failed) {
        add_bytes_field(&fields, 5, histo.data, histo.size);
    }
    fields.failed = fields.failed || histo.failed;
    status = add_value(file, wall_time, step, tag, &fields, err);
    il_text_free(&fields);
    il_text_free(&histo);
    return status;
}

il_status il_tfevents_flush(il_tfevents *file, il_error *err)
{
    if (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0) {
        return il_error_set(err, IL_ERR_IO, file->path, "cannot write: %s",
                            strerror(errno));
    }
    return IL_OK;
}

il_status il_tfevents_close(il_tfevents *file, il_error *err)
{
    il_status status = IL_OK;

    if (file == NULL) {
        return IL_OK;
    }
    if (file->stream != NULL) {
        status = il_tfevents_flush(file, err);
        if (fclose(file->stream) != 0 && status == IL_OK) {
            status = il_error_set(err, IL_ERR_IO, file->path, "cannot close: %s",
                                  strerror(errno));
        }
    }
    free(file->path);
    free(file);
    return status;
}
