/* What reading and making bundles share. */
#ifndef IL_BUNDLE_PRIVATE_H
#define IL_BUNDLE_PRIVATE_H

#include "bundle/bundle.h"

/* The machine that a shared object is for, or NULL. */
const char *il__bundle_target_of(const void *data, size_t size);
/* Whether a text may be an id or a version: both become names of files. */
bool il__bundle_id_good(const char *id);
/* Refuses a name that may not stand in a bundle. */
il_status il__bundle_name_check(const char *where, const char *name, il_error *err);
/* Judges a plugin's bytes, wholly where they are for this machine, and hands out its
 * manifest, which must equal `plugin` unless that is NULL. The caller decrefs it. */
il_status il__bundle_library_check(const void *data, size_t size, const char *where,
                                   const json_t *plugin, json_t **manifest,
                                   il_error *err);
/* Whether an id is that of a plugin's namespace and file. */
bool il__bundle_id_matches(const char *id, const char *space, const char *library);

#endif
