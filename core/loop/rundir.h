/* Run folders: RUNS/NAME/, what a run leaves for people and for reports.
 *
 * Holds pipeline.yaml, plugins.lock, plan.json, summary.json and log.txt, and for each
 * job a folder STAGE[/VARIANT]/seed-N/ with its record, its TensorBoard events and a
 * link to its state. Every file is replaced in one go, but for the log and the events,
 * which grow. */
#ifndef IL_LOOP_RUNDIR_H
#define IL_LOOP_RUNDIR_H

#include <stdint.h>
#include <jansson.h>
#include "base/hash.h"
#include "base/log.h"
#include "loop/record.h"

typedef struct il_run il_run;

/* Opens RUNS/NAME, making what is not there, and locks it: a run that is going on
 * already is IL_ERR_IO. Waits while a gc of RUNS is at work. A name that is no plain
 * file name is IL_ERR_INPUT. */
il_status il_run_open(il_run **out, const char *runs, const char *name, il_error *err);
void il_run_close(il_run *r); /* takes NULL */
const char *il_run_name(const il_run *r);
const char *il_run_root(const il_run *r);   /* RUNS */
const char *il_run_folder(const il_run *r); /* RUNS/NAME */

/* Writes RUNS/NAME/FILE: pipeline.yaml, report.html. */
il_status il_run_text(il_run *r, const char *file, const char *text, il_error *err);
/* The same for JSON: plan.json. */
il_status il_run_json(il_run *r, const char *file, const json_t *json, il_error *err);

typedef struct il_run_plugin {
    const char *id;
    const char *version;
    const char *sha256;
    uint32_t abi_major;
    uint32_t abi_minor;
} il_run_plugin;

/* Writes plugins.lock: a JSON object a line, sorted by id. */
il_status il_run_plugins(il_run *r, const il_run_plugin *plugins, size_t count,
                         il_error *err);

/* A sink for il_log_add, with the run as its user: appends "level component: line" to
 * log.txt. A line that cannot be written is lost; the log must not stop a run. */
void il_run_log(void *run, il_log_level level, const char *component, const char *line);

/* What summary.json says of the whole run. */
typedef struct il_run_about {
    const uint64_t *seeds;
    size_t seed_count;
    const char *numerics;
    const char *kernel;
} il_run_about;

/* A row of summary.json. */
typedef struct il_run_row {
    const char *stage;
    const char *variant; /* "" for none */
    uint64_t seed;
    const char *state;  /* address */
    const char *parent; /* address, or NULL */
    const il_metric *metrics;
    size_t metric_count;
    const char *point; /* what a sweep set, a JSON object by path, or NULL */
    /* Detectors from files that were taken although their contracts differ, a JSON list
     * of {detector, what, expected, got, why}; NULL for none. */
    const char *accepted;
    const char *outcome;  /* what the last audit classed it as, or NULL */
    const char *role;     /* "pressed", "twin", "placebo", or NULL */
    const char *twin;     /* the variant that it is compared with, or NULL */
    const char *placebos; /* a JSON list of variants; NULL for none */
} il_run_row;

/* Keeps a copy for the summary. */
il_status il_run_describe(il_run *r, const il_run_about *about, il_error *err);
/* Takes the rows of the summary that is there, so that a run of some jobs alone keeps
 * those of the others; without a summary there is nothing to take. */
il_status il_run_rows_load(il_run *r, il_error *err);
/* Adds a row, or replaces that of the same stage, variant and seed in its place. */
il_status il_run_row_set(il_run *r, const il_run_row *row, il_error *err);
/* The rows there are by now. */
size_t il_run_rows(const il_run *r);
const il_run_row *il_run_row_at(const il_run *r, size_t i);
/* Writes summary.json. Numbers read back equal. */
il_status il_run_summary(il_run *r, il_error *err);

typedef struct il_run_job il_run_job; /* the folder of a job */

il_status il_run_job_open(il_run_job **out, il_run *r, const char *stage,
                          const char *variant, uint64_t seed, il_error *err);
il_status il_run_job_close(il_run_job *j, il_error *err); /* takes NULL */
const char *il_run_job_folder(const il_run_job *j);
/* Adds points to the TensorBoard events while the stage goes on. The first call after
 * opening drops what an interrupted attempt wrote from its step on. */
il_status il_run_job_point(il_run_job *j, double wall_time, int64_t step,
                           const il_metric *metrics, size_t count, il_error *err);
/* Adds a histogram the same way. */
il_status il_run_job_histogram(il_run_job *j, double wall_time, int64_t step,
                               const char *tag, const il_histogram *h, il_error *err);
/* Copies metrics.jsonl, audit.json and the ledger's files from the record, links
 * `state` to the state of that address, and, when no points were added, makes the
 * events from the metrics. */
il_status il_run_job_publish(il_run_job *j, const char *address,
                             const char *record_folder, double wall_time,
                             il_error *err);

#endif
