/* Briefs: what a page of many runs keeps of each arm, so that a run's files are let go
 * before the next one's are read. */
#ifndef IL_REPORT_BRIEFS_H
#define IL_REPORT_BRIEFS_H

#include "report/channels.h"
#include "report/conclusions.h"
#include "report/focus.h"

typedef enum il__brief_value {
    IL__BRIEF_BEHAVIOUR,
    IL__BRIEF_READING,
    IL__BRIEF_RECALL, /* of the frozen detector at its first threshold */
    IL__BRIEF_FRESH,  /* of a fresh linear reader */
    IL__BRIEF_VALUES
} il__brief_value;

/* One seed; NaN for what was not measured. */
typedef struct il__brief_seed {
    int64_t seed;
    double value[IL__BRIEF_VALUES];
} il__brief_seed;

typedef enum il__brief_role {
    IL__BRIEF_PRESSED,
    IL__BRIEF_TWIN,
    IL__BRIEF_PLACEBO,
    IL__BRIEF_OTHER
} il__brief_role;

typedef struct il__brief {
    const char *run; /* its name; with the folder where two runs have the same */
    const char *arm;
    const char *label;     /* "run: arm" */
    const char *behaviour; /* the metrics' names, "" for none */
    const char *reading;
    il__brief_role role;
    const il__brief_seed *seeds;
    size_t seed_count;
    /* of pressed arms */
    const struct il__brief *twin;      /* NULL for none */
    const struct il__brief **placebos; /* placebo_count of them */
    size_t placebo_count;
    il__alive alive;
    const char *sentence;       /* NULL for none */
    const char *outcome;        /* the commonest class of its seeds, NULL for none */
    size_t outcome_seeds;       /* that have it */
    int channels[IL__CHANNELS]; /* IL__CHANNEL_* */
    int certified;              /* as il__certified */
    bool lowered;
    const char *cost; /* the metric of the largest tax, NULL for none */
    double cost_mean;
} il__brief;

typedef struct il__briefs {
    il__brief **items; /* in the order of the runs */
    size_t count;
    size_t room;
    size_t run_count;
    size_t pressed;
    double bits; /* the most that any run says of its selection; NaN: none does */
    /* folders that could not be read, and why */
    const char **unread;
    size_t unread_count;
    il_arena *arena;
} il__briefs;

il_status il__briefs_read(const char *const *runs, size_t count, il__briefs *out,
                          il_error *err);
void il__briefs_free(il__briefs *b);

/* The mean over the seeds that have a value; NaN for none. */
double il__brief_mean(const il__brief *b, il__brief_value value);

#endif
