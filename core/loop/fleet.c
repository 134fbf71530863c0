/* Fleets: see fleet.h. What the processes share is one slot a job, in memory that a
 * fork does not copy; a slot changes hands by one atomic exchange. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, prctl */
#include "loop/fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* What becomes of a job; from TAKEN on, the number of the process that took it is added,
 * so that a job is taken and known as whose in one exchange. */
enum { WAITING, ENDED, LEFT, TAKEN };

#define NOBODY SIZE_MAX

typedef struct slot {
    _Atomic int state;
    il_status status;
    bool cached;
    double seconds;
    il_error error;
} slot;

struct il_fleet {
    il_session *session;
    const il_stage_host *host;
    slot *slots; /* shared; [job] */
    size_t count;
    size_t *parent; /* [job]: the nearest job that it starts from, or NOBODY */
    size_t told;    /* how many il_fleet_next has handed out */
    pid_t processes[IL_FLEET_MAX]; /* 0: gone */
    int process_count;
    bool stopped;
};

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void nap(void)
{
    struct timespec t = {.tv_nsec = 10 * 1000 * 1000};

    (void)nanosleep(&t, NULL); /* cut short by a signal is as good */
}

/* ---- the order ------------------------------------------------------------------ */

static size_t find_parent(const il_jobs *jobs, size_t number)
{
    const il_job *job = &jobs->items[number];

    for (size_t c = job->chain_count - 1; c > 0; c--) {
        for (size_t i = 0; i < number; i++) {
            const il_job *other = &jobs->items[i];

            if (other->seed == job->seed && other->chain_count == c &&
                strcmp(other->stage, job->chain[c - 1].stage) == 0 &&
                strcmp(other->variant, job->chain[c - 1].label) == 0) {
                return i;
            }
        }
    }
    return NOBODY;
}

/* Takes the first job that can begin; NOBODY when none can, and *over when none will.
 */
static size_t take(il_fleet *f, int process, bool *over)
{
    *over = true;
    for (size_t i = 0; i < f->count; i++) {
        slot *s = &f->slots[i];
        int waiting = WAITING;
        size_t p = f->parent[i];
        int before = p == NOBODY ? ENDED : atomic_load(&f->slots[p].state);

        if (atomic_load(&s->state) != WAITING) {
            continue;
        }
        *over = false;
        if (before == LEFT ||
            (before == ENDED && p != NOBODY && f->slots[p].status != IL_OK)) {
            (void)atomic_compare_exchange_strong(&s->state, &waiting, LEFT);
        } else if (before == ENDED &&
                   atomic_compare_exchange_strong(&s->state, &waiting,
                                                  TAKEN + process)) {
            return i;
        }
    }
    return NOBODY;
}

/* ---- a process ------------------------------------------------------------------ */

static il_status compute(const il_host *shared, il_fleet *f, const il_job *job, slot *s)
{
    il_stage_host host = *f->host;
    size_t last = job->chain_count - 1;
    il_stage_result result = {0};
    il_world *w = NULL;
    il_status status;

    host.host = *shared;
    status = il_world_create(&w, shared, job->pipeline, job->seed,
                             &f->session->problems, &s->error);
    if (status == IL_OK) {
        status = il_stage_ensure(&host, w, job, last, NULL, &result,
                                 &f->session->problems, &s->error);
    }
    if (status == IL_OK) {
        s->cached = result.cached;
        status = il_stage_require(job->chain[last].spec, result.metrics, &s->error);
    }
    il_stage_result_free(&result);
    il_world_destroy(w);
    return status;
}

/* Takes jobs until none is left; the exit code. */
static int work(il_fleet *f, int process, int workers)
{
    il_host shared = il_session_host(f->session);
    il_error err = {0};

    /* The session's workers are threads, and those stay with the process that made
     * them. */
    shared.pool = NULL;
    if (il_pool_create(&shared.pool, workers, &err) != IL_OK) {
        return 1;
    }
    while (f->host->stop == NULL || !*f->host->stop) {
        bool over;
        size_t number = take(f, process, &over);
        slot *s = &f->slots[number != NOBODY ? number : 0];
        double since = seconds();

        if (number == NOBODY) {
            if (over) {
                break;
            }
            nap();
            continue;
        }
        s->status = compute(&shared, f, &f->session->jobs.items[number], s);
        s->seconds = seconds() - since;
        atomic_store(&s->state, ENDED);
    }
    il_pool_destroy(shared.pool);
    return 0;
}

/* ---- the caller ----------------------------------------------------------------- */

static void kill_all(il_fleet *f)
{
    for (int i = 0; i < f->process_count; i++) {
        if (f->processes[i] > 0) {
            (void)kill(f->processes[i], SIGTERM); /* gone already is as good */
        }
    }
    f->stopped = true;
}

/* Notes a process that ended, and the job that it took with it if it died. `how` is NULL
 * where the system did not tell. */
static void bury(il_fleet *f, int process, const int *how)
{
    f->processes[process] = 0;
    for (size_t i = 0; i < f->count; i++) {
        slot *s = &f->slots[i];

        if (atomic_load(&s->state) != TAKEN + process) {
            continue;
        }
        if (how == NULL) {
            s->status = il_error_set(&s->error, IL_ERR_INTERNAL, "",
                                     "its process is gone, nobody knows how");
        } else if (WIFSIGNALED(*how)) {
            s->status = il_error_set(&s->error, IL_ERR_INTERNAL, "",
                                     "its process was ended by signal %d (%s)",
                                     WTERMSIG(*how), strsignal(WTERMSIG(*how)));
        } else {
            s->status = il_error_set(&s->error, IL_ERR_INTERNAL, "",
                                     "its process ended by itself with code %d",
                                     WEXITSTATUS(*how));
        }
        atomic_store(&s->state, ENDED);
    }
}

/* Looks after the processes; how many are alive. */
static int look_after(il_fleet *f)
{
    int alive = 0;

    if (!f->stopped && f->host->stop != NULL && *f->host->stop) {
        kill_all(f);
    }
    for (int i = 0; i < f->process_count; i++) {
        int how = 0;
        pid_t gone;

        if (f->processes[i] == 0) {
            continue;
        }
        gone = waitpid(f->processes[i], &how, WNOHANG);
        if (gone == f->processes[i]) {
            bury(f, i, &how);
        } else if (gone < 0 && errno == ECHILD) {
            bury(f, i, NULL); /* whoever started this program ignores its children */
        } else {
            alive++;
        }
    }
    return alive;
}

/* The next job in the session's order, once it has ended. */
static bool find_end(il_fleet *f, il_fleet_end *end)
{
    const slot *s = &f->slots[f->told];
    int state = f->told < f->count ? atomic_load(&s->state) : WAITING;

    if (state != ENDED && state != LEFT) {
        return false;
    }
    memset(end, 0, sizeof *end);
    end->job = f->told++;
    end->left = state == LEFT;
    end->status = end->left ? IL_OK : s->status;
    end->cached = s->cached;
    end->seconds = s->seconds;
    end->error = s->error;
    return true;
}

bool il_fleet_next(il_fleet *f, il_fleet_end *end)
{
    for (;;) {
        int alive = look_after(f);

        if (find_end(f, end)) {
            return true;
        }
        if (alive == 0) {
            return false;
        }
        nap();
    }
}

static il_status start(il_fleet *f, int processes, int workers, il_error *err)
{
    pid_t mother = getpid();

    fflush(NULL); /* or each process would write what is buffered once more */
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();

        if (child < 0) {
            return il_error_set(err, IL_ERR_IO, "fleet", "cannot start a process: %s",
                                strerror(errno));
        }
        if (child == 0) {
#ifdef __linux__
            /* a run that is killed leaves no process behind */
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != mother) {
                _exit(1);
            }
#endif
            _exit(work(f, i, workers));
        }
        f->processes[f->process_count++] = child;
    }
    (void)mother;
    return IL_OK;
}

il_status il_fleet_start(il_fleet **out, il_session *session, const il_stage_host *host,
                         int processes, int workers, il_error *err)
{
    il_fleet *f = calloc(1, sizeof *f);
    size_t count = session->jobs.count;
    il_status status;

    *out = NULL;
    if (f == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "fleet", "out of memory");
    }
    f->session = session;
    f->host = host;
    f->count = count;
    f->parent = calloc(count + 1, sizeof *f->parent);
    f->slots = mmap(NULL, (count + 1) * sizeof *f->slots, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f->slots == MAP_FAILED) {
        f->slots = NULL;
    }
    if (f->parent == NULL || f->slots == NULL) {
        il_fleet_destroy(f);
        return il_error_set(err, IL_ERR_MEMORY, "fleet", "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        f->parent[i] = find_parent(&session->jobs, i);
    }
    status =
        start(f, processes < IL_FLEET_MAX ? processes : IL_FLEET_MAX, workers, err);
    if (status != IL_OK) {
        il_fleet_destroy(f);
        return status;
    }
    *out = f;
    return IL_OK;
}

void il_fleet_destroy(il_fleet *f)
{
    if (f == NULL) {
        return;
    }
    for (int i = 0; i < f->process_count; i++) {
        int how;

        if (f->processes[i] > 0) {
            (void)kill(f->processes[i], SIGTERM); /* gone already is as good */
            while (waitpid(f->processes[i], &how, 0) < 0 && errno == EINTR) {
            }
        }
    }
    if (f->slots != NULL) {
        (void)munmap(f->slots, (f->count + 1) * sizeof *f->slots);
    }
    free(f->parent);
    free(f);
}
