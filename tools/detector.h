/* What the words of `interloop detector` share: their options, what they print, and a
 * desk to work at where no pipeline sets one up. */
#ifndef IL_TOOLS_DETECTOR_H
#define IL_TOOLS_DETECTOR_H

#include <jansson.h>
#include "detect/alone.h"
#include "detect/fit.h"
#include "detect/given.h"
#include "detect/metrics.h"
#include "session.h"

/* All options of all words; each word says which it knows. */
typedef struct il_detector_cli {
    il_cli cli; /* those of a pipeline; its path is the one argument, NULL without */
    const char *use, *out, *labels, *ids, *mask, *lengths;
    const char *acts[64], *sites[64], *accept[64], *detectors[64], *splits[64];
    size_t acts_count, site_count, accept_count, detector_count, split_count;
    const char *tokens, *context, *convention, *model, *method, *unit, *pool;
    const char *files;          /* which of a folder are shards */
    const char *dtype, *format; /* of what is written */
    double fpr, lr, l2; /* negative: not given */
    int64_t steps, batch, rows, top, features[64];
    size_t feature_count;
    bool json, rows_only;
} il_detector_cli;

/* Reads options, with at most one argument; prints what is wrong, or the usage. -1: go
 * on, else the exit code. */
int il_detector_parse(il_detector_cli *c, int argc, char **argv, const char *usage);
/* Prints what is wrong with how the word was called; 2. */
int il_detector_wrong(const char *usage, const char *what, const char *detail);

/* Plugins, BLAS and a log, without a pipeline. */
typedef struct il_detector_desk {
    il_log *log;
    il_registry *registry;
    const il_blas *blas;
    il_arena *arena;
    il_problems problems;
} il_detector_desk;

il_status il_detector_desk_open(il_detector_desk *desk, const il_detector_cli *c,
                                il_error *err);
void il_detector_desk_close(il_detector_desk *desk);
/* Prints what is wrong; the exit code of the status. */
int il_detector_desk_fail(il_detector_desk *desk, il_status status,
                          const il_error *err);

/* A detector with its activations, as a saved file or the command line describes it. */
typedef struct il_detector_bench {
    il_detector_desk *desk;
    il_given *given;  /* NULL: a saved one, looked at alone */
    il_instance bare; /* stands for the model then */
    il_saved *saved;  /* NULL when it is to be fitted */
    il_detector_spec spec;
    il_detector *detector;
} il_detector_bench;

/* Reads activations and makes the detector that is to be fitted on them. */
il_status il_detector_bench_new(il_detector_bench *b, il_detector_desk *desk,
                                const il_detector_cli *c, il_error *err);
/* Opens a saved detector, with activations where the command line names some: what they
 * say of themselves has to be what it was made for, or be accepted. */
il_status il_detector_bench_load(il_detector_bench *b, il_detector_desk *desk,
                                 const il_detector_cli *c, il_error *err);
/* Whether the command line takes a difference of that name on itself. */
bool il_detector_accepts(const il_detector_cli *c, const char *what);
/* Makes the rows sequences where the detector pools them. */
il_status il_detector_bench_pool(const il_detector_bench *b, il_acts *acts,
                                 il_error *err);
void il_detector_bench_close(il_detector_bench *b);

/* A stage of a pipeline with its result in the world. */
typedef struct il_detector_stage {
    const il_job *job;
    const il_stage_spec *spec;
    il_world *world;
} il_detector_stage;

/* Opens the pipeline, with `--accept` as settings; to be closed in any case. */
il_status il_detector_session_open(il_session *s, il_detector_cli *c, const char *usage,
                                   il_error *err);
void il_detector_session_close(il_session *s, il_detector_cli *c);
il_stage_host il_detector_stage_host(const il_session *s, const il_detector_cli *c);
/* The one stage and variant that the options leave, of the first seed: brought about,
 * its parents first, where it has no result yet, and loaded. */
il_status il_detector_stage_open(il_detector_stage *st, il_session *s,
                                 const il_detector_cli *c, il_error *err);
void il_detector_stage_close(il_detector_stage *st);
/* Whether `--detector` names it, or none. */
bool il_detector_wanted(const il_detector_cli *c, const char *name);
/* Whether there is each that `--detector` names. */
il_status il_detector_names_check(const il_detector_stage *st, const il_detector_cli *c,
                                  il_error *err);

/* What a detector says of labelled rows. */
typedef struct il_detector_judged {
    il_measured measured;
    double ece;     /* of its probabilities, calibrated where it is */
    double raw;     /* of its logits' sigmoids */
    double seconds; /* of processor time to score all rows, the least of a few rounds */
} il_detector_judged;

/* The label that judges a detector of the world: its own, else that of another. */
const char *il_detector_label(const il_world *w, const il_detector *d);
/* Which rows judge at a stage: those of the split, or else of its audit: a split, or
 * episodes, recorded ones before the policy's own. `name` is what people call them. */
il_status il_detector_judge_draw(const il_stage_spec *stage, const char *split,
                                 il_draw_spec *draw, il_draw *purpose,
                                 const char **name, il_error *err);
/* Judges a detector of the world on them, by its own label or else another's. Rows that
 * fitted or calibrated it, or one that it reads, are refused by id. */
il_status il_detector_judge_stage(il_detector_judged *out, const il_world *w,
                                  const il_stage_spec *stage, const char *split,
                                  il_detector *d, const char **from, il_error *err);
il_status il_detector_judge(il_detector_judged *out, const il_detector *d,
                            const il_blas *blas, const il_acts *acts, uint64_t seed,
                            il_error *err);
json_t *il_detector_judged_json(const il_detector *d, const il_detector_judged *j);
void il_detector_judged_print(const il_detector *d, const il_detector_judged *j);
void il_detector_print_json(json_t *json); /* and lets go of it */
/* Seconds of processor time, for differences: what a busy neighbour does not change. */
double il_detector_clock(void);

int il_detector_fit_verb(int argc, char **argv);
int il_detector_eval_verb(int argc, char **argv);
int il_detector_zoo_verb(int argc, char **argv);
int il_detector_harvest_verb(int argc, char **argv);
int il_detector_explain_verb(int argc, char **argv);
int il_detector_import_verb(int argc, char **argv);
int il_detector_export_verb(int argc, char **argv);

#endif
