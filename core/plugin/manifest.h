/* The manifest: what a plugin is and offers, as JSON text in its section
 * `.interloop`.
 *
 * It is written from the entry itself after linking, so that it can be read without
 * running anything, and cannot be wrong by hand: the loader compares it with the
 * entry. */
#ifndef IL_PLUGIN_MANIFEST_H
#define IL_PLUGIN_MANIFEST_H

#include <stddef.h>
#include "interloop/plugin.h"

enum { IL_MANIFEST_SCHEMA = 1, IL_MANIFEST_MAX = 1 << 20 };

/* The manifest of a checked entry, malloc'ed. */
il_status il_manifest_write(const il_plugin *entry, const char *where, char **text,
                            il_error *err);
/* Checks `size` bytes of a manifest against the entry's prefix and gives copies,
 * malloc'ed, of its namespace, its version and its text. */
typedef struct il_manifest {
    char *text;
    char *space;
    char *version;
} il_manifest;
il_status il_manifest_read(il_manifest *out, const char *text, size_t size,
                           const il_plugin_prefix *prefix, const char *where,
                           il_error *err);
void il_manifest_free(il_manifest *m);
/* Whether the text says what the entry says; the error names the first difference. */
il_status il_manifest_agrees(const char *text, const il_plugin *entry,
                             const char *where, il_error *err);

#endif
