/* Members asked in turn: those after the first are computed on the rows alone that ask
 * for them. See logits_private.h. */
#include <string.h>
#include "detect/composite.h"
#include "detect/logits_private.h"
#include "interloop/abi.h"

bool il__detector_in_turn(const il_detector *d)
{
    bool turns = d->member_count > 1 && IL_HAS(il_instance_detector(d->instance), asks);

    for (size_t i = 0; turns && i < d->member_count; i++) {
        turns = d->member_widths[i] == 1;
    }
    return turns;
}

/* The rows that ask, with what is kept for them. */
typedef struct subset {
    il_scored rows;
    il_tensor **acts; /* [site] */
} subset;

/* Documents in which a row asks, in their order; place[b] is a document's place among
 * them. Returns how many. */
static int64_t documents_of(const il_scored *rows, const int32_t *asking, int64_t n,
                            int32_t *documents, int64_t *place)
{
    int64_t count = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t b = rows->rows[asking[i]] / rows->length;

        if (count == 0 || documents[count - 1] != b) {
            documents[count] = (int32_t)b;
            place[b] = count++;
        }
    }
    return count;
}

/* The rows themselves; positions move with their documents. `picked` lists, for what is
 * gathered, the rows of activations that are needed. */
static void cut_rows(subset *s, const il_scored *from, const int32_t *asking, int64_t n,
                     const int64_t *place, int32_t *picked)
{
    int64_t tokens = 0;
    il_scored *to = &s->rows;

    for (int64_t i = 0; i < n; i++) {
        int64_t at = from->rows[asking[i]];
        int64_t b = at / from->length;
        int64_t shift = place != NULL ? (place[b] - b) * from->length : 0;

        to->rows[i] = (int32_t)(at + shift);
        if (to->first != NULL) {
            to->first[i] = tokens;
        }
        for (int64_t k = il_scored_first(from, asking[i]);
             k < il_scored_first(from, asking[i] + 1); k++) {
            picked[tokens] = (int32_t)k;
            if (to->tokens != NULL) {
                to->tokens[tokens] = (int32_t)(from->tokens[k] + shift);
            }
            tokens++;
        }
    }
    to->count = n;
    if (to->first != NULL) {
        to->first[n] = tokens;
    }
}

static bool room_for(subset *s, il_pass *pass, const il_scored *from, int64_t n,
                     int32_t **picked, int32_t **documents, int64_t **place)
{
    size_t tokens = (size_t)il_scored_first(from, from->count) + 1;
    size_t batch = (size_t)from->batch + 1;
    il_scored *to = &s->rows;

    *to = *from;
    to->labels = NULL;
    to->documents = NULL;
    to->token_labels = NULL;
    to->rows = il_pass_alloc(pass, ((size_t)n + 1) * sizeof *to->rows);
    *picked = il_pass_alloc(pass, tokens * sizeof **picked);
    *documents = il_pass_alloc(pass, batch * sizeof **documents);
    *place = il_pass_alloc(pass, batch * sizeof **place);
    if (from->first != NULL) {
        to->first = il_pass_alloc(pass, ((size_t)n + 1) * sizeof *to->first);
        to->tokens = il_pass_alloc(pass, tokens * sizeof *to->tokens);
    }
    return to->rows != NULL && *picked != NULL && *documents != NULL &&
           *place != NULL &&
           (from->first == NULL || (to->first != NULL && to->tokens != NULL));
}

/* Of what is kept by document, `bytes` each, that of the documents that are left; NULL
 * of NULL. */
static const void *cut_documents(il_pass *pass, const void *from, size_t bytes,
                                 const int32_t *documents, int64_t count)
{
    char *out = from != NULL ? il_pass_alloc(pass, (size_t)(count + 1) * bytes) : NULL;

    for (int64_t b = 0; out != NULL && b < count; b++) {
        memcpy(out + (size_t)b * bytes,
               (const char *)from + (size_t)documents[b] * bytes, bytes);
    }
    return out;
}

static bool cut(subset *s, const il_detector *d, il_pass *pass, const il_scored *from,
                il_tensor *const *x, bool gathered, const int32_t *asking, int64_t n)
{
    int32_t *picked = NULL;
    int32_t *documents = NULL;
    int64_t *place = NULL;
    int64_t count;

    s->acts = il_pass_alloc(pass, (d->site_count + 1) * sizeof(il_tensor *));
    if (s->acts == NULL || !room_for(s, pass, from, n, &picked, &documents, &place)) {
        return false;
    }
    count = documents_of(from, asking, n, documents, place);
    cut_rows(s, from, asking, n, gathered ? NULL : place, picked);
    if (!gathered) {
        size_t length = (size_t)from->length;

        s->rows.batch = count;
        s->rows.lengths =
            cut_documents(pass, from->lengths, sizeof(int32_t), documents, count);
        s->rows.inputs = cut_documents(pass, from->inputs, length * sizeof(int32_t),
                                       documents, count);
        s->rows.keys = cut_documents(pass, from->keys, length, documents, count);
    }
    for (size_t i = 0; i < d->site_count; i++) {
        int64_t width = d->widths[i];

        if (gathered) {
            s->acts[i] =
                il_gather_rows(pass, x[i], il_scored_first(&s->rows, n), picked);
            continue;
        }
        s->acts[i] =
            il_reshape(pass, x[i], IL_SHAPE(from->batch, from->length * width));
        s->acts[i] = il_gather_rows(pass, s->acts[i], count, documents);
        s->acts[i] = il_reshape(pass, s->acts[i], IL_SHAPE(count, from->length, width));
    }
    return true;
}

il_status il__detector_turns(const il_detector *d, il_pass *pass, const il_acts *acts,
                             il_tensor **inputs, int64_t *asked, il_error *err)
{
    const il_detector_api *api = il_instance_detector(d->instance);
    il_scored rows =
        il__detector_reads_pooled(d) ? acts->rows : il_scored_tokens(&acts->rows);
    size_t n = (size_t)rows.count;
    size_t members = d->member_count;
    float *said = il_pass_alloc(pass, (n * members + 1) * sizeof *said); /* by row */
    int32_t *asking = il_pass_alloc(pass, (n + 1) * sizeof *asking);
    int64_t left = rows.count;
    il_tensor *x[IL_DETECTOR_SITES_MAX];

    IL_TRY(il__detector_borrow(d, pass, acts, x, err));
    for (int64_t i = 0; asking != NULL && i < rows.count; i++) {
        asking[i] = (int32_t)i;
    }
    for (size_t m = 0; said != NULL && asking != NULL && m < members; m++) {
        float *column = il_pass_alloc(pass, (n + 1) * sizeof *column);
        il_tensor *z = NULL;
        int64_t next = 0;
        subset s;

        if (column == NULL ||
            (left > 0 && !cut(&s, d, pass, &rows, x, acts->gathered, asking, left))) {
            break;
        }
        memset(column, 0, (n + 1) * sizeof *column);
        asked[m] += left;
        if (left > 0) {
            z = il__detector_member(d, m, pass, &s.rows, s.acts, acts->gathered);
            IL_TRY(il_pass_status(pass, err));
        }
        for (int64_t i = 0; i < left; i++) {
            int32_t row = asking[i];
            float *mine = said + (size_t)row * members;

            mine[m] = column[row] = il_f32(z)[i];
            if (m + 1 < members && api->asks(d->instance->self, (int32_t)m + 1, mine)) {
                asking[next++] = row;
            }
        }
        left = next;
        inputs[m] = il_pass_borrow(pass, IL_SHAPE(rows.count, 1), column);
    }
    return il_pass_status(pass, err);
}
