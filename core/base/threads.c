/* Workers sleep on one condition between jobs. A job is a number that goes up; tasks
 * are taken from a shared counter under the lock, which is cheap because a task is a
 * lane's whole micro-batch, not a row. The caller works as worker 0.
 *
 * A step is several jobs with moments between them, and to wake a thread takes longer
 * than such a moment. So whoever waits looks for a while before it sleeps. What it
 * looks at are hints alone: whether there is work is decided under the lock. */
#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"

/* Looks before sleep: some 50 microseconds. */
enum { PATIENCE = 1000 };

typedef struct member {
    struct il_pool *pool;
    pthread_t thread;
    int worker;
} member;

struct il_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job was posted, or the pool is ending */
    pthread_cond_t idle; /* the last task of a job is done */
    int workers;
    int started; /* threads that run, at most workers - 1 */
    bool ending;
    uint64_t job;
    _Atomic uint64_t posted; /* job, to be seen without the lock */
    _Atomic bool over;       /* no task of the job is left to be done, likewise */
    il_task *task;
    void *user;
    int count;
    int next; /* the first task that nobody has taken */
    int done;
    member members[];
};

/* Takes tasks until none is left. Called and returns with the lock held. */
static void pool_work(il_pool *pool, int worker)
{
    while (pool->next < pool->count) {
        int task = pool->next++;

        (void)pthread_mutex_unlock(&pool->lock);
        pool->task(pool->user, task, worker);
        (void)pthread_mutex_lock(&pool->lock);
        pool->done++;
    }
    if (pool->done == pool->count) {
        atomic_store_explicit(&pool->over, true, memory_order_relaxed);
        (void)pthread_cond_signal(&pool->idle);
    }
}

/* Looks out for a job after the one that was seen. */
static void await_job(il_pool *pool, uint64_t seen)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (atomic_load_explicit(&pool->posted, memory_order_relaxed) != seen) {
            return;
        }
        IL_PAUSE();
    }
}

/* Looks out for the end of the job. */
static void await_end(il_pool *pool)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (atomic_load_explicit(&pool->over, memory_order_relaxed)) {
            return;
        }
        IL_PAUSE();
    }
}

static void *pool_thread(void *arg)
{
    member *m = arg;
    il_pool *pool = m->pool;
    uint64_t seen = 0;

    for (;;) {
        await_job(pool, seen);
        (void)pthread_mutex_lock(&pool->lock);
        while (!pool->ending && pool->job == seen) {
            (void)pthread_cond_wait(&pool->work, &pool->lock);
        }
        if (pool->ending) {
            break;
        }
        seen = pool->job;
        pool_work(pool, m->worker);
        (void)pthread_mutex_unlock(&pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

il_status il_pool_create(il_pool **out, int workers, il_error *err)
{
    il_pool *pool;

    if (workers < 1) {
        return il_error_set(err, IL_ERR_INPUT, "workers",
                            "expected at least 1 worker, got %d", workers);
    }
    pool = calloc(1, sizeof *pool + (size_t)workers * sizeof pool->members[0]);
    if (pool == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "workers",
                            "out of memory for %d workers", workers);
    }
    pool->workers = workers;
    (void)pthread_mutex_init(&pool->lock, NULL); /* with default attributes these */
    (void)pthread_cond_init(&pool->work, NULL);  /* three cannot fail on POSIX    */
    (void)pthread_cond_init(&pool->idle, NULL);  /* systems with futexes          */
    for (int i = 1; i < workers; i++) {
        member *m = &pool->members[i];
        int code;

        m->pool = pool;
        m->worker = i;
        code = pthread_create(&m->thread, NULL, pool_thread, m);
        if (code != 0) {
            il_pool_destroy(pool);
            return il_error_set(err, IL_ERR_MEMORY, "workers",
                                "cannot start worker %d of %d: %s", i + 1, workers,
                                strerror(code));
        }
        pool->started++;
    }
    *out = pool;
    return IL_OK;
}

void il_pool_destroy(il_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    (void)pthread_cond_broadcast(&pool->work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i <= pool->started; i++) {
        (void)pthread_join(pool->members[i].thread, NULL);
    }
    (void)pthread_cond_destroy(&pool->idle);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int il_pool_workers(const il_pool *pool)
{
    return pool->workers;
}

void il_pool_run(il_pool *pool, int count, il_task *task, void *user)
{
    if (pool->workers == 1) {
        for (int i = 0; i < count; i++) {
            task(user, i, 0);
        }
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->user = user;
    pool->count = count;
    pool->next = 0;
    pool->done = 0;
    pool->job++;
    atomic_store_explicit(&pool->over, false, memory_order_relaxed);
    atomic_store_explicit(&pool->posted, pool->job, memory_order_relaxed);
    (void)pthread_cond_broadcast(&pool->work);
    pool_work(pool, 0);
    if (pool->done < pool->count) {
        (void)pthread_mutex_unlock(&pool->lock);
        await_end(pool);
        (void)pthread_mutex_lock(&pool->lock);
    }
    while (pool->done < pool->count) {
        (void)pthread_cond_wait(&pool->idle, &pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}
