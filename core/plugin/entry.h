/* A plugin's entry: whether what it says of itself can be used.
 *
 * Catches at load time what would otherwise crash or surprise in the middle of a
 * run: absent strings, tables from other headers, slots that a kind requires,
 * defaults out of bounds. */
#ifndef IL_PLUGIN_ENTRY_H
#define IL_PLUGIN_ENTRY_H

#include "interloop/plugin.h"

/* The frozen first 32 bytes: magic, ABI and fork against this host's, both sides in the
 * message. Enough to know whether the rest may be looked at. */
il_status il_prefix_check(const il_plugin_prefix *prefix, const char *where,
                          il_error *err);
/* The whole entry of a loaded plugin whose prefix is good. The first thing that is
 * wrong. */
il_status il_entry_check(const il_plugin *entry, const char *where, il_error *err);

#endif
