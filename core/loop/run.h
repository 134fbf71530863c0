/* Runs: every job of a pipeline, parents first, into a run folder. */
#ifndef IL_LOOP_RUN_H
#define IL_LOOP_RUN_H

#include <signal.h>
#include "base/text.h"
#include "loop/stage.h"

typedef struct il_run_options {
    const char *path;
    const char *const *sets;
    size_t set_count;
    const char *const *plugin_path; /* absolute folders */
    size_t plugin_path_count;
    const char *runs; /* "runs" */
    const char *name; /* NULL: the pipeline's */
    il_jobs_filter filter;
    int workers; /* 0: as many as there are processors for each of `jobs` */
    int jobs;    /* how many run at once, in processes of their own; 0 counts as 1 */
    const volatile sig_atomic_t *stop;
    il_log *log;
    il_progress_fn *progress; /* NULL: none; with `jobs`, called in their processes */
    void *progress_user;
} il_run_options;

/* A pipeline that was read, with what its jobs share. */
typedef struct il_session {
    il_document *document;
    il_jobs jobs;
    il_registry *registry;
    const il_blas *blas;
    il_pool *pool;
    il_log *log;
    il_problems problems; /* what is wrong, for il_problems_write */
    il_arena *arena;
    char *numerics; /* of addresses */
} il_session;

/* Reads the pipeline, finds the plugins, opens BLAS, starts the workers. On
 * IL_ERR_INPUT `problems` may hold more than `err` says. The session is to be closed in
 * any case. */
il_status il_session_open(il_session *s, const il_run_options *o, il_error *err);
void il_session_close(il_session *s);
il_host il_session_host(const il_session *s);

/* Runs all jobs. A job that fails is logged and stops its descendants alone; the first
 * failure is the status. The folder of the run is put into *folder, malloc'ed, as soon
 * as there is one. */
il_status il_run_all(il_session *s, const il_run_options *o, char **folder,
                     il_error *err);

#endif
