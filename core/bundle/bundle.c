/* Opening and checking bundles; pack.c makes them. */
#include "bundle/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "bundle/bundle_private.h"
#include "plugin/loader.h"

const char *il_bundle_target(void)
{
#if defined(__x86_64__)
    return "x86_64-linux-gnu";
#elif defined(__aarch64__)
    return "aarch64-linux-gnu";
#else
    return "unknown";
#endif
}

const char *il__bundle_target_of(const void *data, size_t size)
{
    const unsigned char *p = data;
    unsigned machine = size > 19 ? p[18] | (unsigned)p[19] << 8 : 0;

    return machine == 62    ? "x86_64-linux-gnu"
           : machine == 183 ? "aarch64-linux-gnu"
                            : NULL;
}

/* ---- names ---------------------------------------------------------------------- */

/* Why a name may not stand in a bundle, or NULL. */
static const char *wrong_name(const char *name)
{
    const char *part = name;

    if (strlen(name) > IL_BUNDLE_NAME) {
        return "is longer than 200 bytes";
    }
    if (name[0] == '/' || strchr(name, '\\') != NULL || strchr(name, ':') != NULL) {
        return "is no relative path with '/' between its parts";
    }
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f) {
            return "has a character that is not printable ASCII, or a space";
        }
    }
    for (;;) {
        size_t size = strcspn(part, "/");

        if (size == 0 || part[0] == '.') {
            return "has an empty part or one that begins with a dot";
        }
        if (part[size] == '\0') {
            return NULL;
        }
        part += size + 1;
    }
}

bool il__bundle_id_good(const char *id)
{
    return wrong_name(id) == NULL && strchr(id, '/') == NULL;
}

il_status il__bundle_name_check(const char *where, const char *name, il_error *err)
{
    const char *wrong = wrong_name(name);

    return wrong == NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, where,
                              "'%.80s' may not stand in a bundle: it %s", name, wrong);
}

/* ---- sums ----------------------------------------------------------------------- */

bool il_sums_next(const char **text, char sha256[65], char name[IL_BUNDLE_NAME + 1],
                  bool *good)
{
    size_t size = strcspn(*text, "\n");
    const char *line = *text;

    if (*line == '\0') {
        return false;
    }
    *text += size + (line[size] == '\n');
    *good = size > 66 && size - 66 <= IL_BUNDLE_NAME &&
            strspn(line, "0123456789abcdef") == 64 && line[64] == ' ' &&
            line[65] == ' ' && line[size] == '\n';
    if (*good) {
        memcpy(sha256, line, 64);
        sha256[64] = '\0';
        memcpy(name, line + 66, size - 66);
        name[size - 66] = '\0';
    }
    return true;
}

static int64_t member_of(const il_zip *zip, const char *name)
{
    for (size_t i = 0; i < il_zip_count(zip); i++) {
        if (strcmp(il_zip_at(zip, i)->name, name) == 0) {
            return (int64_t)i;
        }
    }
    return -1;
}

il_status il_bundle_file_data(const il_bundle *b, const char *name, const void **data,
                              size_t *size, il_error *err)
{
    int64_t i = member_of(b->zip, name);

    if (i < 0) {
        return il_error_set(err, IL_ERR_INPUT, name, "the bundle has no such file");
    }
    *size = (size_t)il_zip_at(b->zip, (size_t)i)->bytes;
    return il_zip_data(b->zip, (size_t)i, data, err);
}

/* Each line of the sums against its file; the seal is that no file goes unlisted. */
static il_status check_sums(const il_bundle *b, const char *path, il_error *err)
{
    const char *text = b->sums;
    size_t listed = 0;
    char sha256[65];
    char name[IL_BUNDLE_NAME + 1];
    char last[IL_BUNDLE_NAME + 1] = "";
    bool good;

    while (il_sums_next(&text, sha256, name, &good)) {
        const void *data;
        size_t size;
        char found[IL_HASH_HEX];
        il_error ignored = {0};

        if (!good || strcmp(last, name) >= 0) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "SHA256SUMS line %zu: expected a hash, two spaces and "
                                "a name, sorted by names that differ",
                                listed + 1);
        }
        strcpy(last, name);
        if (strcmp(name, "SHA256SUMS") == 0 ||
            strcmp(name, "SHA256SUMS.minisig") == 0 ||
            il_bundle_file_data(b, name, &data, &size, &ignored) != IL_OK) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "SHA256SUMS lists '%.80s', which is not in the bundle",
                                name);
        }
        il_hash_bytes(data, size, found);
        if (strcmp(found, sha256) != 0) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "'%.80s' was changed: expected SHA-256 %s, found %s",
                                name, sha256, found);
        }
        listed++;
    }
    for (size_t i = 0; i < il_zip_count(b->zip); i++) {
        const char *member = il_zip_at(b->zip, i)->name;
        char line[IL_BUNDLE_NAME + 8];

        if (strncmp(member, "SHA256SUMS", 10) == 0 &&
            (member[10] == '\0' || strcmp(member + 10, ".minisig") == 0)) {
            continue;
        }
        (void)snprintf(line, sizeof line, "  %s\n", member);
        if (strstr(b->sums, line) == NULL) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "SHA256SUMS does not list '%.80s'", member);
        }
    }
    return IL_OK;
}

/* ---- what it says of itself ----------------------------------------------------- */

/* The manifest in a plugin of whatever machine. */
static il_status read_manifest(const void *data, size_t size, const char *where,
                               il_manifest *out, il_error *err)
{
    il_plugin_prefix prefix;
    il_elf elf;

    IL_TRY(il_elf_read(&elf, data, size, where, err));
    if (elf.entry_kind != IL_ELF_ENTRY_OBJECT || elf.entry_size < sizeof prefix ||
        elf.manifest == NULL) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "is no stamped plugin: it has no %s",
                            elf.manifest == NULL ? "manifest" : "il_plugin_entry");
    }
    memcpy(&prefix, elf.entry, sizeof prefix);
    return il_manifest_read(out, elf.manifest, elf.manifest_size, &prefix, where, err);
}

il_status il__bundle_library_check(const void *data, size_t size, const char *where,
                                   const json_t *plugin, json_t **manifest,
                                   il_error *err)
{
    const char *target = il__bundle_target_of(data, size);
    il_manifest read = {0};
    il_image image;
    il_status status = read_manifest(data, size, where, &read, err);

    *manifest = NULL;
    if (status == IL_OK && target != NULL && strcmp(target, il_bundle_target()) == 0) {
        status = il_image_judge(&image, data, size, where, true, err);
        il_image_free(&image);
    }
    if (status == IL_OK) {
        *manifest = json_loads(read.text, 0, NULL);
        if (*manifest == NULL || (plugin != NULL && !json_equal(*manifest, plugin))) {
            status = il_error_set(err, IL_ERR_INPUT, where,
                                  "says other of itself than bundle.json does");
        }
    }
    il_manifest_free(&read);
    if (status != IL_OK) {
        json_decref(*manifest);
        *manifest = NULL;
    }
    return status;
}

static il_status not_about(const char *path, const char *what, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, path, "bundle.json: expected %s", what);
}

/* The id a plugin's file gives a bundle: its namespace and the file's name. */
bool il__bundle_id_matches(const char *id, const char *space, const char *library)
{
    const char *slash = strrchr(library, '/');
    const char *stem = slash != NULL ? slash + 1 : library;
    size_t size = strlen(stem);
    size_t space_size = strlen(space);

    return size > 3 && strcmp(stem + size - 3, ".so") == 0 &&
           strncmp(id, space, space_size) == 0 && id[space_size] == '.' &&
           strlen(id + space_size + 1) == size - 3 &&
           strncmp(id + space_size + 1, stem, size - 3) == 0;
}

/* One library that bundle.json lists. */
static il_status check_library(const il_bundle *b, const char *path, const json_t *item,
                               const json_t *plugin, il_error *err)
{
    const char *name = json_string_value(json_object_get(item, "path"));
    const char *target = json_string_value(json_object_get(item, "target"));
    const char *space = json_string_value(json_object_get(plugin, "space"));
    const char *found;
    json_t *manifest = NULL;
    const void *data;
    size_t size;
    il_status status;

    if (name == NULL || target == NULL || space == NULL) {
        return not_about(path, "libraries with a target and a path", err);
    }
    IL_TRY(il_bundle_file_data(b, name, &data, &size, err));
    found = il__bundle_target_of(data, size);
    if (found == NULL || strcmp(found, target) != 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "'%.80s' is for %s: expected a library for %s", name,
                            found != NULL ? found : "no machine that is known", target);
    }
    if (!il__bundle_id_matches(b->id, space, name)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "the id '%.80s' does not come from '%.80s' in the "
                            "namespace '%.40s'",
                            b->id, name, space);
    }
    status = il__bundle_library_check(data, size, name, plugin, &manifest, err);
    json_decref(manifest);
    return status;
}

static il_status check_about(il_bundle *b, const char *path, il_error *err)
{
    const json_t *libraries = json_object_get(b->about, "libraries");
    const json_t *plugin = json_object_get(b->about, "plugin");

    if (json_integer_value(json_object_get(b->about, "format")) != IL_BUNDLE_FORMAT) {
        return not_about(path, "format 1: a newer interloop may read this one", err);
    }
    b->id = json_string_value(json_object_get(b->about, "id"));
    b->version = json_string_value(json_object_get(b->about, "version"));
    if (b->id == NULL || b->version == NULL || !json_is_object(plugin) ||
        json_array_size(libraries) == 0) {
        return not_about(path, "an id, a version, the plugin and its libraries", err);
    }
    if (strcmp(b->version, json_string_value(json_object_get(plugin, "version")) != NULL
                               ? json_string_value(json_object_get(plugin, "version"))
                               : "") != 0) {
        return not_about(path, "the version that the plugin has", err);
    }
    /* Both become names of files: an id with a part of its own would lie in another
     * bundle's folder. */
    if (!il__bundle_id_good(b->id) || !il__bundle_id_good(b->version)) {
        return not_about(path, "an id and a version that can be names of files", err);
    }
    for (size_t i = 0; i < json_array_size(libraries); i++) {
        IL_TRY(check_library(b, path, json_array_get(libraries, i), plugin, err));
    }
    return IL_OK;
}

/* ---- opening -------------------------------------------------------------------- */

enum { TYPE_BITS = 0170000, REGULAR = 0100000 };

/* Why member i cannot be unpacked beside the others, or NULL. Some file systems take
 * names that differ only in case for one. */
static const char *clash(const il_zip *zip, size_t i)
{
    const char *name = il_zip_at(zip, i)->name;

    for (size_t k = 0; k < il_zip_count(zip); k++) {
        const char *other = il_zip_at(zip, k)->name;
        size_t size = strlen(other);

        if (k == i || strncasecmp(name, other, size) != 0) {
            continue;
        }
        if (name[size] == '/') {
            return "lies inside another file";
        }
        if (name[size] == '\0') {
            return "differs from another file in case alone";
        }
    }
    return NULL;
}

static il_status check_members(const il_bundle *b, const char *path, il_error *err)
{
    uint64_t all = 0;

    if (il_zip_count(b->zip) > IL_BUNDLE_FILES) {
        return il_error_set(err, IL_ERR_INPUT, path, "more than %d files",
                            IL_BUNDLE_FILES);
    }
    for (size_t i = 0; i < il_zip_count(b->zip); i++) {
        const il_zip_member *m = il_zip_at(b->zip, i);
        const char *why;

        IL_TRY(il__bundle_name_check(path, m->name, err));
        if ((m->mode & TYPE_BITS) != 0 && (m->mode & TYPE_BITS) != REGULAR) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "'%.80s' is a link or no regular file", m->name);
        }
        why = clash(b->zip, i);
        if (why != NULL) {
            return il_error_set(err, IL_ERR_INPUT, path, "'%.80s' %s", m->name, why);
        }
        all += m->bytes;
        if (m->bytes > IL_BUNDLE_BYTES || all > IL_BUNDLE_BYTES) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "unpacks to more than %llu bytes",
                                (unsigned long long)IL_BUNDLE_BYTES);
        }
    }
    return IL_OK;
}

/* A file's text, which has no zero in it and ends in one; malloc'ed. */
static il_status read_text(const il_bundle *b, const char *name, char **text,
                           il_error *err)
{
    const void *data;
    size_t size;

    IL_TRY(il_bundle_file_data(b, name, &data, &size, err));
    *text = malloc(size + 1);
    if (*text == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, name, "out of memory");
    }
    memcpy(*text, data, size);
    (*text)[size] = '\0';
    if (strlen(*text) != size) {
        free(*text);
        *text = NULL;
        return il_error_set(err, IL_ERR_INPUT, name, "expected text, found a zero");
    }
    return IL_OK;
}

static il_status read_about(il_bundle *b, const char *path, il_error *err)
{
    json_error_t problem;
    const void *data;
    size_t size;

    IL_TRY(il_bundle_file_data(b, "bundle.json", &data, &size, err));
    b->about = json_loadb(data, size, JSON_REJECT_DUPLICATES, &problem);
    if (b->about == NULL) {
        return il_error_set(err, IL_ERR_INPUT, path, "bundle.json:%d:%d: %s",
                            problem.line, problem.column, problem.text);
    }
    return IL_OK;
}

static il_status read_signature(il_bundle *b, const char *path, il_error *err)
{
    char expected[IL_MINISIGN_COMMENT];
    char *text = NULL;
    il_status status;

    if (member_of(b->zip, "SHA256SUMS.minisig") < 0) {
        return IL_OK;
    }
    IL_TRY(read_text(b, "SHA256SUMS.minisig", &text, err));
    status = il_signature_read(text, path, &b->signature, err);
    free(text);
    IL_TRY(status);
    (void)snprintf(expected, sizeof expected, "interloop bundle %s %s", b->id,
                   b->version);
    if (strcmp(b->signature.comment, expected) != 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "the signature is for '%.120s': expected '%.120s'",
                            b->signature.comment, expected);
    }
    b->is_signed = true;
    return IL_OK;
}

il_status il_bundle_open(il_bundle *b, const char *path, il_error *err)
{
    char *sums = NULL;
    il_status status;

    memset(b, 0, sizeof *b);
    status = il_zip_open(&b->zip, path, err);
    if (status == IL_OK) {
        status = check_members(b, path, err);
    }
    if (status == IL_OK) {
        status = read_text(b, "SHA256SUMS", &sums, err);
    }
    if (status == IL_OK) {
        b->sums = sums;
        b->sums_size = strlen(sums);
        status = check_sums(b, path, err);
    }
    if (status == IL_OK) {
        status = read_about(b, path, err);
    }
    if (status == IL_OK) {
        status = check_about(b, path, err);
    }
    if (status == IL_OK) {
        status = read_signature(b, path, err);
    }
    if (status != IL_OK) {
        il_bundle_close(b);
    }
    return status;
}

void il_bundle_close(il_bundle *b)
{
    json_decref(b->about);
    free((char *)(uintptr_t)b->sums);
    il_zip_close(b->zip);
    memset(b, 0, sizeof *b);
}

const il_public_key *il_bundle_signer(const il_bundle *b, const il_public_key *keys,
                                      size_t count)
{
    for (size_t i = 0; b->is_signed && i < count; i++) {
        if (il_signature_good(&b->signature, &keys[i], b->sums, b->sums_size)) {
            return &keys[i];
        }
    }
    return NULL;
}

const char *il_bundle_library(const il_bundle *b)
{
    const json_t *libraries = json_object_get(b->about, "libraries");

    for (size_t i = 0; i < json_array_size(libraries); i++) {
        const json_t *item = json_array_get(libraries, i);

        if (strcmp(json_string_value(json_object_get(item, "target")),
                   il_bundle_target()) == 0) {
            return json_string_value(json_object_get(item, "path"));
        }
    }
    return NULL;
}
