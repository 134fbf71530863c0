/* Group numerics: the same bits for the same seed, whoever computes them; gradients
 * that are derivatives; numbers that are none stay where they are. */
#include "check/check_private.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"
#include "base/threads.h"

enum { MODEL = IL__OF(IL_KIND_MODEL), DETECTOR = IL__OF(IL_KIND_DETECTOR) };

static il_status repeats(il__trial *t, il_error *err)
{
    il_text first = {0};
    il_text again = {0};
    il_text other = {0};
    il_instance *i = NULL;
    il_instance *j = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    IL_TRY(il__behave_plain(t, i, &first, err));
    IL_TRY(il__behave_plain(t, i, &again, err));
    IL_TRY(il__same(&first, &again, "asked again, it gives other bits", err));
    IL_TRY(il__subject_plain(t, &j, err));
    IL_TRY(il__behave_plain(t, j, &other, err));
    return il__same(&first, &other,
                    "made again from the same seed, it gives other bits", err);
}

/* ---- workers ----------------------------------------------------------------------
 */

enum { TASKS = 24, ROUNDS = 20 };

typedef struct crowd {
    il__trial *trial;
    const il_instance *instance;
    il_text texts[TASKS];
    il_error errors[TASKS];
    bool meet;            /* the first task waits for the second's worker */
    atomic_bool together; /* which has come */
} crowd;

/* On a busy machine one worker could have done everything before the other wakes. */
static void wait_for_the_other(crowd *c, int task)
{
    const double end = il__now() + 0.2;

    if (task == 1) {
        atomic_store(&c->together, true);
    }
    while (task == 0 && !atomic_load(&c->together) && il__now() < end) {
        (void)sched_yield();
    }
}

static void work(void *user, int task, int worker)
{
    crowd *c = user;
    const il__act act = {
        .rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH, .salt = (uint64_t)task % 4};

    (void)worker;
    if (c->meet) {
        wait_for_the_other(c, task);
    }
    (void)il__behave(c->trial, c->instance, &act, &c->texts[task], &c->errors[task]);
}

/* One round of two workers against what one worker gave. */
static il_status try_round(const crowd *alone, crowd *both, il_pool *pool,
                           il_error *err)
{
    for (int k = 0; k < TASKS; k++) {
        il_text_free(&both->texts[k]);
        memset(&both->texts[k], 0, sizeof both->texts[k]);
    }
    atomic_store(&both->together, false);
    il_pool_run(pool, TASKS, work, both);
    for (int k = 0; k < TASKS; k++) {
        if (both->errors[k].code != IL_OK) {
            return il__found(err, "%s", both->errors[k].message);
        }
        IL_TRY(il__same(&alone->texts[k], &both->texts[k],
                        "with two workers it gives other bits than with one", err));
    }
    return IL_OK;
}

static il_status bears_workers(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    il_pool *pool = NULL;
    crowd *alone = calloc(1, sizeof *alone);
    crowd *both = calloc(1, sizeof *both);
    double end;

    if (alone == NULL || both == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    alone->trial = both->trial = t;
    alone->instance = both->instance = i;
    both->meet = true;
    for (int k = 0; k < TASKS; k++) {
        work(alone, k, 0);
        if (alone->errors[k].code != IL_OK) {
            return il__found(err, "%s", alone->errors[k].message);
        }
    }
    IL_TRY(il_pool_create(&pool, 2, err));
    il__note(t, "two workers at once");
    /* Often, since it takes luck to see a race; but not for ever. */
    end = il__now() + 0.25 * t->o->seconds;
    for (int k = 0; k < ROUNDS && (k < 2 || il__now() < end); k++) {
        IL_TRY(try_round(alone, both, pool, err));
    }
    il_pool_destroy(pool);
    return IL_OK;
}

/* ---- numbers that are none --------------------------------------------------------
 */

static il_status poison(il__trial *t, const il_instance *i, float value,
                        const char *called, il_error *err)
{
    il__act act = {
        .rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH, .leave_first = true};
    il_text clean = {0};
    il_text poisoned = {0};
    char what[80];
    il_error why = {0};
    il_status status;

    IL_TRY(il__behave(t, i, &act, &clean, err));
    act.poisoned = true;
    act.poison = value;
    il__note(t, "%s in the first row", called);
    status = il__behave(t, i, &act, &poisoned, &why);
    if (status != IL_OK) {
        /* To say that it is none is well; to say nothing is not. */
        return why.message[0] != '\0'
                   ? IL_OK
                   : il__found(err, "fails on %s without a reason", called);
    }
    (void)snprintf(what, sizeof what, "%s in one row changes other rows", called);
    status = il__same(&clean, &poisoned, what, err);
    il_text_free(&clean);
    il_text_free(&poisoned);
    return status;
}

static il_status contains_poison(il__trial *t, il_error *err)
{
    il_instance *i = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (t->component->kind == IL_KIND_MODEL && t->world == IL__WORLD_TEXT) {
        return il__skip(t, "tokens are always numbers");
    }
    IL_TRY(poison(t, i, NAN, "NaN", err));
    IL_TRY(poison(t, i, INFINITY, "infinity", err));
    return poison(t, i, 1e30f, "1e30", err);
}

/* ---- derivatives ------------------------------------------------------------------
 */

/* The mean of a root, in double. */
static double mean_of(const il_tensor *t)
{
    double sum = 0;
    const int64_t count = il_count(t);

    for (int64_t k = 0; k < count; k++) {
        sum += (double)il_f32(t)[k];
    }
    return count > 0 ? sum / (double)count : 0;
}

/* The root's mean with `values[bit]` moved by `by` along `direction`. */
static il_status mean_at(il__run *r, size_t root, size_t bit, const float *direction,
                         double by, double *mean, il_error *err)
{
    const size_t bytes = (size_t)r->counts[bit] * sizeof(float);
    float *held = r->values[bit];
    float *moved = malloc(bytes);
    il_status status;

    if (moved == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (int64_t k = 0; k < r->counts[bit]; k++) {
        moved[k] = held[k] + (float)(by * (double)direction[k]);
    }
    r->values[bit] = moved;
    status = il__run_forward(r, true, err);
    if (status == IL_OK) {
        *mean = mean_of(r->roots[root]);
    }
    r->values[bit] = held;
    free(moved);
    return status;
}

/* Tries some directions and steps: kinks and rounding spoil some, a wrong derivative
 * all of them. */
static il_status try_parameter(il__trial *t, il__run *r, size_t root, size_t bit,
                               const float *gradient, double floor, il_error *err)
{
    static const double steps[] = {1e-2, 3e-3, 3e-2, 1e-3};
    float *direction = malloc((size_t)r->counts[bit] * sizeof *direction);
    double slope = 0;
    double expected = 0;

    if (direction == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        double up = 0;
        double down = 0;
        double length = 0;
        il_rng rng;

        il_rng_open(&rng, t->o->seed, 1, IL_RNG_PLUGIN, bit, k);
        expected = 0;
        for (int64_t e = 0; e < r->counts[bit]; e++) {
            direction[e] = il_rng_normal(&rng);
            length += (double)direction[e] * (double)direction[e];
        }
        for (int64_t e = 0; e < r->counts[bit]; e++) {
            direction[e] = (float)((double)direction[e] / sqrt(length));
            expected += (double)direction[e] * (double)gradient[e];
        }
        IL_TRY(mean_at(r, root, bit, direction, steps[k], &up, err));
        IL_TRY(mean_at(r, root, bit, direction, -steps[k], &down, err));
        slope = (up - down) / (2 * steps[k]);
        if (fabs(slope - expected) <=
            0.05 * fmax(fabs(slope), fabs(expected)) + floor / steps[k]) {
            free(direction);
            return IL_OK;
        }
    }
    free(direction);
    return il__found(err,
                     "the derivative of '%s' in '%s' is %g by differences, and the "
                     "backward pass says %g",
                     r->root_names[root], r->names[bit], slope, expected);
}

/* Whether a derivative flows to a bit at all; what is detached has none. */
static bool flows(const il__run *r, size_t root, size_t bit)
{
    const il_word *g = il_tensor_g(r->roots[root]);

    return g != NULL && il_bits_has(g, bit);
}

static il_status try_root(il__trial *t, il__run *r, size_t root, il_error *err)
{
    float *grads[1024];
    float **copies;
    bool *wanted;
    double floor;

    IL_TRY(il__run_forward(r, true, err));
    IL_TRY(il__run_backward(r, root, grads, err));
    copies = calloc(r->bits + 1, sizeof *copies);
    wanted = calloc(r->bits + 1, sizeof *wanted);
    if (copies == NULL || wanted == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    /* What rounding alone makes of a mean: a few units in its last place. */
    floor = 2e-6 * (1e-2 + fabs(mean_of(r->roots[root])));
    for (size_t b = 0; b < r->bits; b++) {
        wanted[b] = flows(r, root, b);
        copies[b] = grads[b];
    }
    for (size_t b = 0; b < r->bits; b++) {
        if (wanted[b]) {
            il__note(t, "differences in '%s'", r->names[b]);
            IL_TRY(try_parameter(t, r, root, b, copies[b], floor, err));
        }
    }
    free(copies);
    free(wanted);
    return IL_OK;
}

static il_status has_derivatives(il__trial *t, il_error *err)
{
    const il__act act = {.rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH};
    il_instance *i = NULL;
    il__run r;
    size_t roots;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    IL_TRY(il__run_open(&r, t, i, &act, err));
    IL_TRY(il__run_forward(&r, true, err));
    roots = r.root_count;
    if (roots == 0) {
        return il__skip(t, "it has no loss on the checker's rows");
    }
    for (size_t k = 0; k < roots; k++) {
        IL_TRY(try_root(t, &r, k, err));
    }
    il__run_close(&r);
    il_instance_destroy(i);
    return IL_OK;
}

static const il__row rows[] = {
    {"the same seed gives the same bits", IL__OF_ALL, repeats},
    {"two workers give the bits that one gives", IL__OF_ALL, bears_workers},
    {"numbers that are none stay in their row", MODEL | DETECTOR, contains_poison},
    {"gradients agree with finite differences", MODEL | DETECTOR, has_derivatives},
    {"acting step by step gives what the forward pass gives", MODEL,
     il__steps_like_forward},
    {"it does so with any site edited", MODEL, il__steps_like_forward_edited},
    {"a detector that says it is linear is", DETECTOR, il__linear_as_said},
};

const il__group il__group_numerics = {"numerics", rows, sizeof rows / sizeof rows[0],
                                      true};
