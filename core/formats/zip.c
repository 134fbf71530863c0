/* The reader. Order of the checks: the end record, the directory's place, each entry by
 * itself and against its member's own header, then all of them together: sizes, names,
 * ranges.
 *
 * Layout: members (a local header, a name, extras, data), the central directory (an
 * entry a member), for large archives a 64-bit end record and its locator, the end
 * record with a comment. Numbers are little-endian. */
#include "formats/zip.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/mapped.h"
#include "formats/safetensors_private.h"
#include "formats/zip_private.h"

typedef struct entry {
    il_zip_member member; /* first: handed out */
    const unsigned char *packed;
    uint64_t packed_bytes;
    uint64_t begin; /* of its local header */
    uint32_t crc;
    bool deflated;
    void *unpacked; /* NULL until asked for, and for stored members */
    bool checked;
} entry;

struct il_zip {
    char *path;
    il_mapped map;
    entry *entries;
    size_t count;
};

static uint32_t get16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const unsigned char *p)
{
    return get16(p) | get16(p + 2) << 16;
}

static uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static il_status broken(const il_zip *zip, const char *what, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, zip->path, "%s", what);
}

static il_status member_broken(const il_zip *zip, const entry *e, const char *what,
                               il_error *err)
{
    char shown[64];

    return il_error_set(err, IL_ERR_INPUT, zip->path, "member '%s': %s",
                        il__safetensor_show(e->member.name, shown), what);
}

/* Where the directory lies and how many entries it has. */
typedef struct directory {
    uint64_t begin, end, count;
} directory;

/* The 64-bit end record, which a locator before the end record at `end` points to. */
static il_status read_end64(const il_zip *zip, uint64_t end, directory *d,
                            il_error *err)
{
    const unsigned char *p = zip->map.data;
    const unsigned char *locator = p + end - ZIP_LOCATOR;
    uint64_t at;

    if (end < ZIP_LOCATOR + ZIP_END64 || get32(locator) != ZIP_LOCATOR_MARK) {
        return broken(zip, "the end record asks for a 64-bit one, and there is none",
                      err);
    }
    at = get64(locator + 8);
    if (at > end - ZIP_LOCATOR - ZIP_END64 || get32(p + at) != ZIP_END64_MARK) {
        return broken(zip, "the 64-bit end record is not where its locator says", err);
    }
    p += at;
    if (get32(p + 16) != 0 || get32(p + 20) != 0 || get64(p + 24) != get64(p + 32)) {
        return broken(zip, "expected an archive of one disk", err);
    }
    d->count = get64(p + 32);
    d->begin = get64(p + 48);
    if (d->begin > at || get64(p + 40) != at - d->begin) {
        return broken(zip, "the directory does not lie right before its end record",
                      err);
    }
    d->end = at;
    return IL_OK;
}

/* The last end record whose comment reaches exactly to the end of the file. */
static il_status read_end(const il_zip *zip, directory *d, il_error *err)
{
    const unsigned char *p = zip->map.data;
    uint64_t size = zip->map.size;
    uint64_t at;

    if (size < ZIP_END) {
        return il_error_set(err, IL_ERR_INPUT, zip->path,
                            "expected a zip archive, got %" PRIu64 " bytes", size);
    }
    for (at = size - ZIP_END;; at--) {
        if (get32(p + at) == ZIP_END_MARK &&
            get16(p + at + 20) == size - at - ZIP_END) {
            break;
        }
        if (at == 0 || size - at - ZIP_END >= 0xffff) {
            return broken(zip,
                          "expected a zip archive: it has no end record, or it is "
                          "cut short",
                          err);
        }
    }
    p += at;
    if (get16(p + 10) == 0xffff || get32(p + 12) == ZIP_64 || get32(p + 16) == ZIP_64) {
        return read_end64(zip, at, d, err);
    }
    if (get16(p + 4) != 0 || get16(p + 6) != 0 || get16(p + 8) != get16(p + 10)) {
        return broken(zip, "expected an archive of one disk", err);
    }
    d->count = get16(p + 10);
    d->begin = get32(p + 16);
    d->end = at;
    if (d->begin > at || get32(p + 12) != at - d->begin) {
        return broken(zip, "the directory does not lie right before its end record",
                      err);
    }
    return IL_OK;
}

/* Sizes that do not fit 32 bits stand in extra field 1, those alone, in this order. */
static bool read_extra(const unsigned char *p, size_t size, uint64_t *bytes,
                       uint64_t *packed, uint64_t *begin)
{
    uint64_t *const wide[] = {bytes, packed, begin};

    while (size >= 4) {
        size_t length = get16(p + 2);
        bool sizes = get16(p) == 1;

        p += 4;
        size -= 4;
        if (length > size) {
            return false;
        }
        for (size_t i = 0, used = 0; sizes && i < 3; i++) {
            if (*wide[i] == ZIP_64) {
                if (length - used < 8) {
                    return false;
                }
                *wide[i] = get64(p + used);
                used += 8;
            }
        }
        if (sizes) {
            return true;
        }
        p += length;
        size -= length;
    }
    return size == 0 && *bytes != ZIP_64 && *packed != ZIP_64 && *begin != ZIP_64;
}

/* The member's own header, which must agree with the directory in name and method; its
 * sizes may be left to a record behind the data, so the directory's count. */
static il_status read_local(const il_zip *zip, const directory *d, entry *e,
                            uint32_t method, il_error *err)
{
    const unsigned char *file = zip->map.data;
    const unsigned char *p = file + e->begin;
    size_t name = strlen(e->member.name);
    uint64_t data;

    if (e->begin > d->begin || d->begin - e->begin < ZIP_LOCAL ||
        get32(p) != ZIP_LOCAL_MARK) {
        return member_broken(zip, e, "its header is not where the directory says", err);
    }
    data = e->begin + ZIP_LOCAL + get16(p + 26) + get16(p + 28);
    if (data > d->begin || e->packed_bytes > d->begin - data) {
        return member_broken(zip, e, "its data reach past the end of the members", err);
    }
    if (get16(p + 26) != name || memcmp(p + ZIP_LOCAL, e->member.name, name) != 0 ||
        get16(p + 8) != method) {
        return member_broken(
            zip, e, "its header and the directory differ in name or method", err);
    }
    e->packed = file + data;
    return IL_OK;
}

/* One entry of the directory at *at, which moves past it. */
static il_status read_entry(il_zip *zip, const directory *d, uint64_t *at,
                            il_error *err)
{
    const unsigned char *p = (const unsigned char *)zip->map.data + *at;
    entry *e = &zip->entries[zip->count];
    uint32_t method;
    size_t name, extra, all;
    char *copy;

    if (d->end - *at < ZIP_ENTRY || get32(p) != ZIP_ENTRY_MARK) {
        return broken(zip, "the directory has fewer entries than the end record says",
                      err);
    }
    name = get16(p + 28);
    extra = get16(p + 30);
    all = ZIP_ENTRY + name + extra + get16(p + 32);
    if (d->end - *at < all) {
        return broken(zip, "the directory is cut short", err);
    }
    copy = malloc(name + 1);
    if (copy == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, zip->path, "out of memory");
    }
    memcpy(copy, p + ZIP_ENTRY, name);
    copy[name] = '\0';
    e->member.name = copy;
    zip->count++;
    if (name == 0 || strlen(copy) != name) {
        return member_broken(zip, e, "expected a name without zeros", err);
    }
    method = get16(p + 10);
    e->crc = get32(p + 16);
    e->packed_bytes = get32(p + 20);
    e->member.bytes = get32(p + 24);
    e->begin = get32(p + 42);
    e->member.mode = p[5] == ZIP_UNIX ? get16(p + 40) : 0;
    if ((get16(p + 8) & ZIP_ENCRYPTED) != 0) {
        return member_broken(zip, e, "is encrypted", err);
    }
    if (method != 0 && method != Z_DEFLATED) {
        return member_broken(zip, e, "expected it stored or deflated", err);
    }
    e->deflated = method == Z_DEFLATED;
    if (!read_extra(p + ZIP_ENTRY + name, extra, &e->member.bytes, &e->packed_bytes,
                    &e->begin)) {
        return member_broken(zip, e, "its extra fields do not hold its sizes", err);
    }
    if (!e->deflated && e->packed_bytes != e->member.bytes) {
        return member_broken(zip, e, "is stored, with two different sizes", err);
    }
    *at += all;
    return read_local(zip, d, e, method, err);
}

static int begin_compare(const void *a, const void *b)
{
    const entry *x = *(const entry *const *)a;
    const entry *y = *(const entry *const *)b;

    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp((*(const entry *const *)a)->member.name,
                  (*(const entry *const *)b)->member.name);
}

/* All entries together: what they unpack to, that none lies over another (one packed
 * block handed out many times is how a small archive becomes a huge one), and that
 * names tell them apart. */
static il_status check_all(const il_zip *zip, il_error *err)
{
    const unsigned char *file = zip->map.data;
    uint64_t room = IL_ZIP_SLACK + IL_ZIP_RATIO * (uint64_t)zip->map.size;
    entry **order = calloc(zip->count + 1, sizeof(entry *));
    il_status status = IL_OK;

    if (order == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, zip->path, "out of memory");
    }
    for (size_t i = 0; i < zip->count && status == IL_OK; i++) {
        order[i] = &zip->entries[i];
        if (order[i]->member.bytes > room) {
            status = il_error_set(
                err, IL_ERR_INPUT, zip->path,
                "expected an archive of %zu bytes to unpack to at most %" PRIu64
                ", and its members ask for more",
                zip->map.size, IL_ZIP_SLACK + IL_ZIP_RATIO * (uint64_t)zip->map.size);
        }
        room -= order[i]->member.bytes;
    }
    if (status == IL_OK) {
        qsort(order, zip->count, sizeof(entry *), begin_compare);
    }
    for (size_t i = 1; i < zip->count && status == IL_OK; i++) {
        const entry *e = order[i - 1];

        if ((uint64_t)(e->packed - file) + e->packed_bytes > order[i]->begin) {
            status = member_broken(zip, order[i], "overlaps another member", err);
        }
    }
    if (status == IL_OK) {
        qsort(order, zip->count, sizeof(entry *), name_compare);
    }
    for (size_t i = 1; i < zip->count && status == IL_OK; i++) {
        if (name_compare(&order[i - 1], &order[i]) == 0) {
            status = member_broken(zip, order[i], "is there twice", err);
        }
    }
    free(order);
    return status;
}

static il_status read_archive(il_zip *zip, il_error *err)
{
    directory d = {0, 0, 0};
    uint64_t at;

    IL_TRY(read_end(zip, &d, err));
    /* An entry takes at least its fixed part, so the count is bounded by the file. */
    if (d.count > (d.end - d.begin) / ZIP_ENTRY) {
        return broken(zip, "the directory has fewer entries than the end record says",
                      err);
    }
    zip->entries = calloc((size_t)d.count + 1, sizeof *zip->entries);
    if (zip->entries == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, zip->path, "out of memory");
    }
    at = d.begin;
    for (uint64_t i = 0; i < d.count; i++) {
        IL_TRY(read_entry(zip, &d, &at, err));
    }
    if (at != d.end) {
        return broken(zip, "the directory goes on past its last entry", err);
    }
    return check_all(zip, err);
}

il_status il_zip_open(il_zip **out, const char *path, il_error *err)
{
    il_zip *zip = calloc(1, sizeof *zip);
    il_status status;

    if (zip == NULL || (zip->path = strdup(path)) == NULL) {
        free(zip);
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = il_mapped_open(&zip->map, path, err);
    if (status == IL_OK) {
        status = read_archive(zip, err);
    }
    if (status != IL_OK) {
        il_zip_close(zip);
        return status;
    }
    *out = zip;
    return IL_OK;
}

void il_zip_close(il_zip *zip)
{
    if (zip == NULL) {
        return;
    }
    for (size_t i = 0; i < zip->count; i++) {
        free((char *)zip->entries[i].member.name);
        free(zip->entries[i].unpacked);
    }
    free(zip->entries);
    il_mapped_close(&zip->map);
    free(zip->path);
    free(zip);
}

size_t il_zip_count(const il_zip *zip)
{
    return zip->count;
}

const il_zip_member *il_zip_at(const il_zip *zip, size_t i)
{
    return &zip->entries[i].member;
}

/* Inflates `in` into exactly `size` bytes; zlib counts in 32 bits, so both sides are
 * fed piece by piece. False when the stream does not end where both do. */
static bool unpack(unsigned char *out, uint64_t size, const unsigned char *in,
                   uint64_t in_size)
{
    enum { PIECE = 1 << 30 };
    z_stream s = {0};
    int code = Z_OK;
    uint64_t used = 0;
    uint64_t made = 0;

    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) {
        return false;
    }
    while (code == Z_OK) {
        uint64_t left_in = in_size - used;
        uint64_t left_out = size - made;
        uInt give = (uInt)(left_in < PIECE ? left_in : PIECE);
        uInt take = (uInt)(left_out < PIECE ? left_out : PIECE);

        s.next_in = (z_const Bytef *)(in + used);
        s.avail_in = give;
        s.next_out = out + made;
        s.avail_out = take;
        code = inflate(&s, Z_NO_FLUSH);
        used += give - s.avail_in;
        made += take - s.avail_out;
    }
    (void)inflateEnd(&s);
    return code == Z_STREAM_END && used == in_size && made == size;
}

il_status il_zip_data(il_zip *zip, size_t i, const void **data, il_error *err)
{
    entry *e = &zip->entries[i];
    const unsigned char *bytes = e->packed;

    if (e->deflated && e->unpacked == NULL) {
        e->unpacked = malloc((size_t)e->member.bytes + 1);
        if (e->unpacked == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, zip->path, "out of memory");
        }
        if (!unpack(e->unpacked, e->member.bytes, e->packed, e->packed_bytes)) {
            free(e->unpacked);
            e->unpacked = NULL;
            return member_broken(
                zip, e, "does not unpack to the size that the directory says", err);
        }
    }
    if (e->deflated) {
        bytes = e->unpacked;
    }
    if (!e->checked && crc32_z(0, bytes, (z_size_t)e->member.bytes) != e->crc) {
        return member_broken(zip, e, "its checksum does not match its data", err);
    }
    e->checked = true;
    *data = bytes;
    return IL_OK;
}
