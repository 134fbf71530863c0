/* Folders of weights as Hugging Face's libraries write them: a configuration in JSON
 * and one safetensors file, or several with an index that says which holds which
 * tensor.
 *
 * Everything is checked when the folder is opened: that the configuration is an object,
 * that the index names plain files of this folder, that they are there and hold what
 * it says, and no tensor twice. The files stay mapped, so that whatever is taken from
 * them need not be copied. */
#ifndef IL_FORMATS_PRETRAINED_H
#define IL_FORMATS_PRETRAINED_H

#include <jansson.h>
#include "interloop/pretrained.h"
#include "base/hash.h"
#include "formats/safetensors.h"

#define IL_PRETRAINED_CONFIG_MAX ((size_t)1 << 20)
#define IL_PRETRAINED_INDEX_MAX  ((size_t)32 << 20)
#define IL_PRETRAINED_FILES_MAX  1024

/* Opens FOLDER/`config` and FOLDER/`weights`.safetensors, or, where that is not there,
 * the files that FOLDER/`weights`.safetensors.index.json lists. What is wrong with
 * their contents is IL_ERR_INPUT with the file, a file that cannot be read IL_ERR_IO.
 */
il_status il_pretrained_open(il_pretrained **out, const char *folder,
                             const char *config, const char *weights, il_error *err);
void il_pretrained_close(il_pretrained *p); /* takes NULL */

const char *il_pretrained_folder(const il_pretrained *p);
const char *il_pretrained_config_name(const il_pretrained *p);
const json_t *il_pretrained_config(const il_pretrained *p);

/* A tensor and the file that it lies in; NULL for an unknown name. */
const il_safetensor *il_pretrained_find(const il_pretrained *p, const char *name,
                                        size_t *file);
const il_mapped *il_pretrained_map(const il_pretrained *p, size_t file);
const char *il_pretrained_path(const il_pretrained *p, size_t file);
/* Whether nearly all of a file is float32 that begins at whole floats, so that it can
 * be worked on where it is mapped. */
bool il_pretrained_plain(const il_pretrained *p, size_t file);

/* A hash over the configuration and every byte of every file: what the weights are. */
il_status il_pretrained_hash(const il_pretrained *p, char hex[IL_HASH_HEX],
                             il_error *err);

#endif
