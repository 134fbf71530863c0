/* A run as its two files see it: rundir.c (the run) and run_job.c (the jobs). */
#ifndef IL_LOOP_RUN_PRIVATE_H
#define IL_LOOP_RUN_PRIVATE_H

#include <stdbool.h>
#include "base/arena.h"
#include "loop/rundir.h"

struct il_run {
    il_arena *arena; /* all texts and rows */
    const char *root;
    const char *name;
    const char *folder;
    const char *log;
    int lock;
    bool described;
    il_run_about about;
    il_run_row *rows;
    size_t row_count;
    size_t row_room;
};

#endif
