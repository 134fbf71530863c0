/* Bundles: a plugin as one file that another lab can check and install.
 *
 * A zip archive of
 *   bundle.json           id, version and the plugin's manifest, made from the binary
 *   lib/TARGET/NAME.so    the plugin, once for each kind of machine
 *   schema.json           JSON Schemas of its components' params
 *   README.md LICENSE example.yaml, and what else was put in (weights/..., golden/...)
 *   SHA256SUMS            the SHA-256 of every file above, for `sha256sum -c`
 *   SHA256SUMS.minisig    a prehashed minisign signature of that, whose trusted comment
 *                         is "interloop bundle ID VERSION"; unsigned ones have none
 *
 * Every bundle is hostile until it was checked: names that lead out, links, names
 * twice, files that the sums do not list, archives that unpack to too much, and a
 * bundle.json that says other than the binary, are refused. */
#ifndef IL_BUNDLE_BUNDLE_H
#define IL_BUNDLE_BUNDLE_H

#include <jansson.h>
#include "bundle/minisign.h"
#include "formats/zip.h"

enum {
    IL_BUNDLE_FORMAT = 1,
    IL_BUNDLE_FILES = 1024,
    IL_BUNDLE_NAME = 200 /* bytes of a member's name */
};

#define IL_BUNDLE_BYTES ((uint64_t)1 << 30) /* unpacked */

/* A file to be put in: as it is called in the bundle, and where it lies now. */
typedef struct il_bundle_file {
    const char *name;
    const char *path;
} il_bundle_file;

typedef struct il_bundle_recipe {
    const char *const *libraries; /* stamped plugins, one a target; the first one's
                                     manifest is the bundle's */
    size_t library_count;
    const il_bundle_file *files;
    size_t file_count;
    const il_secret_key *key; /* NULL: unsigned */
    const char *signature; /* or a signature file's text, made elsewhere over the very
                              same sums; NULL: none */
} il_bundle_recipe;

/* Writes a bundle to `path`, all or nothing, and checks it as a stranger would. The
 * text of its sums, malloc'ed, into *sums when that is not NULL. */
il_status il_bundle_pack(const char *path, const il_bundle_recipe *recipe, char **sums,
                         il_error *err);

typedef struct il_bundle {
    il_zip *zip;
    json_t *about;       /* bundle.json */
    const char *id;      /* "lab.mine" */
    const char *version; /* both borrowed from `about` */
    const char *sums;    /* SHA256SUMS */
    size_t sums_size;
    bool is_signed;
    il_signature signature; /* where it is */
} il_bundle;

/* Opens a bundle and checks all that can be checked without keys. */
il_status il_bundle_open(il_bundle *out, const char *path, il_error *err);
void il_bundle_close(il_bundle *b);
/* Whether one of the keys signed it, id and version included; NULL when none did. */
const il_public_key *il_bundle_signer(const il_bundle *b, const il_public_key *keys,
                                      size_t count);
/* A file's contents; IL_ERR_INPUT where there is none of that name. */
il_status il_bundle_file_data(const il_bundle *b, const char *name, const void **data,
                              size_t *size, il_error *err);
/* The name of the plugin for this machine, or NULL. */
const char *il_bundle_library(const il_bundle *b);
/* "x86_64-linux-gnu": this machine, as bundles call it. */
const char *il_bundle_target(void);

/* One line of sums at *text, which moves past it: 64 hex digits, two spaces, a name of
 * at most IL_BUNDLE_NAME bytes. False at the end; *good is false for a line that is
 * none. */
bool il_sums_next(const char **text, char sha256[65], char name[IL_BUNDLE_NAME + 1],
                  bool *good);

#endif
