/* The registry: which plugins there are, which of them are usable, and why the
 * others are not.
 *
 * Folders are searched in order: the command line's, INTERLOOP_PLUGIN_PATH, the
 * pipeline's, the user's data folder, the installed one. Each file is judged from
 * its bytes before anything of it runs. */
#ifndef IL_PLUGIN_REGISTRY_H
#define IL_PLUGIN_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include "interloop/plugin.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugin/trust.h"

/* A file that was found. */
typedef struct il_plugin_file {
    const char *path; /* absolute */
    char sha256[IL_HASH_HEX];
    const il_plugin *entry; /* NULL until loaded, or when refused */
    const char *space; /* from the manifest; NULL when refused before it was read */
    const char *version;
    const char *manifest; /* its text */
    const char *refused;  /* why, both sides named; NULL when usable */
} il_plugin_file;

/* A component on offer. */
typedef struct il_offer {
    const il_component *component;
    const il_plugin_file *file;
    const char *id; /* "interloop.gpt" */
} il_offer;

typedef struct il_registry il_registry;

il_status il_registry_create(il_registry **out, il_log *log, il_error *err);
void il_registry_destroy(il_registry *r); /* plugins stay loaded */
/* Says which of the files that are added from now on may be loaded; without, any. Takes
 * what the trust holds and leaves it empty. */
void il_registry_trust(il_registry *r, il_trust *trust);
/* Adds every .so of a folder, loading those that are usable. A refused file is kept
 * with its reason and is no error; a folder that is not absolute, is missing when
 * `must`, or is world-writable is. Two usable files that offer one id are an error
 * that names both. */
il_status il_registry_add_folder(il_registry *r, const char *folder, bool must,
                                 il_error *err);
/* The default search path of above, without the pipeline's. */
il_status il_registry_add_defaults(il_registry *r, il_error *err);
/* The component of that kind and id ("gpt" means "interloop.gpt"; range "" or
 * "^1.0", ">=1.2", "1.0.3"). The error says what is on offer, the nearest spelling,
 * and which refused file might have had it. */
il_status il_registry_find(const il_registry *r, il_kind kind, const char *id,
                           const char *range, const il_offer **out, il_error *err);
size_t il_registry_files(const il_registry *r);
const il_plugin_file *il_registry_file(const il_registry *r, size_t i);
size_t il_registry_offers(const il_registry *r);
const il_offer *il_registry_offer(const il_registry *r, size_t i);
const char *il_kind_name(il_kind kind);

#endif
