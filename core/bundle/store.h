/* The store of installed bundles: plugins where the registry looks for the user's, and
 * beside them what each bundle said and who signed it.
 *
 *   $XDG_DATA_HOME/interloop/plugins/ID.so
 *   $XDG_DATA_HOME/interloop/bundles/ID/   everything else of the bundle
 *   $XDG_CONFIG_HOME/interloop/trusted_keys   minisign public keys
 *
 * with ~/.local/share and ~/.config where the variables are not set. */
#ifndef IL_BUNDLE_STORE_H
#define IL_BUNDLE_STORE_H

#include "bundle/bundle.h"

/* The user's folders; malloc'ed, NULL when there is no home or memory is out. */
char *il_store_data(void);
char *il_store_keys(void);

/* The keys that the user trusts, at most IL_MINISIGN_KEYS; none where there is no file.
 */
il_status il_store_keys_read(il_public_key *keys, size_t *count, il_error *err);
/* Adds keys of a file to those, each once; IL_ERR_INPUT where they would be too many. */
il_status il_store_keys_add(const char *path, size_t *added, il_error *err);

/* Installs an opened bundle, replacing another version of it. A plugin file of that
 * name that came from no bundle, and a component that another installed bundle offers,
 * too, are IL_ERR_INPUT. The plugin is put in its place last: what a kill leaves half
 * done is listed as changed, and installing again mends it. */
il_status il_store_install(const il_bundle *b, il_error *err);
/* The version that is installed under an id, malloc'ed; NULL when none is. */
char *il_store_version(const char *id);

/* What is installed, nothing where there is no home: an array of {id, version, licence, summary, sha256, signer}, the
 * signer's key name null where none of the keys signed it, or where the plugin is no
 * longer what the bundle installed ("changed": true). The caller decrefs it. */
il_status il_store_list(const il_public_key *keys, size_t count, json_t **out,
                        il_error *err);

#endif
