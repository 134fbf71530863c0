/* What the files of the validator share. Everything here runs in a test's own process,
 * which ends after the test: what a trial allocates is left to that end. */
#ifndef IL_CHECK_CHECK_PRIVATE_H
#define IL_CHECK_CHECK_PRIVATE_H

#include "base/text.h"
#include "check/check.h"
#include "check/guard.h"
#include "pipeline/instance.h"
#include "plugin/loader.h"
#include "tensor/pass.h"

enum { IL__NOTE_MAX = 160, IL__CHECK_ROWS = 3, IL__CHECK_LENGTH = 8 };

/* What a component is made among. Models meet a world of text or of steps, whichever
 * they can be made in. */
typedef enum il__world {
    IL__WORLD_TEXT,
    IL__WORLD_STEPS,
    IL__WORLD_BOTH,
    IL__WORLDS
} il__world;

/* One test as it runs. */
typedef struct il__trial {
    const il_check_options *o;
    il_image image;
    void *handle; /* of the loaded file */
    const il_plugin
        *entry; /* NULL in the groups before the entry is known to be good */
    const il_component *component; /* NULL in tests of the file */
    const char *argument;          /* "name=value" of the test; NULL for none */
    char *note; /* IL__NOTE_MAX bytes that outlive a crash: what is being done */
    char skipped[256];
    /* of the component */
    il_offer offer;
    il_plugin_file file;
    char id[160];
    il__world world; /* models: of the last instance that was made */
    int32_t sites;   /* detectors: how many the last instance reads */
    int64_t heads;   /* of each, where they are attention patterns; 0: they are none */
    il_facts facts;
} il__trial;

typedef il_status il__test(il__trial *t, il_error *err);

/* A row of a group's table. */
enum {
    IL__FILE = 1u << 8,  /* once for the file */
    IL__VALUE = 1u << 9, /* once for each value of each parameter */
    IL__VITAL = 1u << 10 /* when it fails, nothing that follows means anything */
};
#define IL__OF(kind) (1u << (kind)) /* once for each component of the kind */
#define IL__OF_ALL                                                                     \
    (IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DATASET) | IL__OF(IL_KIND_ENVIRONMENT) |   \
     IL__OF(IL_KIND_DETECTOR))

typedef struct il__row {
    const char *name;
    unsigned scope;
    il__test *run;
} il__row;

typedef struct il__group {
    const char *name;
    const il__row *rows;
    size_t count;
    bool loads; /* whether its tests need the entry */
} il__group;

extern const il__group il__group_elf;
extern const il__group il__group_load;
extern const il__group il__group_entry;
extern const il__group il__group_parameters;
extern const il__group il__group_life;
extern const il__group il__group_shapes;
extern const il__group il__group_numerics;
extern const il__group il__group_state;
extern const il__group il__group_dataset;
extern const il__group il__group_environment;

/* Says what is being done, for the report of a test that does not come back. */
IL_PRINTF(2, 3) void il__note(il__trial *t, const char *fmt, ...);
/* Leaves a test out, with the reason; returns IL_OK. */
IL_PRINTF(2, 3) il_status il__skip(il__trial *t, const char *fmt, ...);
/* Seconds on a clock that only goes forward. */
double il__now(void);
/* A failed expectation. */
#define il__found(err, ...) il_error_set(err, IL_ERR_INPUT, "", __VA_ARGS__)

/* ---- instances --------------------------------------------------------------------
 */

typedef struct il__making {
    uint64_t seed;
    bool bare;
    il_setup_fault *fault;
} il__making;

/* Makes an instance of the trial's component with the values given and the trial's own.
 * Where a required value is missing, the trial is skipped and *out stays NULL. */
il_status il__subject(il__trial *t, const il__making *how, il_instance **out,
                      il_error *err);
/* With the seed of the check. */
il_status il__subject_plain(il__trial *t, il_instance **out, il_error *err);

/* ---- behaviour: what an instance does, as bytes to compare ------------------------
 */

typedef struct il__act {
    int64_t rows;
    int64_t length;
    bool gradients; /* models and detectors: also those of the losses or logits */
    uint64_t salt;  /* of the inputs */
    float poison;   /* put into the first row's inputs where `poisoned` */
    bool poisoned;
    bool leave_first; /* leaves the first row out of the bytes */
} il__act;

/* Runs the instance on inputs of these sizes and adds what it gave to `out`: outputs,
 * sites and losses, logits, rows or an episode. Inputs lie on pages that cannot be
 * written to, and everything that is written has guards round it. What has another
 * shape than was declared is an error. */
il_status il__behave(il__trial *t, const il_instance *i, const il__act *act,
                     il_text *out, il_error *err);
/* With the sizes of IL__CHECK_ROWS and IL__CHECK_LENGTH. */
il_status il__behave_plain(il__trial *t, const il_instance *i, il_text *out,
                           il_error *err);
/* Equal bytes, or a failure that says `what` differs. */
il_status il__same(const il_text *a, const il_text *b, const char *what, il_error *err);

/* The parts of it. A model or a detector as it runs once in a pass of its own, its
 * parameters and inputs on pages that cannot be written to: */
typedef struct il__run {
    il_pass *pass;
    size_t bits;        /* of the parameters, and of a detector's inputs after them */
    float **values;     /* [bits] what each holds; the run's own */
    const char **names; /* [bits] */
    int64_t *counts;    /* [bits] elements */
    size_t root_count;  /* losses, or the logits */
    il_tensor *roots[16];
    const char *root_names[16];
    struct il__run_parts *parts;
} il__run;
il_status il__run_open(il__run *r, const il__trial *t, const il_instance *i,
                       const il__act *act, il_error *err);
/* Runs it forward once more on the values as they are. `straight`: what the component
 * detaches stays attached, so that derivatives are whole. */
il_status il__run_forward(il__run *r, bool straight, il_error *err);
/* Gradients of the mean of a root in all bits; grads[bit] is the run's own. */
il_status il__run_backward(il__run *r, size_t root, float **grads, il_error *err);
void il__run_close(il__run *r);
/* Models: what the last forward pass read, and one call of `step` on other rows. */
const il_batch *il__run_batch(const il__run *r);
il_status il__run_step(il__run *r, const il_batch *batch, int64_t at, int64_t length,
                       float *carry, il_error *err);

/* Tests that have a file of their own. */
il_status il__steps_like_forward(il__trial *t, il_error *err);
/* And with what passes any one of its sites edited. */
il_status il__steps_like_forward_edited(il__trial *t, il_error *err);
il_status il__linear_as_said(il__trial *t, il_error *err);
il_status il__dataset_text(il__trial *t, il_error *err);
il_status il__dataset_prompts(il__trial *t, il_error *err);
il_status il__episodes_told(il__trial *t, il_error *err);

/* Rows of a split, checked against what the dataset declares, as bytes. */
il_status il__dataset_rows(const il_instance *i, int32_t split, int64_t index,
                           int64_t rows, il_batch **batch, il_error *err);
/* An episode with actions of their own stream, checked as it goes, as bytes. */
il_status il__episode(const il__trial *t, const il_instance *i, uint64_t salt,
                      il_text *out, il_error *err);
void il__batch_bytes(const il_batch *batch, il_text *out);
/* The widths of a detector's sites. */
enum { IL__SITE_WIDTH = 8, IL__SITE_HEADS = 2, IL__SITES_MAX = 3 };

/* ---- the process -------------------------------------------------------------------
 */

/* What a plugin may not change in its host, one text an aspect. */
enum { IL__ASPECTS = 9 };
typedef struct il__process {
    il_text aspects[IL__ASPECTS];
} il__process;
void il__process_look(il__process *p);
/* The first aspect that is another one now. */
il_status il__process_same(const il__process *before, const il__process *after,
                           il_error *err);

#endif
