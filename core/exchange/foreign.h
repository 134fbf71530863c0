/* Other people's files of detectors, whatever format they are in: what a path holds is
 * told from the contents, or said by the caller. */
#ifndef IL_EXCHANGE_FOREIGN_H
#define IL_EXCHANGE_FOREIGN_H

#include "exchange/dictionary.h"
#include "exchange/direction.h"

typedef enum il_foreign_format {
    IL_FOREIGN_ANY, /* tell from the contents */
    IL_FOREIGN_SAELENS,
    IL_FOREIGN_SPARSIFY,
    IL_FOREIGN_GEMMA_SCOPE,
    IL_FOREIGN_PROBE,
    IL_FOREIGN_GGUF
} il_foreign_format;

/* "saelens", "sparsify", "gemma_scope", "probe", "gguf"; NULL past the last. */
const char *il_foreign_name(il_foreign_format format);

typedef struct il_foreign {
    il_foreign_format format;
    bool is_dictionary;
    il_dictionary dictionary; /* one of the two */
    il_directions directions;
    il_text said; /* what was seen, line by line */
    /* Rows and what they are to give, where the file has them: of a folder those in
     * expected.safetensors (x, features, output). NULL: none. */
    float *rows;
    float *features;
    float *output;
    float *scores; /* of a probe */
    int64_t row_count;
} il_foreign;

/* Reads a file or a folder. What it is no reader for is IL_ERR_INPUT with what was
 * expected; pickles are refused unread, for they run code. */
il_status il_foreign_open(il_foreign **out, const char *path, il_foreign_format format,
                          il_error *err);
void il_foreign_close(il_foreign *f); /* takes NULL */

#endif
