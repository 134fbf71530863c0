/* Activations from elsewhere: arrays in .npy or safetensors files, as rows that a
 * detector can be fitted on and judged by, whatever model they came from. */
#ifndef IL_DETECT_GIVEN_H
#define IL_DETECT_GIVEN_H

#include <jansson.h>
#include "detect/harvest.h"
#include "formats/shards.h"

#define IL_GIVEN_KEY  IL_SHARDS_KEY  /* metadata: what they are, as JSON */
#define IL_GIVEN_ACTS IL_SHARDS_ACTS /* before a site's name, of its tensor */

/* Where the arrays lie. A path names an .npy file, a safetensors file, a folder of
 * shards (formats/shards.h), or one tensor of these two as FILE#TENSOR. NULL: the
 * tensor of that name in the first file of activations
 * ("labels", "ids", "mask", "lengths"), if it has one. */
typedef struct il_given_input {
    const char *const *acts; /* (N,W) or (B,T,W), one a site, or all in one file */
    size_t count;
    /* Of the sites; NULL: those that the file says. Where they are sites of a folder of
     * shards, these alone are read. */
    const char *const *names;
    size_t name_count;
    const char *labels;  /* (N), (B,T) or (B), each 0 or 1 */
    const char *ids;     /* (N) or (B): of documents */
    const char *mask;    /* (N) or (B,T): which are scored; all without */
    const char *lengths; /* (B): where padding begins */
    const char *naming;  /* which files of a folder are shards; NULL: the usual */
} il_given_input;

/* What was read. Rows are as harvested ones, never gathered; without ids each row of
 * (N,W), and each sequence of (B,T,W), is a document by itself. */
typedef struct il_given {
    il_acts acts;
    il_instance model; /* stands for the model: it has these sites and nothing else */
    bool has_ids;      /* documents have ids of their own, not numbers of rows */
    json_t *about;     /* the file's own words on where it comes from, or NULL */
    il_arena *arena;
} il_given;

/* Reads them. Shapes that do not fit each other, labels that are no labels, rows of one
 * document that lie apart, and activations of scored rows that are no numbers are
 * IL_ERR_INPUT with file, place, expected and got. */
il_status il_given_read(il_given **out, const il_given_input *in, il_error *err);
void il_given_close(il_given *g); /* takes NULL */

/* Two parts of the rows, in the arena of `g`: one document in `of`, by a hash of its
 * id, is held back, so that no pattern in the ids decides what is. */
il_status il_given_hold(const il_given *g, int of, il_acts *kept, il_acts *held,
                        il_error *err);

#endif
