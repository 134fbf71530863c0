/* The loader: a plugin's file is judged from its bytes, then loaded, then its entry
 * is judged.
 *
 * Constructors run at load, so all that can be told without running anything is told
 * first. Every refusal is an error that says what was expected and what was found. */
#ifndef IL_PLUGIN_LOADER_H
#define IL_PLUGIN_LOADER_H

#include <stdbool.h>
#include "interloop/plugin.h"
#include "base/hash.h"
#include "plugin/elf.h"
#include "plugin/manifest.h"

/* A file's bytes and what they say. */
typedef struct il_image {
    char sha256[IL_HASH_HEX];
    il_plugin_prefix prefix;
    il_manifest manifest; /* empty when it has none */
    int sealed;           /* descriptor of the bytes to load from, or -1 */
} il_image;

/* Reads and judges a file. `stamped`: it must have a good manifest; without,
 * whatever manifest it has is passed over. A link, or a file that everybody may
 * write, is refused. On failure `out` is empty, but for the sha256 and the manifest
 * when it came that far. */
il_status il_image_read(il_image *out, const char *path, bool stamped, il_error *err);
/* The same for bytes at hand, which `path` names in messages; not to be loaded. */
il_status il_image_judge(il_image *out, const void *data, size_t size, const char *path,
                         bool stamped, il_error *err);
void il_image_free(il_image *image);
/* Loads the bytes that were read, from a sealed copy, and checks their entry, and the
 * manifest against it when the image has one. `path` is the file's, for messages. What
 * it loads stays loaded, and keeps the copy's descriptor. */
il_status il_image_load(il_image *image, const char *path, const il_plugin **entry,
                        il_error *err);
/* Loads it and finds its entry, whatever that says. */
il_status il_image_open(il_image *image, const char *path, void **handle,
                        const il_plugin **entry, il_error *err);
/* Whether it needs nothing but libc and libm (and a sanitizer's library where the host
 * itself was built with it). */
il_status il_image_judge_needs(const il_elf *elf, const char *path, il_error *err);
/* Refuses a folder that everybody may write, or that is none. */
il_status il_folder_check(const char *folder, il_error *err);

#endif
