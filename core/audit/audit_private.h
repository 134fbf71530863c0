/* What the files of the audit share: the audit under way, and how its numbers are
 * kept. */
#ifndef IL_AUDIT_AUDIT_PRIVATE_H
#define IL_AUDIT_AUDIT_PRIVATE_H

#include "audit/audit.h"

enum { IL_AUDIT_READERS = 5 };

/* A reader of the audit's own: bundled components by their plain names. The first is
 * the linear one, which detectors are compared with. */
typedef struct il_audit_reader {
    const char *name;
    const char *component;
    enum il_context context;
} il_audit_reader;
extern const il_audit_reader il__audit_readers[IL_AUDIT_READERS];

/* An audit under way. */
typedef struct il_audit_work {
    const il_audit_input *in;
    il_audit *out;
    size_t room; /* for metrics */
    json_t *metrics;
    json_t *floors;
    const il_detector *against;     /* what the others are compared with, or NULL */
    json_t *played;                 /* what is known of the episodes, by set */
    json_t *unread;                 /* why, by fresh reader, one could not be fitted */
    json_t *reliability;            /* diagrams, by reader */
    json_t *histograms;             /* of logits by class, by detector on its split */
    struct il_outcome_taken *taken; /* NULL: no outcome is asked for */
    json_t *outcome;                /* NULL: there is none to tell */
    json_t *answers;                /* as text, by kind of prompt */
    json_t *answers_under;          /* the same under edits, by the edit's name */
    json_t *detectors;              /* what each alarms at */
    bool floored;                   /* floor.ablated has been measured */
    double rate;  /* of false positives, where a reader has no threshold of its own */
    double since; /* when the part under way began, in seconds */
} il_audit_work;

il_status il__audit_no_memory(il_error *err);
/* A harvest of the audit's model under some weights; the rest is to be filled in. */
il_harvest il__audit_harvest(const il_audit_work *w, const float *const *values);

/* Adds the time since the last part ended to a part's, for audit_time.json. */
void il__audit_spent(il_audit_work *w, const char *part);

/* ---- numbers -------------------------------------------------------------------- */

/* What is kept of every detector, wherever it is judged. */
enum { IL_AUDIT_SHOWN = 10 };
extern const il_measure il__audit_shown[IL_AUDIT_SHOWN];
/* And of whole documents and episodes. */
enum { IL_AUDIT_SHOWN_WHOLE = 5 };
extern const il_measure il__audit_shown_whole[IL_AUDIT_SHOWN_WHOLE];

/* Rows with a detector's logits, which are borrowed, at its threshold, its rate and the
 * audit's prevalence. */
il_scores il__audit_scores(const il_audit_work *w, const il_detector *d,
                           const il_scored *rows, const float *logits);
/* The same by document or episode, and measured; rows that are documents already have
 * rows == 0. Without intervals for draws of 0. */
il_status il__audit_measure_whole(const il_audit_work *w, const il_scores *s, int draws,
                                  il_measured *m, il_error *err);
/* A measure's interval and what it was measured on; NULL when memory is out. */
json_t *il__audit_more(const il_measured *m, il_measure which);

/* Keeps a metric. `name` NULL: memory was out. `more`, taken over, goes beside its
 * value in audit.json. */
il_status il__audit_put(il_audit_work *w, const char *name, double value, json_t *more,
                        il_error *err);
/* One measure of a reader, with its interval and what it was measured on, under a name
 * of its own. */
il_status il__audit_put_as(il_audit_work *w, const char *name, const il_measured *m,
                           il_measure which, il_error *err);
/* The same under READER.MEASURE. */
il_status il__audit_put_measure(il_audit_work *w, const char *reader,
                                const il_measured *m, il_measure which, il_error *err);
/* Sets a number in `object`, unless it is none. */
void il__audit_set(json_t *object, const char *key, double value);

/* ---- parts ---------------------------------------------------------------------- */

/* A detector's measures on rows that it reads. */
il_status il__audit_measure(const il_audit_work *w, const il_detector *d,
                            const il_acts *acts, il_measured *m, il_error *err);
/* The detector as it read the model of then: what it was before refits, with its zero
 * not moved. Borrows all of the audited detector's. */
il_detector il__audit_then(const il_audited *a);
/* Whether a detector's probabilities mean what they say: *ece of them, *before by the
 * plain sigmoid (NaN where it has no calibration), and under `name` the diagrams with
 * the counts of their bins. NaN without labels. */
il_status il__audit_reliability(il_audit_work *w, const char *name, const il_scores *s,
                                double *ece, double *before, il_error *err);
/* A declared detector on a split; the first split's metrics have its plain name. */
il_status il__audit_judge(il_audit_work *w, const il_audited *a, const char *split,
                          bool first, il_error *err);
/* Readers fitted anew on the rows that `like` reads, judged on `split`. */
il_status il__audit_fresh(il_audit_work *w, const il_detector *like, const char *split,
                          il_error *err);
/* Random weights of the model's shapes, the same for a seed, in the arena. */
il_status il__audit_random_values(const il_audit_work *w, const float ***out,
                                  il_error *err);
/* Notes a reader's floor ("random", "shuffled") for the figures, unless one stands
 * there. */
void il__audit_set_floor(il_audit_work *w, const char *which, const char *kind,
                         double value);
/* Has a fresh reader give a score a sequence where the detector beside it does, by the
 * same pooling; by the mean where that is learned. */
void il__audit_pool_like(il_detector_spec *fresh, const il_detector_spec *like);
/* Whether a fresh reader of that name is offered. */
bool il__audit_offers(const char *reader);
/* What is to become of a fresh reader whose fit gave `why`. Rows that determine no fit
 * (activations that are all the same, a singular covariance, a descent that ran away)
 * are noted under the reader's name, and its metrics stay absent: IL_OK. Whatever else
 * is wrong goes to err. */
il_status il__audit_unread(il_audit_work *w, const char *name, const il_error *why,
                           il_error *err);
/* What the model writes, and what the detectors say of it. */
il_status il__audit_cells(il_audit_work *w, il_error *err);
/* Detectors on episodes: those of the model's own policy, and a reference. */
il_status il__audit_played(il_audit_work *w, il_error *err);
/* What the model answers where an environment of text asks, and the outcome. */
il_status il__audit_answers(il_audit_work *w, il_error *err);
/* All of it once more under each edit that the audit names, as edit.NAME.METRIC: in a
 * whole audit. */
il_status il__audit_edited(il_audit_work *w, il_error *err);
/* What the model does with a fresh reader's direction ablated to the middle of the
 * classes at its site, at every position, as fresh.READER.ablated.METRIC, and once with
 * a random one, as floor.ablated.METRIC: in a whole audit, for readers that are linear.
 * `acts` are what the reader was fitted on. */
il_status il__audit_causal(il_audit_work *w, const il_detector *reader,
                           const il_acts *acts, il_error *err);
/* One of the four cells of text: as D.CELL.mean what can be said of the text alone, as
 * .auroc, .tpr and .fpr what can be said of it beside negatives. */
il_status il__audit_put_cell(il_audit_work *w, const il_detector *d, const char *cell,
                             const il_measured *m, const il_measured *ranked,
                             il_error *err);
/* As NAME.coverage the share of rows that lie where those lie that `d` was fitted on,
 * on a split, under the weights of now (coverage.h). Not of detectors that nothing
 * taught here, nor under an edit. */
il_status il__audit_covered(il_audit_work *w, const il_detector *d, const char *name,
                            const il_acts *judged, il_error *err);
/* Keeps what the data measured. */
il_status il__audit_put_tally(il_audit_work *w, const il_tally *t, il_error *err);

#endif
