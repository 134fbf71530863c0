/* Group life: instances come and go without leaving anything, and without minding each
 * other. */
#include "check/check_private.h"

#include <string.h>
#include "check/hooks.h"

enum { LIVES = 1000, FAULTS_MAX = 400 };

static il_status live_once(il__trial *t, il_error *err)
{
    il_instance *i = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    il_instance_destroy(i);
    return IL_OK;
}

/* What takes long to make lives as often as a fifth of the time allows, and at least
 * thrice.
 */
static il_status leaves_nothing(il__trial *t, il_error *err)
{
    const double end = il__now() + 0.2 * t->o->seconds;
    int64_t before;
    int64_t after;
    int lives = 1;

    IL_TRY(il_hooks_install(t->handle, err));
    IL_TRY(live_once(t, err));
    if (t->skipped[0] != '\0') {
        return IL_OK;
    }
    before = il_hooks_live();
    while (lives < LIVES && (lives < 4 || il__now() < end)) {
        il__note(t, "create and destroy, time %d", ++lives);
        IL_TRY(live_once(t, err));
    }
    after = il_hooks_live();
    return after == before
               ? IL_OK
               : il__found(err,
                           "%lld allocations are left of %d lives: give back in "
                           "destroy what create allocated",
                           (long long)(after - before), lives - 1);
}

static il_status leaves_the_process(il__trial *t, il_error *err)
{
    il__process before;
    il__process after;
    il_instance *i = NULL;
    il_text bytes = {0};

    /* What comes up once, such as the library of products, comes up before. */
    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    IL_TRY(il__behave_plain(t, i, &bytes, err));
    il__process_look(&before);
    for (int k = 0; k < 2; k++) {
        il_instance *other = NULL;

        IL_TRY(il__subject_plain(t, &other, err));
        IL_TRY(il__behave_plain(t, other, &bytes, err));
        il_instance_destroy(other);
    }
    il__process_look(&after);
    il_instance_destroy(i);
    il_text_free(&bytes);
    return il__process_same(&before, &after, err);
}

/* One create with the k-th allocation failing; *more says whether there was a k-th. */
static il_status fail_once(il__trial *t, int64_t k, bool of_setup, int64_t base,
                           bool *more, il_error *err)
{
    il_setup_fault fault = {.at = of_setup ? k : 0};
    const il__making how = {.seed = t->o->seed, .fault = &fault};
    il_instance *i = NULL;
    il_error why = {0};
    il_status status;

    il__note(t, "create with the %s's allocation %lld failing",
             of_setup ? "host" : "plugin", (long long)k);
    il_hooks_fail(of_setup ? 0 : k);
    status = il__subject(t, &how, &i, &why);
    *more = (of_setup ? fault.calls : il_hooks_calls()) >= k;
    il_hooks_fail(0);
    il_instance_destroy(i);
    if (il_hooks_live() != base) {
        return il__found(err,
                         "%lld allocations are left after a create whose allocation "
                         "%lld (of the %s) found no memory",
                         (long long)(il_hooks_live() - base), (long long)k,
                         of_setup ? "host" : "plugin");
    }
    if (status != IL_OK && strstr(why.message, "without a reason") != NULL) {
        return il__found(err,
                         "a create whose allocation %lld (of the %s) found no memory "
                         "fails without a reason",
                         (long long)k, of_setup ? "host" : "plugin");
    }
    return IL_OK;
}

/* Many allocations are failed one by one first, then ever more sparsely. */
static il_status bears_no_memory(il__trial *t, il_error *err)
{
    const double end = il__now() + 0.2 * t->o->seconds;

    IL_TRY(il_hooks_install(t->handle, err));
    IL_TRY(live_once(t, err)); /* and finds the world to be made in */
    if (t->skipped[0] != '\0') {
        return IL_OK;
    }
    for (int of_setup = 1; of_setup >= 0; of_setup--) {
        const int64_t base = il_hooks_live();
        bool more = true;

        for (int64_t k = 1; more && il__now() < end; k += k < FAULTS_MAX ? 1 : k / 8) {
            IL_TRY(fail_once(t, k, of_setup != 0, base, &more, err));
        }
    }
    return IL_OK;
}

/* One of another seed comes and goes beside it, and a twin comes after. */
static il_status live_apart(il__trial *t, il_error *err)
{
    const il__making other = {.seed = t->o->seed + 1};
    il_instance *first = NULL;
    il_instance *second = NULL;
    il_instance *twin = NULL;
    il_text texts[5] = {{0}};

    IL_TRY(il__subject_plain(t, &first, err));
    if (first == NULL) {
        return IL_OK;
    }
    IL_TRY(il__behave_plain(t, first, &texts[0], err));
    IL_TRY(il__subject(t, &other, &second, err));
    IL_TRY(il__behave_plain(t, first, &texts[1], err));
    IL_TRY(il__same(&texts[0], &texts[1], "an instance changes with another's making",
                    err));
    IL_TRY(il__behave_plain(t, second, &texts[2], err));
    il_instance_destroy(second);
    IL_TRY(il__behave_plain(t, first, &texts[3], err));
    IL_TRY(
        il__same(&texts[0], &texts[3], "an instance changes with another's end", err));
    il_instance_destroy(first);
    IL_TRY(il__subject_plain(t, &twin, err));
    IL_TRY(il__behave_plain(t, twin, &texts[4], err));
    return il__same(&texts[0], &texts[4], "an instance changes with another's life",
                    err);
}

static const il__row rows[] = {
    {"a thousand lives leave no memory behind", IL__OF_ALL, leaves_nothing},
    {"a create that finds no memory says so and leaves nothing", IL__OF_ALL,
     bears_no_memory},
    {"two instances do not mind each other", IL__OF_ALL, live_apart},
    {"a life leaves the process as it was", IL__OF_ALL, leaves_the_process},
};

const il__group il__group_life = {"life", rows, sizeof rows / sizeof rows[0], true};
