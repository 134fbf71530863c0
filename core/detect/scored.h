/* Scored rows: which positions of a batch a detector gives a logit for, with what is
 * known of each. */
#ifndef IL_DETECT_SCORED_H
#define IL_DETECT_SCORED_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/batch.h"
#include "interloop/status.h"
#include "base/arena.h"

/* Positions of a batch of `batch` (B) documents of `length` (T) positions. */
typedef struct il_scored {
    int64_t batch;
    int64_t length;
    const int32_t *lengths; /* (B): where padding begins; NULL: nowhere */
    int64_t count;
    int32_t *rows;   /* (N) b*T+t, ascending */
    uint8_t *labels; /* (N), or NULL when none were asked for */
    int64_t
        *documents; /* (N): ids by which rows are clustered and splits are told apart */
    /* Where a row stands for a whole sequence (and `rows` names its last scored
     * position): the scored positions behind each, those of row i from place first[i] -
     * first[0] on. A sequence without any has no row, one with a positive position is
     * positive. NULL: a row is a position. */
    int64_t *first;        /* (N+1) */
    int32_t *tokens;       /* flat positions, ascending */
    uint8_t *token_labels; /* of each, or NULL */
    const int32_t *inputs; /* (B,T): tokens; NULL: the input is something else */
    const uint8_t *keys;   /* (B,T): the mask of fields.keys; NULL: none was named */
} il_scored;

/* Where the positions of row i begin; of i = N, how many there are in all. */
static inline int64_t il_scored_first(const il_scored *s, int64_t i)
{
    return s->first != NULL ? s->first[i] - s->first[0] : i;
}
/* Makes positions into sequences: afterwards a row is a document's, in the arena. */
il_status il_scored_gather(il_scored *s, il_arena *arena, il_error *err);
/* The scored positions themselves, a row each. Documents are left out where rows were
 * sequences. */
il_scored il_scored_tokens(const il_scored *s);
/* The rows as positions of their own: the last of each where they are sequences. */
il_scored il_scored_flat(const il_scored *s);

/* What a batch's fields are called for this purpose. */
typedef struct il_scored_fields {
    const char *input;  /* (B,T,...): gives T */
    const char *tokens; /* "all" or a mask (B,T) u8 */
    const char *label;  /* (B) or (B,T) u8; NULL: no labels */
    const char *unit; /* (B) i64, or NULL: documents are numbered from first_document */
    int64_t first_document;
    bool pooled;      /* one row a sequence */
    const char *keys; /* a mask (B,T) u8 beside; NULL: none */
} il_scored_fields;

/* The scored rows of a batch, in the arena. Padding is never scored: a field "lengths"
 * (B) i32, when the batch has one, tells where it begins. */
il_status il_scored_find(il_scored *out, const il_batch *batch,
                         const il_scored_fields *fields, il_arena *arena,
                         il_error *err);

/* The ids of a set of rows, each once, ascending, in the arena; NULL when memory is
 * out. */
int64_t *il_documents_list(const il_scored *rows, il_arena *arena, int64_t *count);
/* Two ascending lists as one, each id once, in the arena; NULL when memory is out. */
int64_t *il_documents_join(int64_t n, const int64_t *a, int64_t m, const int64_t *b,
                           il_arena *arena, int64_t *count);
/* Orders ids, for qsort and bsearch. */
int il_documents_compare(const void *a, const void *b);
/* Whether two ascending lists share an id; *shared is then the first. */
bool il_documents_meet(int64_t n, const int64_t *a, int64_t m, const int64_t *b,
                       int64_t *shared);

#endif
