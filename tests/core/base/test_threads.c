#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "base/threads.h"

enum { TASKS = 200, WORKERS = 4 };

typedef struct record {
    int runs[TASKS];
    int worker[TASKS];
    long long sum[TASKS];
} record;

static void work(void *user, int task, int worker)
{
    record *r = user;

    r->runs[task]++;
    r->worker[task] = worker;
    for (int i = 0; i < 1000; i++) {
        r->sum[task] += i * task;
    }
}

START_TEST(every_task_runs_once_under_a_worker_of_the_pool)
{
    for (int workers = 1; workers <= WORKERS; workers++) {
        il_pool *pool = NULL;
        il_error err = {0};

        ck_assert_int_eq(il_pool_create(&pool, workers, &err), IL_OK);
        ck_assert_int_eq(il_pool_workers(pool), workers);
        for (int round = 0; round < 50; round++) {
            record r = {{0}, {0}, {0}};
            int count = round * 4;

            il_pool_run(pool, count, work, &r);
            for (int i = 0; i < TASKS; i++) {
                ck_assert_int_eq(r.runs[i], i < count ? 1 : 0);
                ck_assert(r.worker[i] >= 0 && r.worker[i] < workers);
                ck_assert_int_eq(r.sum[i], i < count ? 499500LL * i : 0);
            }
        }
        il_pool_destroy(pool);
    }
}
END_TEST

typedef struct scratch {
    int busy[WORKERS]; /* each touched by its own worker alone */
    int overlaps[WORKERS];
} scratch;

static void hold_scratch(void *user, int task, int worker)
{
    scratch *s = user;

    (void)task;
    s->overlaps[worker] += s->busy[worker];
    s->busy[worker] = 1;
    for (volatile int i = 0; i < 2000; i++) {
    }
    s->busy[worker] = 0;
}

START_TEST(a_worker_has_its_scratch_to_itself)
{
    il_pool *pool = NULL;
    scratch s = {{0}, {0}};

    ck_assert_int_eq(il_pool_create(&pool, WORKERS, NULL), IL_OK);
    il_pool_run(pool, 2000, hold_scratch, &s);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_eq(s.overlaps[i], 0);
    }
    il_pool_destroy(pool);
}
END_TEST

typedef struct order {
    int seen[TASKS];
    int count;
} order;

static void note_order(void *user, int task, int worker)
{
    order *o = user;

    (void)worker;
    o->seen[o->count++] = task;
}

START_TEST(one_worker_takes_tasks_in_order)
{
    il_pool *pool = NULL;
    order o = {{0}, 0};

    ck_assert_int_eq(il_pool_create(&pool, 1, NULL), IL_OK);
    il_pool_run(pool, TASKS, note_order, &o);
    for (int i = 0; i < TASKS; i++) {
        ck_assert_int_eq(o.seen[i], i);
    }
    il_pool_destroy(pool);
    il_pool_destroy(NULL);
}
END_TEST

START_TEST(a_pool_without_workers_is_refused)
{
    il_pool *pool = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_pool_create(&pool, 0, &err), IL_ERR_INPUT);
    ck_assert_ptr_null(pool);
    ck_assert_ptr_nonnull(strstr(err.message, "at least 1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tests = tcase_create("threads");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, every_task_runs_once_under_a_worker_of_the_pool);
    tcase_add_test(tests, a_worker_has_its_scratch_to_itself);
    tcase_add_test(tests, one_worker_takes_tasks_in_order);
    tcase_add_test(tests, a_pool_without_workers_is_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
