/* The ledger: gradients taken apart on sampled steps. See ledger.h. */
#include "loop/ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "loop/trainer_private.h"

/* A sampled step costs about one more step for each entry, and a ledger nobody asked
 * for must not cost more than a twentieth of training. An update of reinforcement plays
 * its episodes once and keeps its tapes, so that an entry costs it less. */
enum { STEPS_AN_ENTRY = 30, UPDATES_AN_ENTRY = 10 };

static il_status no_memory(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "ledger", "out of memory");
}

/* ---- making one ----------------------------------------------------------------- */

static bool entered(const il_ledger *l, const il_flow_signal *s)
{
    for (size_t j = 0; s->enters != NULL && j < l->plan->flow.source_count; j++) {
        if (s->enters[j] != IL_ENTERS_NOT) {
            return true;
        }
    }
    return false;
}

static il_status open_entry(il_ledger *l, il_ledger_entry *e, il_error *err)
{
    il_arena *a = l->arena;

    e->gradient = il_store_block(l->trainer->world->model->store);
    e->squares = il_arena_calloc(a, l->bits + 1, sizeof *e->squares);
    e->dots = il_arena_calloc(a, l->bits + 1, sizeof *e->dots);
    e->others = il_arena_calloc(a, l->bits + 1, sizeof *e->others);
    e->work = il_arena_calloc(a, l->bits + 1, sizeof *e->work);
    return e->gradient != NULL && e->squares != NULL && e->dots != NULL &&
                   e->others != NULL && e->work != NULL
               ? IL_OK
               : no_memory(err);
}

/* The entries of a pass: each signal that a detector enters, then the others. */
static il_status add_entries(il_ledger *l, int kind, il_error *err)
{
    const il_terms *terms = l->trainer->terms;
    bool shadow = terms->shadow >= 0 && kind == IL_PASS_FIRST;
    il_word *rest = il_arena_calloc(l->arena, terms->words, sizeof *rest);
    bool any = false;

    if (rest == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < terms->count; i++) {
        const il_term *term = &terms->items[i];
        const il_flow_signal *facts = l->plan->facts[kind][i];

        if (!term->runs[kind]) {
            continue;
        }
        if (entered(l, facts)) {
            il_ledger_entry *e = &l->entries[l->count++];

            e->name = facts->name;
            e->term = term;
            e->facts = facts;
            e->kind = kind;
            e->own = term->detector >= 0 || term->gate >= 0;
            e->updates = term->updates[kind];
            IL_TRY(open_entry(l, e, err));
        } else {
            il_bits_or(rest, term->updates[kind], terms->words);
            any = true;
        }
    }
    if (any) {
        il_ledger_entry *e = &l->entries[l->count++];

        e->name = shadow ? "(untainted, shadow pass)" : IL_LEDGER_UNTAINTED;
        e->kind = kind;
        e->updates = rest;
        IL_TRY(open_entry(l, e, err));
    }
    return IL_OK;
}

/* What each entry is compared with. A gradient is zero where its signal updates
 * nothing.
 */
static il_status add_tasks(il_ledger *l, il_error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        il_ledger_entry *e = &l->entries[i];

        e->tasks = il_arena_calloc(l->arena, l->count, sizeof(const float *));
        if (e->tasks == NULL) {
            return no_memory(err);
        }
        for (size_t j = 0; j < l->count; j++) {
            const il_ledger_entry *other = &l->entries[j];

            if (j != i && other->kind == e->kind && !other->own) {
                e->tasks[e->task_count++] = other->gradient;
            }
        }
    }
    return IL_OK;
}

/* The declared detectors and the fresh readers; what an audit reads the same way on
 * other rows reads the same parameters. */
static il_status add_readers(il_ledger *l, il_error *err)
{
    const il_flow *flow = &l->plan->flow;

    l->readers = il_arena_calloc(l->arena, flow->reader_count + 1, sizeof *l->readers);
    if (l->readers == NULL) {
        return no_memory(err);
    }
    for (size_t r = 0; r < flow->reader_count; r++) {
        const il_flow_reader *reader = &flow->readers[r];

        if (!reader->audit_only || strcmp(reader->name, "fresh readers") == 0) {
            l->readers[l->reader_count].name = reader->name;
            l->readers[l->reader_count++].reads = reader->reads;
        }
    }
    return IL_OK;
}

static il_status fill(il_ledger *l, il_error *err)
{
    il_trainer *t = l->trainer;
    size_t terms = t->terms->count;

    l->entries =
        il_arena_calloc(l->arena, IL_PASS_KINDS * (terms + 1) + 1, sizeof *l->entries);
    l->runs = il_arena_calloc(l->arena, terms + 1, sizeof *l->runs);
    if (l->entries == NULL || l->runs == NULL) {
        return no_memory(err);
    }
    for (int k = 0; k < IL_PASS_KINDS && t->lanes[k].count > 0; k++) {
        IL_TRY(add_entries(l, k, err));
        l->before[k] = il_store_block(t->world->model->store);
        if (l->before[k] == NULL) {
            return no_memory(err);
        }
    }
    for (size_t i = 0; i < terms; i++) {
        memcpy(l->runs[i], t->terms->items[i].runs, sizeof l->runs[i]);
    }
    IL_TRY(add_tasks(l, err));
    if (l->every < 0) {
        l->chosen = true;
        l->every = (int64_t)l->count *
                   (t->rollouts != NULL ? UPDATES_AN_ENTRY : STEPS_AN_ENTRY);
    }
    return add_readers(l, err);
}

static bool pressed(const il_plan *plan)
{
    for (size_t s = 0; s < plan->flow.source_count; s++) {
        if (plan->flow.sources[s].presses) {
            return true;
        }
    }
    return false;
}

il_status il_ledger_open(il_ledger **out, il_trainer *t, const il_plan *plan,
                         il_error *err)
{
    int64_t every = t->stage->ledger_every;
    il_arena *arena;
    il_ledger *l;
    il_status status;

    *out = NULL;
    if (every == 0 || (every < 0 && !pressed(plan))) {
        return IL_OK;
    }
    arena = il_arena_create(1 << 14);
    l = arena != NULL ? il_arena_calloc(arena, 1, sizeof *l) : NULL;
    if (l == NULL) {
        il_arena_destroy(arena);
        return no_memory(err);
    }
    l->arena = arena;
    l->trainer = t;
    l->plan = plan;
    l->bits = t->world->model->store->count;
    l->every = every;
    status = fill(l, err);
    if (status != IL_OK || l->count == 0) {
        il_ledger_close(l);
        return status;
    }
    t->ledger = l;
    *out = l;
    return IL_OK;
}

void il_ledger_close(il_ledger *l)
{
    if (l == NULL) {
        return;
    }
    if (l->trainer->ledger == l) {
        l->trainer->ledger = NULL;
    }
    for (size_t i = 0; i < l->count; i++) {
        free(l->entries[i].gradient);
    }
    for (int k = 0; k < IL_PASS_KINDS; k++) {
        free(l->before[k]);
    }
    il_arena_destroy(l->arena);
}

/* ---- gradients ------------------------------------------------------------------ */

void il__ledger_begin(il_ledger *l)
{
    l->sampling = l->trainer->step % l->every == 0;
    l->turns = 0;
    for (size_t i = 0; l->sampling && i < l->count; i++) {
        il_ledger_entry *e = &l->entries[i];

        memset(e->squares, 0, l->bits * sizeof *e->squares);
        memset(e->dots, 0, l->bits * sizeof *e->dots);
        memset(e->others, 0, l->bits * sizeof *e->others);
        memset(e->work, 0, l->bits * sizeof *e->work);
    }
}

/* Lets only an entry's terms run in its pass, and none in the other. */
static void run_only(il_ledger *l, const il_ledger_entry *e)
{
    il_terms *terms = l->trainer->terms;

    for (size_t i = 0; i < terms->count; i++) {
        bool runs = l->runs[i][e->kind];

        if (e->term != NULL) {
            runs = runs && e->term == &terms->items[i];
        } else {
            for (size_t j = 0; j < l->count; j++) {
                runs = runs && (l->entries[j].kind != e->kind ||
                                l->entries[j].term != &terms->items[i]);
            }
        }
        memset(terms->items[i].runs, 0, sizeof terms->items[i].runs);
        terms->items[i].runs[e->kind] = runs;
    }
}

static void run_all(il_ledger *l)
{
    for (size_t i = 0; i < l->trainer->terms->count; i++) {
        memcpy(l->trainer->terms->items[i].runs, l->runs[i], sizeof l->runs[i]);
    }
}

typedef struct copy_job {
    const il_ledger *l;
    il_ledger_entry *e;
} copy_job;

/* Makes a parameter's gradient whole and keeps it. */
static void copy_task(void *user, int p, int worker)
{
    const copy_job *job = user;
    il_trainer *t = job->l->trainer;
    il_lanes *lanes = &t->lanes[job->e->kind];
    const il_stored *item = &t->world->model->store->items[p];

    (void)worker; /* parameters are disjoint; nobody needs scratch */
    if (il_bits_has(job->e->updates, (size_t)p)) {
        il_lanes_finish(lanes, item->offset, item->count);
        memcpy(job->e->gradient + item->offset, lanes->total->grads + item->offset,
               (size_t)item->count * sizeof(float));
    }
}

/* What flows through zeros and fits, on top. */
static il_status add_through(il_ledger *l, il_ledger_entry *e, il_error *err)
{
    il_trainer *t = l->trainer;
    const il_store *store = t->world->model->store;
    const double *slopes = t->lanes[e->kind].total->sums + t->terms->count;
    float **grads;
    il_status status;

    if (e->kind != IL_PASS_FIRST) {
        return IL_OK;
    }
    grads = calloc(store->count + 1, sizeof *grads);
    if (grads == NULL) {
        return no_memory(err);
    }
    for (size_t p = 0; p < store->count; p++) {
        grads[p] = e->gradient + store->items[p].offset;
    }
    status = il__trainer_through_zero(t, slopes, grads, err);
    free(grads);
    return status == IL_OK && il__trainer_fits(t)
               ? il__trainer_through_fits(t, slopes + t->terms->count, e->gradient, err)
               : status;
}

/* An entry's gradient at the weights of now. The lanes' sums of the step are put aside
 * meanwhile, and their spare buffers serve here. */
static il_status take_gradient(il_ledger *l, il_ledger_entry *e, il_error *err)
{
    il_trainer *t = l->trainer;
    il_lanes *lanes = &t->lanes[e->kind];
    il_lane_sum *total = lanes->total;
    il_lane_sum *rest = lanes->rest;
    copy_job job = {.l = l, .e = e};
    il_status status;

    lanes->total = NULL;
    lanes->rest = NULL;
    run_only(l, e);
    status = il__trainer_run_pass(t, e->kind, err);
    if (status == IL_OK) {
        il_pool_run(t->world->host.pool, (int)l->bits, copy_task, &job);
        status = add_through(l, e, err);
    }
    run_all(l);
    il_lanes_reset(lanes);
    lanes->total = total;
    lanes->rest = rest;
    return status;
}

il_status il__ledger_gradients(il_ledger *l, il_error *err)
{
    const il_trainer *t = l->trainer;
    const il_store *store = t->world->model->store;

    for (size_t i = 0; l->sampling && i < l->count; i++) {
        IL_TRY(take_gradient(l, &l->entries[i], err));
    }
    for (int k = 0; l->sampling && k < IL_PASS_KINDS && l->before[k] != NULL; k++) {
        for (size_t p = 0; p < store->count; p++) {
            if (t->stepped[k][p]) {
                memcpy(l->before[k] + store->items[p].offset, t->bound[k][p],
                       (size_t)store->items[p].count * sizeof(float));
            }
        }
    }
    return IL_OK;
}

/* ---- sums ----------------------------------------------------------------------- */

/* Adds the numbers of an entry at one parameter. */
static void add_parameter(const il_ledger *l, il_ledger_entry *e, size_t p)
{
    const il_trainer *t = l->trainer;
    const il_stored *item = &t->world->model->store->items[p];
    const float *g = e->gradient + item->offset;
    const float *now = t->bound[e->kind][p];
    const float *before = l->before[e->kind] + item->offset;
    double squares = 0;
    double dots = 0;
    double others = 0;
    double work = 0;

    for (int64_t i = 0; i < item->count; i++) {
        double task = 0;

        for (size_t k = 0; k < e->task_count; k++) {
            task += (double)e->tasks[k][item->offset + i];
        }
        squares += (double)g[i] * g[i];
        dots += g[i] * task;
        others += task * task;
        work -= g[i] * ((double)now[i] - before[i]);
    }
    e->squares[p] += squares;
    e->dots[p] += dots;
    e->others[p] += others;
    e->work[p] += work;
}

static void sum_task(void *user, int p, int worker)
{
    il_ledger *l = user;

    (void)worker; /* parameters are disjoint; nobody needs scratch */
    for (size_t i = 0; i < l->count; i++) {
        if (il_bits_has(l->entries[i].updates, (size_t)p)) {
            add_parameter(l, &l->entries[i], (size_t)p);
        }
    }
}

void il__ledger_moved(il_ledger *l)
{
    if (l->sampling) {
        il_pool_run(l->trainer->world->host.pool, (int)l->bits, sum_task, l);
        l->turns++;
    }
}

/* ---- reading it ----------------------------------------------------------------- */

bool il_ledger_sampled(const il_ledger *l)
{
    return l != NULL && l->sampling && l->turns > 0;
}

const il_ledger_entry *il_ledger_find(const il_ledger *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->entries[i].name, name) == 0) {
            return &l->entries[i];
        }
    }
    return NULL;
}

/* The bit of a parameter of an entry's pass in the flow's universe. */
static size_t bit_of(const il_ledger *l, const il_ledger_entry *e, size_t p)
{
    const il_terms *terms = l->trainer->terms;

    return terms->shadow >= 0 && e->kind == IL_PASS_FIRST &&
                   il_bits_has(terms->below, p)
               ? l->bits + p
               : p;
}

const char *il_ledger_name(const il_ledger *l, const il_ledger_entry *e, size_t p)
{
    return l->plan->flow.names[bit_of(l, e, p)];
}

/* Over the parameters that a set has, or has not; NULL has all. */
static il_ledger_sum sum_over(const il_ledger *l, const il_ledger_entry *e,
                              const il_word *set, bool in)
{
    double squares = 0;
    double dots = 0;
    double others = 0;
    il_ledger_sum out = {0};

    for (size_t p = 0; p < l->bits; p++) {
        if (il_bits_has(e->updates, p) &&
            (set == NULL || il_bits_has(set, bit_of(l, e, p)) == in)) {
            squares += e->squares[p];
            dots += e->dots[p];
            others += e->others[p];
            out.work += e->work[p];
        }
    }
    out.norm = l->turns > 0 ? sqrt(squares / (double)l->turns) : 0.0;
    out.cosine = squares > 0 && others > 0 ? dots / sqrt(squares * others) : NAN;
    return out;
}

il_ledger_sum il_ledger_all(const il_ledger *l, const il_ledger_entry *e)
{
    return sum_over(l, e, NULL, true);
}

il_ledger_sum il_ledger_read(const il_ledger *l, const il_ledger_entry *e, size_t r)
{
    return sum_over(l, e, l->readers[r].reads, true);
}

il_ledger_sum il_ledger_rest(const il_ledger *l, const il_ledger_entry *e, size_t r)
{
    return sum_over(l, e, l->readers[r].reads, false);
}

il_ledger_sum il_ledger_tensor(const il_ledger *l, const il_ledger_entry *e, size_t p)
{
    double turns = l->turns > 0 ? (double)l->turns : 1.0;
    il_ledger_sum out = {.norm = sqrt(e->squares[p] / turns),
                         .cosine = e->squares[p] > 0 && e->others[p] > 0
                                       ? e->dots[p] / sqrt(e->squares[p] * e->others[p])
                                       : NAN,
                         .work = e->work[p]};

    return out;
}

int il_ledger_reader_of(const il_ledger *l, const il_ledger_entry *e)
{
    const il_world *w = l->trainer->world;
    const char *name = NULL;

    if (e->term == NULL) {
        return -1;
    }
    if (e->own) {
        int d = e->term->detector >= 0 ? e->term->detector : e->term->gate;

        name = w->detectors[d]->spec->name;
    }
    for (size_t s = 0; name == NULL && s < l->plan->flow.source_count; s++) {
        if (e->facts->enters[s] != IL_ENTERS_NOT) {
            name = l->plan->flow.sources[s].name;
        }
    }
    for (size_t r = 0; name != NULL && r < l->reader_count; r++) {
        if (strcmp(l->readers[r].name, name) == 0) {
            return (int)r;
        }
    }
    return -1;
}
