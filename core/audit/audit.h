/* The audit: does the detector still tell the truth about this model?
 *
 * It judges detectors on rows that fitted and calibrated nothing, refits fresh readers
 * on labelled anchors, lets the model act and reads what it wrote through the weights
 * of now and of then. Nothing of it flows back: the audit's readers live and die here,
 * and each look at a vault detector is counted. */
#ifndef IL_AUDIT_AUDIT_H
#define IL_AUDIT_AUDIT_H

#include <jansson.h>
#include "base/log.h"
#include "detect/fit.h"
#include "detect/metrics.h"

/* A detector that is judged. */
typedef struct il_audited {
    const il_detector *now;
    const il_detector *then; /* as first fitted; NULL: `now` has not changed since */
    const float *const
        *then_values; /* the model's weights of then; NULL: no comparison with then */
} il_audited;

typedef struct il_audit_input {
    const il_registry *registry;
    const il_audit_spec *spec; /* splits, fresh readers, anchors */
    const il_instance *model;
    const float *const *values;     /* of now */
    const il_instance *data;        /* NULL without data */
    const il_instance *environment; /* NULL without an environment */
    const il_audited *detectors;
    size_t detector_count;
    const il_blas *blas;
    il_pool *pool;
    il_log *log;
    uint64_t seed;
    uint32_t depth; /* of the stage, for the keys of draws */
    bool whole;     /* also what is too dear for every audit of a trajectory: readers'
                       floors (a random model, shuffled labels), readers at further
                       sites, the text of then, edits */
    int64_t looks;  /* at vault detectors before this one */
    /* What is done to the model of now while it is measured; NULL: nothing. */
    const il_site_edits *edits;
} il_audit_input;

typedef struct il_audit_metric {
    const char *name;
    double value;
} il_audit_metric;

typedef struct il_audit {
    il_audit_metric *metrics; /* the first split's under their plain names:
                                 "probe.auroc", "fresh.mlp.auroc", "lie"; under an edit
                                 "edit.NAME.lie" */
    size_t count;
    json_t *json;        /* what audit.json holds */
    json_t *seconds;     /* by part, what they took; apart from the rest, since time is
                            no result: that has the same bits whatever it took */
    const char *outcome; /* static; NULL where there is none to tell */
    int64_t looks;       /* at vault detectors, with this one */
    il_arena *arena;
} il_audit;

/* Whether the model and the data have what an audit names: splits and anchors, sites,
 * and whether its fresh readers are offered. `data` may be NULL. */
void il_audit_check(const il_audit_spec *spec, const il_instance *model,
                    const il_instance *data, il_problems *problems);
/* Runs an audit. A detector to compare with that is not among the audited, and splits
 * that share documents with a fit, a calibration or the anchors, are refused. Same bits
 * for any pool. */
il_status il_audit_run(il_audit **out, const il_audit_input *in, il_error *err);
void il_audit_destroy(il_audit *a); /* takes NULL */
/* A metric by name; NaN when it was not computed. */
double il_audit_value(const il_audit *a, const char *name);

#endif
