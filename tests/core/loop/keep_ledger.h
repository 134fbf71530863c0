/* A ledger kept on a trainer that a test has made, with the plan that it needs. */
#ifndef IL_TESTS_KEEP_LEDGER_H
#define IL_TESTS_KEEP_LEDGER_H

#include "loop/ledger.h"
#include <check.h>

typedef struct kept {
    il_stage_spec stage; /* the trainer's own, with another interval */
    il_pressed pressed;
    il_plan *plan;
    il_ledger *ledger; /* NULL: the stage gets none */
} kept;

static inline void keep_ledger(kept *k, il_trainer *t, const il_job *job, int64_t every)
{
    il_error err = {0};

    k->stage = *t->stage;
    k->stage.ledger_every = every;
    t->stage = &k->stage;
    ck_assert_int_eq(il_pressed_create(&k->pressed, t->world, &err), IL_OK);
    ck_assert_msg(il_plan_make(&k->plan, t, &k->pressed, job->chain, job->chain_count,
                               &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    ck_assert_msg(il_ledger_open(&k->ledger, t, k->plan, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
}

static inline void drop_ledger(kept *k)
{
    il_ledger_close(k->ledger);
    il_plan_destroy(k->plan);
    il_pressed_free(&k->pressed);
}

/* The entry of that name, which must be there. */
static inline const il_ledger_entry *entry_of(const kept *k, const char *name)
{
    const il_ledger_entry *e = il_ledger_find(k->ledger, name);

    ck_assert_msg(e != NULL, "no entry '%s'", name);
    return e;
}

/* What all entries say that plain gradient descent does to a number of a parameter in a
 * pass: minus the sum of their gradients. */
static inline double slope_of(const il_ledger *l, int kind, int64_t at)
{
    double sum = 0;

    for (size_t i = 0; i < l->count; i++) {
        sum -= l->entries[i].kind == kind ? (double)l->entries[i].gradient[at] : 0.0;
    }
    return sum;
}

#endif
