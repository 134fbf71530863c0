/* A pool of workers. A job is an array of independent tasks; which worker takes which
 * task is left to chance, so a task may write only to what is its own, and nothing may
 * depend on the order. `worker` tells a task whose scratch it may use. */
#ifndef IL_BASE_THREADS_H
#define IL_BASE_THREADS_H

#include "interloop/status.h"

typedef struct il_pool il_pool;
typedef void il_task(void *user, int task, int worker);

/* `workers` >= 1; with 1 no thread is started and tasks run in the caller. */
il_status il_pool_create(il_pool **out, int workers, il_error *err);
void il_pool_destroy(il_pool *pool);
int il_pool_workers(const il_pool *pool);
/* Runs tasks 0..count-1 and returns when all are done. Not reentrant. Tasks are handed
 * out in ascending order. */
void il_pool_run(il_pool *pool, int count, il_task *task, void *user);

#endif
