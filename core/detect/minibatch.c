#include "detect/minibatch.h"

#include <string.h>
#include "interloop/rng.h"

/* Rows are told apart by themselves, documents by where their rows stand. */
static bool by_document(const il_minibatch *m)
{
    return !m->all->gathered;
}

static int64_t document_of(const il_scored *rows, int64_t row)
{
    return rows->rows[row] / rows->length;
}

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "minibatch", "out of memory");
}

/* Where each unit's rows begin. */
static il_status find_units(il_minibatch *m, il_error *err)
{
    const il_scored *rows = &m->all->rows;

    m->from = il_arena_alloc(m->arena, ((size_t)rows->count + 1) * sizeof *m->from);
    if (m->from == NULL) {
        return no_memory(err);
    }
    for (int64_t r = 0; r < rows->count; r++) {
        if (!by_document(m) || r == 0 ||
            document_of(rows, r) != document_of(rows, r - 1)) {
            m->from[m->units++] = r;
        }
    }
    m->from[m->units] = rows->count;
    return IL_OK;
}

/* The most rows, and scored positions behind them, that a batch may hold. */
static void most(const il_minibatch *m, int64_t *rows, int64_t *tokens)
{
    int64_t longest = 0;
    int64_t widest = 0;

    for (int64_t u = 0; u < m->units; u++) {
        int64_t n = m->from[u + 1] - m->from[u];
        int64_t behind = il_scored_first(&m->all->rows, m->from[u + 1]) -
                         il_scored_first(&m->all->rows, m->from[u]);

        longest = n > longest ? n : longest;
        widest = behind > widest ? behind : widest;
    }
    *rows = m->batch * longest;
    *tokens = m->batch * widest;
}

static il_status make_room(il_minibatch *m, il_error *err)
{
    const il_scored *rows = &m->all->rows;
    il_scored *part = &m->part.rows;
    int64_t length = rows->length;
    int64_t n = 0;
    int64_t tokens = 0;

    most(m, &n, &tokens);
    m->part = *m->all;
    m->part.arena = NULL;
    m->order = il_arena_alloc(m->arena, (size_t)m->units * sizeof *m->order);
    m->data = il_arena_calloc(m->arena, m->all->site_count + 1, sizeof *m->data);
    part->rows = il_arena_alloc(m->arena, ((size_t)n + 1) * sizeof *part->rows);
    part->labels = il_arena_alloc(m->arena, (size_t)n + 1);
    part->documents = NULL;
    if (m->order == NULL || m->data == NULL || part->rows == NULL ||
        part->labels == NULL) {
        return no_memory(err);
    }
    if (rows->first != NULL) {
        part->first = il_arena_alloc(m->arena, ((size_t)n + 1) * sizeof *part->first);
        part->tokens =
            il_arena_alloc(m->arena, ((size_t)tokens + 1) * sizeof *part->tokens);
        part->token_labels = NULL;
        if (part->first == NULL || part->tokens == NULL) {
            return no_memory(err);
        }
    }
    if (by_document(m)) {
        int32_t *lengths = il_arena_alloc(m->arena, (size_t)m->batch * sizeof *lengths);
        int32_t *inputs =
            il_arena_alloc(m->arena, (size_t)(m->batch * length) * sizeof *inputs);
        uint8_t *keys = il_arena_alloc(m->arena, (size_t)(m->batch * length));

        if (lengths == NULL || inputs == NULL || keys == NULL) {
            return no_memory(err);
        }
        part->batch = m->batch;
        part->lengths = rows->lengths != NULL ? lengths : NULL;
        part->inputs = rows->inputs != NULL ? inputs : NULL;
        part->keys = rows->keys != NULL ? keys : NULL;
    }
    for (size_t i = 0; i < m->all->site_count; i++) {
        int64_t at = by_document(m) ? m->batch * length : tokens;

        m->data[i] = il_arena_alloc(m->arena, ((size_t)(at * m->all->widths[i]) + 1) *
                                                  sizeof(float));
        if (m->data[i] == NULL) {
            return no_memory(err);
        }
    }
    m->part.data = (const float *const *)m->data;
    return IL_OK;
}

il_status il_minibatch_open(il_minibatch *m, const il_acts *acts, int64_t batch,
                            uint64_t seed, il_error *err)
{
    memset(m, 0, sizeof *m);
    m->all = acts;
    m->seed = seed;
    m->epoch = -1;
    if (batch <= 0) {
        return IL_OK;
    }
    m->arena = il_arena_create(1 << 16);
    if (m->arena == NULL) {
        return no_memory(err);
    }
    IL_TRY(find_units(m, err));
    m->batch = batch < m->units ? batch : 0;
    return m->batch > 0 ? make_room(m, err) : IL_OK;
}

void il_minibatch_close(il_minibatch *m)
{
    il_arena_destroy(m->arena);
}

/* The n-th unit of all that are ever drawn. */
static int64_t unit_at(il_minibatch *m, int64_t n)
{
    if (n / m->units != m->epoch) {
        il_rng r;

        m->epoch = n / m->units;
        il_rng_open(&r, m->seed, 0, IL_RNG_FIT, (uint64_t)m->epoch, 0);
        for (int64_t i = 0; i < m->units; i++) {
            m->order[i] = i;
        }
        for (int64_t i = m->units - 1; i > 0; i--) {
            int64_t other = il_rng_below(&r, (uint32_t)(i + 1));
            int64_t kept = m->order[i];

            m->order[i] = m->order[other];
            m->order[other] = kept;
        }
    }
    return m->order[n % m->units];
}

/* Adds the u-th unit's activations as the j-th of the part: its positions' rows where
 * they are gathered, from `token` on, else its whole document. */
static void copy_acts(il_minibatch *m, int64_t u, int64_t j, int64_t token)
{
    const il_scored *rows = &m->all->rows;
    int64_t from = il_scored_first(rows, m->from[u]);
    int64_t count = il_scored_first(rows, m->from[u + 1]) - from;
    int64_t to = token;

    if (by_document(m)) {
        from = document_of(rows, m->from[u]) * rows->length;
        to = j * rows->length;
        count = rows->length;
    }
    for (size_t i = 0; i < m->all->site_count; i++) {
        int64_t w = m->all->widths[i];

        if (m->all->data[i] == NULL) {
            continue; /* another detector's site */
        }
        memcpy(m->data[i] + to * w, m->all->data[i] + from * w,
               (size_t)(count * w) * sizeof(float));
    }
}

/* Where a position of the whole stands in the part, whose j-th unit is its own. */
static int32_t place(const il_minibatch *m, int32_t position, int64_t j)
{
    int64_t length = m->all->rows.length;

    return by_document(m) ? (int32_t)(j * length + position % length) : position;
}

static void add_unit(il_minibatch *m, int64_t u, int64_t j)
{
    const il_scored *all = &m->all->rows;
    il_scored *part = &m->part.rows;
    int64_t token = all->first != NULL ? part->first[part->count] : part->count;

    copy_acts(m, u, j, token);
    for (int64_t r = m->from[u]; r < m->from[u + 1]; r++) {
        part->rows[part->count] = place(m, all->rows[r], j);
        part->labels[part->count] = all->labels[r];
        if (all->first != NULL) {
            int64_t end = il_scored_first(all, r + 1);

            for (int64_t k = il_scored_first(all, r); k < end; k++) {
                part->tokens[token++] = place(m, all->tokens[k], j);
            }
            part->first[part->count + 1] = token;
        }
        part->count++;
    }
    if (by_document(m)) {
        int64_t b = document_of(all, m->from[u]);

        if (all->lengths != NULL) {
            ((int32_t *)(uintptr_t)part->lengths)[j] = all->lengths[b];
        }
        if (all->inputs != NULL) {
            memcpy((int32_t *)(uintptr_t)part->inputs + j * all->length,
                   all->inputs + b * all->length,
                   (size_t)all->length * sizeof *all->inputs);
        }
        if (all->keys != NULL) {
            memcpy((uint8_t *)(uintptr_t)part->keys + j * all->length,
                   all->keys + b * all->length, (size_t)all->length);
        }
    }
}

il_status il_minibatch_draw(il_minibatch *m, int64_t step, il_error *err)
{
    il_scored *part = &m->part.rows;

    if (m->units > UINT32_MAX) {
        return il_error_set(err, IL_ERR_INPUT, "minibatch",
                            "%lld rows are too many to draw from", (long long)m->units);
    }
    part->count = 0;
    if (part->first != NULL) {
        part->first[0] = 0;
    }
    for (int64_t j = 0; j < m->batch; j++) {
        add_unit(m, unit_at(m, step * m->batch + j), j);
    }
    return IL_OK;
}
