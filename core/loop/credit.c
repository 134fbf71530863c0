/* The credit map: see credit.h. */
#include "loop/credit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "loop/terms_private.h"
#include "loop/trainer_private.h"
#include "pipeline/batch.h"

enum { TOKENS_SHOWN = 32 };

/* Sums over rows; which of the last three are used depends on the channel. */
typedef struct cell {
    double rows;
    double reading;
    double credit; /* of a loss or a gate; of a reward what its reading sent */
    double received;
    double size; /* of the absolute values of credit */
} cell;

typedef struct token_cell {
    int32_t token;
    cell sums;
} token_cell;

/* A named field, and rows where it is not set and where it is. */
typedef struct field_cell {
    const il_field *field;
    cell sums[2];
} field_cell;

/* The map of one signal on its way. */
typedef struct map {
    const il_trainer *t;
    const il_term *term;
    il_arena *arena;
    int64_t length;
    cell *positions; /* (L) */
    field_cell *fields;
    size_t field_count;
    token_cell *tokens; /* by token, as many as the largest that came */
    int32_t token_room;
    bool reward;
} map;

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "credit", "out of memory");
}

static void add_to(cell *c, const cell *x)
{
    c->rows += x->rows;
    c->reading += x->reading;
    c->credit += x->credit;
    c->received += x->received;
    c->size += x->size;
}

/* Whether a mask or label is set at a flat position. */
static bool set_at(const il_batch *batch, const il_field *field, int64_t row,
                   int64_t length)
{
    const il_tensor *x = il_batch_find(batch, field->name);

    return x != NULL && x->dtype.code == IL_CODE_UINT && x->dtype.bits == 8 &&
           il_u8(x)[x->ndim == 2 ? row : row / length] != 0;
}

/* The token at a flat position, or -1. */
static int32_t token_at(const il_trainer *t, const il_batch *batch, int64_t row)
{
    const char *name = il_field_of_role(t->terms->rows, IL_FIELD_INPUT);
    const il_tensor *x = name != NULL ? il_batch_find(batch, name) : NULL;

    return x != NULL && x->dtype.code == IL_CODE_INT && x->dtype.bits == 32 &&
                   row < il_count(x)
               ? il_i32(x)[row]
               : -1;
}

/* Room for tokens up to this one. */
static il_status reach_token(map *m, int32_t token, il_error *err)
{
    int32_t room = m->token_room > 0 ? m->token_room : 256;
    token_cell *grown;

    if (token < m->token_room) {
        return IL_OK;
    }
    while (room <= token) {
        room *= 2;
    }
    grown = il_arena_calloc(m->arena, (size_t)room, sizeof *grown);
    if (grown == NULL) {
        return no_memory(err);
    }
    for (int32_t i = 0; i < room; i++) {
        grown[i].token = i;
    }
    if (m->token_room > 0) {
        memcpy(grown, m->tokens, (size_t)m->token_room * sizeof *grown);
    }
    m->tokens = grown;
    m->token_room = room;
    return IL_OK;
}

/* Adds what one row came to. `row` is a flat position of the batch. */
static il_status add_row(map *m, const il_batch *batch, int64_t row, const cell *x,
                         il_error *err)
{
    int32_t token = token_at(m->t, batch, row);

    add_to(&m->positions[row % m->length], x);
    for (size_t i = 0; i < m->field_count; i++) {
        add_to(&m->fields[i].sums[set_at(batch, m->fields[i].field, row, m->length)],
               x);
    }
    if (token >= 0) {
        IL_TRY(reach_token(m, token, err));
        add_to(&m->tokens[token].sums, x);
    }
    return IL_OK;
}

/* ---- losses and gates ----------------------------------------------------------- */

/* A detector's probabilities and, where wanted, logits by flat position. A score of a
 * whole sequence is that of each of its positions. */
static il_status spread_scores(const il_terms *t, int d, const il_micro_scores *s,
                               il_arena *arena, float **p, il_error *err)
{
    int64_t all = s->rows.batch * s->rows.length;

    *p = il_arena_calloc(arena, (size_t)all + 1, sizeof **p);
    if (*p == NULL) {
        return no_memory(err);
    }
    for (int64_t i = 0; i < s->rows.count; i++) {
        float value = (float)il_calibration_probability(
            &t->world->detectors[d]->calibration, il_f32(s->logits)[i]);
        int64_t row = s->rows.rows[i];
        int64_t from =
            s->rows.first != NULL ? row / s->rows.length * s->rows.length : row;
        int64_t to = s->rows.first != NULL ? from + s->rows.length : row + 1;

        for (int64_t k = from; k < to; k++) {
            (*p)[k] = value;
        }
    }
    return IL_OK;
}

/* The rows of a term whose coefficients stand in its seeds. */
static il_status add_seeds(map *m, const il_micro *micro, il_forward *f,
                           const il_term_rows *rows, const float *seeds, il_error *err)
{
    const il_terms *terms = m->t->terms;
    const il_term *term = m->term;
    int read = term->gate >= 0 ? term->gate : term->detector;
    double weight = il_term_weight(term->spec, m->t->step - 1,
                                   il_train_length(&m->t->stage->train));
    const il_micro_scores *own =
        term->kind == IL_TERM_DETECTOR ? &f->scores[term->detector] : NULL;
    float *p = NULL;

    IL_TRY(spread_scores(terms, read, &f->scores[read], m->arena, &p, err));
    for (int64_t r = 0; r < rows->count; r++) {
        int64_t row = rows->rows[r];
        double credit = seeds[r] * weight;
        cell x = {.rows = 1, .reading = p[row]};

        if (own != NULL) {
            credit /= 1.0 + exp(-(double)il_f32(own->logits)[r]);
        }
        if (term->gate >= 0) {
            credit *= p[row];
        }
        x.credit = credit;
        x.size = fabs(credit);
        IL_TRY(add_row(m, micro->batch, row, &x, err));
    }
    return IL_OK;
}

static il_status map_loss(map *m, size_t i, il_error *err)
{
    il_trainer *t = (il_trainer *)m->t;
    il_worker *worker = &t->workers[0];
    int kind = m->term->runs[IL_PASS_SECOND] ? IL_PASS_SECOND : IL_PASS_FIRST;
    il_terms_run run = {.kind = kind,
                        .step = t->step - 1,
                        .values = t->bound[kind],
                        .moments = t->rollouts != NULL ? &t->moments : NULL};

    for (size_t k = 0; k < t->micro_count; k++) {
        il_micro *micro = &t->micros[k];
        il_term_rows rows = {0};
        il_forward *f = NULL;
        il_tensor *root = NULL;
        float *seeds = NULL;

        if (!il_term_on(m->term, micro->lot)) {
            continue;
        }
        il_arena_reset(worker->scratch);
        IL_TRY(il__terms_open(t->terms, worker, micro, &run, &f, err));
        IL_TRY(il__term_root(t->terms, i, worker, micro, &run, f, &root, &seeds, err));
        IL_TRY(il_pass_status(f->pass, err));
        if (root != NULL) {
            IL_TRY(il__term_rows(t->terms, m->term, micro->batch, worker->scratch,
                                 &rows, err));
            IL_TRY(add_seeds(m, micro, f, &rows, seeds, err));
        }
    }
    return IL_OK;
}

/* ---- rewards -------------------------------------------------------------------- */

/* What a reward that follows the k-th action of an episode is worth to that action and
 * those before it, for each unit of it: the sum of (gamma lambda)^j, or of a group its
 * share of the excess, once for each action. */
static double reach_of(const il_trainer *t, const il_micro *micro, int64_t k,
                       int64_t actions)
{
    const il_algorithm_spec *a = &t->stage->train.algorithm;
    int64_t group = t->stage->train.rollouts[micro->lot].samples;
    double decay = a->gamma * a->lambda;
    double sum = 0;
    double each = 1;

    if (a->kind == IL_ALGORITHM_GROUP_RELATIVE) {
        return (double)actions * (1.0 - 1.0 / (double)(group > 0 ? group : 1));
    }
    for (int64_t j = 0; j <= k; j++) {
        sum += each;
        each *= decay;
    }
    return sum;
}

static il_status map_reward(map *m, size_t i, il_error *err)
{
    const il_trainer *t = m->t;
    const il_term *term = m->term;
    double weight =
        il_term_weight(term->spec, t->step - 1, il_train_length(&t->stage->train)) *
        t->stage->train.algorithm.reward_scale *
        (term->spec->source.kind == IL_SOURCE_REWARD ? 1.0 : -1.0);

    for (size_t k = 0; k < t->micro_count; k++) {
        const il_micro *micro = &t->micros[k];
        const il_play *play = &micro->play;

        for (int64_t e = 0; il_term_on(term, micro->lot) && e < play->episodes; e++) {
            int64_t first = play->first[e];
            int64_t actions = play->first[e + 1] - first;

            for (int64_t n = first; n < play->first[e + 1]; n++) {
                double scale =
                    (play->scale != NULL ? play->scale[n] : t->moments.scale) /
                    term->normalizer;
                cell x = {.rows = 1,
                          .reading = weight != 0 ? play->rewards[i][n] / weight : 0.0,
                          .credit = play->rewards[i][n] * scale *
                                    reach_of(t, micro, n - first, actions),
                          .received = play->advantage[i][n] * scale};

                x.size = fabs(x.credit);
                IL_TRY(add_row(m, micro->batch, play->rows[n], &x, err));
            }
        }
    }
    return IL_OK;
}

/* ---- whether it depends on the action ------------------------------------------- */

typedef struct acted {
    int32_t position;
    int32_t action;
    int64_t place; /* keeps the order of equals */
    double value;
} acted;

static int by_position(const void *a, const void *b)
{
    const acted *x = a;
    const acted *y = b;

    if (x->position != y->position) {
        return x->position < y->position ? -1 : 1;
    }
    if (x->action != y->action) {
        return x->action < y->action ? -1 : 1;
    }
    return (x->place > y->place) - (x->place < y->place);
}

/* The share of groups of answers to one prompt in which the term tells answers apart.
 */
static double groups_apart(const map *m, size_t i)
{
    const il_trainer *t = m->t;
    double apart = 0;
    double groups = 0;

    for (size_t k = 0; k < t->micro_count; k++) {
        const il_micro *micro = &t->micros[k];
        const il_play *play = &micro->play;
        int64_t group = t->stage->train.rollouts[micro->lot].samples;

        for (int64_t e = 0; il_term_on(m->term, micro->lot) && group > 1 &&
                            e + group <= play->episodes;
             e += group) {
            bool differs = false;

            for (int64_t n = play->first[e]; n < play->first[e + group]; n++) {
                differs = differs || fabs(play->advantage[i][n]) >
                                         1e-9 * fabs(play->rewards[i][n]) + 1e-15;
            }
            apart += differs;
            groups += 1;
        }
    }
    return groups > 0 ? apart / groups : NAN;
}

/* Rows of the term's own part of the advantages, sorted. */
static il_status gather_rows(const map *m, size_t i, il_credit_rows *out, il_error *err)
{
    const il_trainer *t = m->t;
    int64_t count = 0;
    acted *all;

    for (size_t k = 0; k < t->micro_count; k++) {
        count += il_term_on(m->term, t->micros[k].lot) ? t->micros[k].play.count : 0;
    }
    all = il_arena_calloc(m->arena, (size_t)count + 1, sizeof *all);
    out->positions =
        il_arena_calloc(m->arena, (size_t)count + 1, sizeof *out->positions);
    out->actions = il_arena_calloc(m->arena, (size_t)count + 1, sizeof *out->actions);
    out->values = il_arena_calloc(m->arena, (size_t)count + 1, sizeof *out->values);
    if (all == NULL || out->positions == NULL || out->actions == NULL ||
        out->values == NULL) {
        return no_memory(err);
    }
    count = 0;
    for (size_t k = 0; k < t->micro_count; k++) {
        const il_play *play = &t->micros[k].play;

        for (int64_t n = 0; il_term_on(m->term, t->micros[k].lot) && n < play->count;
             n++) {
            all[count] = (acted){.position = (int32_t)(play->rows[n] % play->length),
                                 .action = play->actions[n],
                                 .place = count,
                                 .value = play->advantage[i][n]};
            count++;
        }
    }
    qsort(all, (size_t)count, sizeof *all, by_position);
    for (int64_t n = 0; n < count; n++) {
        out->positions[n] = all[n].position;
        out->actions[n] = all[n].action;
        out->values[n] = all[n].value;
    }
    out->count = count;
    return IL_OK;
}

static void set_number(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, isfinite(value) ? json_real(value) : json_null());
}

static il_status action_json(const map *m, size_t i, json_t **out, il_error *err)
{
    const il_trainer *t = m->t;
    double apart = groups_apart(m, i);
    il_credit_rows rows = {0};
    il_credit_action a;

    IL_TRY(gather_rows(m, i, &rows, err));
    if (!il_credit_depends(&rows, t->world->seed, ((uint64_t)t->step << 16) + i, &a)) {
        return no_memory(err);
    }
    /* Of answers to one prompt what is the same in every group has no part left. */
    if (apart == 0) {
        a.verdict = IL_CREDIT_DROPS_OUT;
    }
    *out = json_pack("{s:s, s:I, s:I, s:f}", "verdict",
                     il_credit_verdict_name(a.verdict), "rows", (json_int_t)a.rows,
                     "compared", (json_int_t)a.compared, "variance", a.variance);
    set_number(*out, "share", a.share);
    set_number(*out, "p", a.p);
    set_number(*out, "least", a.least);
    set_number(*out, "groups_apart", apart);
    return IL_OK;
}

/* ---- tables --------------------------------------------------------------------- */

static void put_cell(const map *m, json_t *o, const cell *c)
{
    double n = c->rows > 0 ? c->rows : 1.0;

    json_object_set_new(o, "rows", json_integer((json_int_t)c->rows));
    json_object_set_new(o, "reading", json_real(c->reading / n));
    json_object_set_new(o, m->reward ? "sent" : "credit", json_real(c->credit));
    if (m->reward) {
        json_object_set_new(o, "received", json_real(c->received));
    }
    json_object_set_new(o, "size", json_real(c->size));
}

static int by_size(const void *a, const void *b)
{
    const token_cell *x = a;
    const token_cell *y = b;

    if (x->sums.size != y->sums.size) {
        return x->sums.size > y->sums.size ? -1 : 1;
    }
    return (x->token > y->token) - (x->token < y->token);
}

static json_t *tokens_json(map *m)
{
    json_t *out = json_array();

    if (m->token_room > 0) {
        qsort(m->tokens, (size_t)m->token_room, sizeof *m->tokens, by_size);
    }
    for (int32_t i = 0; i < m->token_room && i < TOKENS_SHOWN; i++) {
        json_t *o;

        if (m->tokens[i].sums.rows == 0) {
            break;
        }
        o = json_pack("{s:i}", "token", (int)m->tokens[i].token);
        put_cell(m, o, &m->tokens[i].sums);
        json_array_append_new(out, o);
    }
    return out;
}

static json_t *fields_json(const map *m)
{
    json_t *out = json_object();

    for (size_t i = 0; i < m->field_count; i++) {
        const field_cell *f = &m->fields[i];
        json_t *parts[2] = {json_object(), json_object()};

        for (int k = 0; k < 2; k++) {
            put_cell(m, parts[k], &f->sums[k]);
        }
        json_object_set_new(
            out, f->field->name,
            json_pack("{s:s, s:o, s:o}", "role",
                      f->field->role == IL_FIELD_MASK ? "mask" : "label", "set",
                      parts[1], "unset", parts[0]));
    }
    return out;
}

static json_t *map_json(map *m)
{
    const il_term *term = m->term;
    json_t *out = json_pack("{s:s}", "channel", il_channel_name(term->channel));
    json_t *positions = json_array();

    json_object_set_new(
        out, term->gate >= 0 ? "gate" : "source",
        json_string(term->gate >= 0 ? term->spec->gate.name : term->spec->source.name));
    if (term->gate >= 0) {
        json_object_set_new(
            out, "scrambled",
            json_boolean(term->spec->gate.scramble != IL_SCRAMBLE_NONE));
    }
    for (int64_t p = 0; p < m->length; p++) {
        if (m->positions[p].rows > 0) {
            json_t *o = json_pack("{s:I}", "position", (json_int_t)p);

            put_cell(m, o, &m->positions[p]);
            json_array_append_new(positions, o);
        }
    }
    json_object_set_new(out, "positions", positions);
    json_object_set_new(out, "fields", fields_json(m));
    json_object_set_new(out, "tokens", tokens_json(m));
    return out;
}

/* ---- all of it ------------------------------------------------------------------ */

/* Positions of a row of the batch. */
static int64_t length_of(const il_trainer *t)
{
    const char *name = t->rollouts != NULL
                           ? "moves"
                           : il_field_of_role(t->terms->rows, IL_FIELD_INPUT);
    const il_tensor *x = il_batch_find(t->micros[0].batch, name);

    return x != NULL && x->ndim >= 2 ? x->shape[1] : 1;
}

static il_status open_map(map *m, il_trainer *t, size_t i, il_arena *arena,
                          il_error *err)
{
    int32_t count = 0;
    const il_field *fields = il_instance_fields(t->terms->rows, &count);

    *m = (map){.t = t,
               .term = &t->terms->items[i],
               .arena = arena,
               .length = length_of(t),
               .reward = t->terms->items[i].kind == IL_TERM_REWARD};
    m->positions = il_arena_calloc(arena, (size_t)m->length + 1, sizeof *m->positions);
    m->fields = il_arena_calloc(arena, (size_t)count + 1, sizeof *m->fields);
    if (m->positions == NULL || m->fields == NULL) {
        return no_memory(err);
    }
    for (int32_t k = 0; k < count; k++) {
        if (fields[k].role == IL_FIELD_MASK || fields[k].role == IL_FIELD_LABEL) {
            m->fields[m->field_count++].field = &fields[k];
        }
    }
    return IL_OK;
}

/* Whether a term has a map: a detector or a label presses by it, or it is a reward. */
static bool mapped(const il_term *term)
{
    bool runs = term->runs[IL_PASS_FIRST] || term->runs[IL_PASS_SECOND];

    return runs && !term->implicit &&
           (term->kind == IL_TERM_REWARD || term->detector >= 0 || term->gate >= 0);
}

static il_status map_term(il_trainer *t, size_t i, json_t *signals, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 14);
    json_t *action = NULL;
    json_t *json = NULL;
    map m;
    il_status status = arena != NULL ? open_map(&m, t, i, arena, err) : no_memory(err);

    if (status == IL_OK) {
        status = m.reward ? map_reward(&m, i, err) : map_loss(&m, i, err);
    }
    if (status == IL_OK && m.reward) {
        status = action_json(&m, i, &action, err);
    }
    if (status == IL_OK) {
        json = map_json(&m);
        if (action != NULL) {
            json_object_set(json, "action", action);
        }
        json_object_set_new(signals, m.term->spec->name, json);
    }
    json_decref(action);
    il_arena_destroy(arena);
    return status;
}

il_status il_credit_map(il_trainer *t, json_t **out, il_error *err)
{
    json_t *signals;
    il_status status = IL_OK;

    *out = NULL;
    if (t->step == 0 || t->micro_count == 0 ||
        il_batch_fields(t->micros[0].batch) == 0) {
        return IL_OK; /* nothing has been trained here yet */
    }
    signals = json_object();
    for (size_t i = 0; status == IL_OK && i < t->terms->count; i++) {
        if (mapped(&t->terms->items[i])) {
            status = map_term(t, i, signals, err);
        }
    }
    if (status == IL_OK && json_object_size(signals) > 0) {
        *out = json_pack("{s:I, s:O}", "step", (json_int_t)t->step, "signals", signals);
        status = *out != NULL ? IL_OK : no_memory(err);
    }
    json_decref(signals);
    return status;
}
