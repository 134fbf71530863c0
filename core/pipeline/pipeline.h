/* The typed pipeline: what one job's document says, with every scalar given its
 * type.
 *
 * The structs are named `..._spec`: they say what is wanted, and later layers make
 * it. All of it lives in the arena it was read into and is never changed. Each part
 * keeps its place, so that a later layer that cannot do what it says can name the
 * line. A count of 0 or a NULL text means "left out" unless a field says otherwise. */
#ifndef IL_PIPELINE_PIPELINE_H
#define IL_PIPELINE_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/detector.h"
#include "base/arena.h"
#include "pipeline/node.h"
#include "pipeline/problems.h"
#include "plugin/trust.h"

/* A list of names with where each stands. */
typedef struct il_names_spec {
    size_t count;
    const char **items;
    il_place *places;
} il_names_spec;

/* `{use: id@range, params: {...}}`. The params are checked against the component's
 * table once its plugin is known: il_params_check. */
typedef struct il_component_spec {
    /* without the range; NULL when the pipeline has no such component */
    const char *use;
    const char *range;     /* "^1.0", or "" for any version */
    const il_node *params; /* a map, or NULL */
    il_place place;
    il_place use_place;
} il_component_spec;

enum { IL_ROLLOUTS_MAX = 16 }; /* named ones of a stage */

/* Episodes (or answers to prompts) drawn with a policy. */
typedef struct il_rollout_spec {
    const char *name;   /* under `train.rollouts`; NULL elsewhere */
    const char *policy; /* NULL: there is no rollout here */
    int64_t episodes;
    int64_t prompts;
    int64_t samples;
    il_place place;
} il_rollout_spec;

/* Where rows come from: a split of the data, or rollouts. */
typedef struct il_draw_spec {
    const char *split;
    il_rollout_spec rollouts;
} il_draw_spec;

typedef struct il_fit_spec {
    bool given;
    il_draw_spec draw;
    const char *label;
    const char *method; /* NULL: the detector's own way */
    int64_t steps;      /* 0, like the numbers below when negative: the method's own */
    int64_t batch;
    double lr;
    double l2;
    double weight_decay;
    int64_t warmup; /* of a dictionary's fit: -1 */
    double decay;   /* -1 */
    int64_t lanes;  /* 0 */
    int64_t hold;   /* documents at a time; 0: all */
    il_place place;
} il_fit_spec;

typedef enum il_threshold_kind {
    IL_THRESHOLD_NONE,
    IL_THRESHOLD_LOGIT, /* the given logit */
    IL_THRESHOLD_RATE   /* the false-positive rate `fpr` per `unit` on the draw */
} il_threshold_kind;

typedef enum il_unit {
    IL_UNIT_TOKEN,
    IL_UNIT_SEQUENCE,
    IL_UNIT_EPISODE,
    IL_UNIT_STEP
} il_unit;
enum { IL_UNITS = IL_UNIT_STEP + 1 };

typedef struct il_threshold_spec {
    il_threshold_kind kind;
    double logit;
    double fpr;
    il_unit unit;
    bool unit_given;
    il_draw_spec draw;
    il_place place;
} il_threshold_spec;

typedef struct il_calibrate_spec {
    bool given;
    const char *method; /* "platt", "temperature" or "isotonic" */
    il_draw_spec draw;
    il_place place;
} il_calibrate_spec;

typedef struct il_rezero_spec {
    const char *split; /* NULL: not re-zeroed */
    int64_t rows;
    il_place place;
} il_rezero_spec;

typedef enum il_refit_kind {
    IL_REFIT_FROZEN,
    IL_REFIT_EVERY,  /* every `every` steps, from its last weights */
    IL_REFIT_FRESH,  /* every `every` steps, from scratch */
    IL_REFIT_ONLINE, /* `steps` steps at `lr` on each batch's detached activations */
    IL_REFIT_THROUGH /* the fitted optimum stays on the tape */
} il_refit_kind;

/* How many episodes of a policy a refit looks at. */
typedef struct il_share_spec {
    const char *policy;
    int64_t episodes;
} il_share_spec;

typedef struct il_refit_spec {
    il_refit_kind kind;
    int64_t every;
    int64_t steps;
    double lr;
    const char *split; /* anchors; NULL: the split it was fitted on */
    int64_t rows;      /* 0: all */
    il_share_spec *rollouts;
    size_t rollout_count;
    il_place place;
} il_refit_spec;

/* A difference that a detector from a file may have, with the reason to take it. */
typedef struct il_accept_spec {
    const char *what; /* "site", "model", ... */
    const char *why;
    il_place place;
} il_accept_spec;

typedef enum il_pool_kind {
    IL_POOL_NONE,
    IL_POOL_LAST,
    IL_POOL_MEAN,
    IL_POOL_MAX,
    IL_POOL_TOP_K_MEAN,
    IL_POOL_EMA_MAX,
    IL_POOL_ROLLING_MEAN_MAX,
    IL_POOL_ATTENTION
} il_pool_kind;

/* How the scored positions of a sequence become one score. */
typedef struct il_pool_spec {
    il_pool_kind kind;
    int64_t k;      /* TOP_K_MEAN */
    double decay;   /* EMA_MAX */
    int64_t window; /* ROLLING_MEAN_MAX */
    il_place place;
} il_pool_spec;

enum { IL_DETECTOR_LEVELS = 4 }; /* how deep detectors may read detectors */

typedef struct il_detector_spec {
    const char *name;
    il_component_spec component;
    const char *from; /* an absolute path of a file that holds it; NULL: made here */
    il_place from_place;
    il_accept_spec *accept; /* of `from` */
    size_t accept_count;
    /* The detectors that it reads, in place of sites; `sites` and `on` are then what
     * those read, each site once. */
    il_names_spec of;
    int level;           /* 0: it reads sites; else one above the highest of `of` */
    il_names_spec sites; /* at least one */
    const char *on;      /* a reference whose activations it reads; NULL: the model's */
    const char *tokens;  /* "all" or a mask of the data */
    const char *keys;    /* a mask of the data that it is shown beside; NULL */
    const char *label;   /* of its fit, else what those it reads were fitted to; NULL */
    enum il_context context;
    il_pool_spec pooling;
    const char *pool; /* the same in words, for contracts: "ema_max, decay 0.9" */
    bool pooled; /* it gives one score a sequence: it pools, or what it reads does */
    il_fit_spec fit;
    il_calibrate_spec calibrate;
    il_threshold_spec threshold;
    il_rezero_spec rezero;
    il_refit_spec refit;
    bool vault;
    il_place place;
} il_detector_spec;

/* Where plugins are looked for, and which may be loaded. */
typedef struct il_plugins_spec {
    il_names_spec path; /* absolute folders */
    il_trust_mode trust;
    const char *lock; /* LOCKED: the lock's file, absolute */
} il_plugins_spec;

typedef struct il_reference_spec {
    const char *name;
    const char *of_stage; /* NULL: a moving average of the model */
    const char *of_variant;
    double moving_average; /* decay */
    il_place place;
} il_reference_spec;

typedef enum il_source_kind {
    IL_SOURCE_LOSS,     /* `name`: a loss the model gives */
    IL_SOURCE_DETECTOR, /* `name` */
    IL_SOURCE_CROSS_ENTROPY,
    IL_SOURCE_REWARD, /* `name` of the environment's */
    IL_SOURCE_LABEL,  /* `name`: enters like a detector that knows */
    IL_SOURCE_ENTROPY,
    IL_SOURCE_KL /* to the reference `name` */
} il_source_kind;

typedef struct il_source_spec {
    il_source_kind kind;
    const char *name;    /* see the kinds; of CROSS_ENTROPY the model's output */
    const char *targets; /* CROSS_ENTROPY: the batch field */
    const char *mask;    /* CROSS_ENTROPY: the batch field, or NULL for all rows */
    il_place place;
} il_source_spec;

typedef enum il_channel {
    IL_CHANNEL_LOSS,
    IL_CHANNEL_REWARD,
    IL_CHANNEL_EDIT,
    IL_CHANNEL_DATA,
    IL_CHANNEL_HALT,
    IL_CHANNEL_MONITOR
} il_channel;

/* From `from` to `to` in a straight line over the first `over` steps, 0 meaning all
 * of the stage's. */
typedef struct il_weight_spec {
    double from;
    double to;
    int64_t over;
    il_place place;
} il_weight_spec;

/* What stands in a score's place, so that the pressure stays and what it knows goes. */
typedef enum il_scramble {
    IL_SCRAMBLE_NONE,
    IL_SCRAMBLE_ROWS,     /* the scores of other rows */
    IL_SCRAMBLE_CONSTANT, /* half, for every row */
    IL_SCRAMBLE_NOISE     /* keyed noise; of what has a direction, a random one */
} il_scramble;

typedef enum il_gate_kind {
    IL_GATE_NONE,
    IL_GATE_DETECTOR,
    IL_GATE_CONSTANT,
    IL_GATE_LABEL
} il_gate_kind;

typedef struct il_gate_spec {
    il_gate_kind kind;
    const char *name; /* of the detector or label */
    double constant;
    il_scramble scramble; /* DETECTOR: ROWS, NOISE */
    bool through;         /* DETECTOR: not stop-gradient */
    il_place place;
} il_gate_spec;

/* What is done at a detector's site. */
typedef struct il_edit_spec {
    bool given;
    il_edit_kind kind;
    double value;    /* CLAMP, STEER */
    bool classes;    /* STEER: `value` counts distances between the class means */
    bool to_middle;  /* ABLATE: to half way between the class means, and not to 0 */
    bool keep_error; /* SPLICE: what the reconstruction leaves out stays */
    const int32_t *features; /* of a dictionary, ascending */
    size_t feature_count;
    il_place place;
} il_edit_spec;

typedef enum il_halt_action {
    IL_HALT_STOP,  /* the stage ends */
    IL_HALT_ALARM, /* it is said, and nothing else */
    IL_HALT_FREEZE /* groups of parameters are stepped no more */
} il_halt_action;

/* The state that a stage which stops leaves. */
typedef enum il_halt_keep {
    IL_HALT_KEEP_LAST,   /* that of the step at which it stops */
    IL_HALT_KEEP_BEFORE, /* that of the last audit that found the detector healthy */
    IL_HALT_KEEP_BEST    /* that of the audit with the best reading */
} il_halt_keep;

/* What is done when what an audit measures crosses a line. */
typedef struct il_halt_spec {
    bool given;
    const char *metric;
    const char *minus; /* less this metric; NULL: as it is */
    bool below;        /* ill below the bound; else above it */
    double bound;
    double until;     /* once ill, healthy again from here on; the bound by default */
    int64_t patience; /* audits in a row that find it ill before anything is done */
    il_halt_action action;
    il_names_spec freeze;
    il_halt_keep keep;
    il_place place;
} il_halt_spec;

/* How examples are chosen or weighed by a detector's probability p. */
typedef enum il_sift_kind {
    IL_SIFT_BELOW,      /* kept where p is below `value` */
    IL_SIFT_ABOVE,      /* kept where it is above */
    IL_SIFT_LOWEST,     /* the share `value` of a batch with the lowest p is kept */
    IL_SIFT_HIGHEST,    /* that with the highest */
    IL_SIFT_COMPLEMENT, /* weight 1 - p */
    IL_SIFT_EXPONENTIAL /* weight exp(-p / `value`) */
} il_sift_kind;

typedef struct il_sift_spec {
    bool given;
    il_sift_kind kind;
    double value;
    il_place place;
} il_sift_spec;

typedef enum il_route_kind {
    IL_ROUTE_ALL,
    IL_ROUTE_NONE,
    IL_ROUTE_GROUPS,
    IL_ROUTE_DOWNSTREAM,
    IL_ROUTE_UPSTREAM
} il_route_kind;

typedef struct il_route_spec {
    il_route_kind kind;
    il_names_spec groups; /* for the last two kinds what narrows them; empty: nothing */
    const char *target; /* a detector's name or a site's, for the last two kinds */
    bool target_is_detector;
    il_place place;
} il_route_spec;

typedef struct il_signal_spec {
    const char *name;
    il_source_spec source;
    il_channel channel;
    il_weight_spec weight;
    double scale;
    il_gate_spec gate;
    bool has_trigger;
    double trigger_above;
    const char *tokens; /* NULL: the detector's own */
    il_route_spec route;
    /* names under `train.rollouts`, filled in; none without rollouts */
    il_names_spec on;
    bool credit_sample;   /* reinforces the sampled site instead of the action */
    il_edit_spec edit;    /* channel edit; its weight is the edit's strength */
    il_halt_spec halt;    /* channel halt */
    il_sift_spec sift;    /* channel data */
    il_scramble scramble; /* of a detector as source */
    il_place place;
} il_signal_spec;

/* Whether a signal has a part in what is trained. One on monitor is only watched, and
 * an alarm only heard. */
static inline bool il_signal_acts(const il_signal_spec *s)
{
    return s->channel != IL_CHANNEL_MONITOR &&
           (s->channel != IL_CHANNEL_HALT || s->halt.action != IL_HALT_ALARM);
}

typedef enum il_optimizer_kind {
    IL_OPTIMIZER_ADAMW,
    IL_OPTIMIZER_ADAM,
    IL_OPTIMIZER_SGD
} il_optimizer_kind;

typedef enum il_schedule_kind {
    IL_SCHEDULE_CONSTANT,
    IL_SCHEDULE_LINEAR,
    IL_SCHEDULE_COSINE,
    IL_SCHEDULE_STEP
} il_schedule_kind;

typedef struct il_schedule_spec {
    il_schedule_kind kind;
    int64_t warmup; /* steps from 0 to the full rate */
    double final;   /* LINEAR, COSINE: the share of the rate left at the end */
    double at;      /* STEP: the share of the steps after which ... */
    double factor;  /* ... the rate is multiplied by this */
} il_schedule_spec;

typedef struct il_rate_spec {
    const char *group;
    double lr;
    il_place place;
} il_rate_spec;

typedef struct il_optimizer_spec {
    il_optimizer_kind kind;
    double lr; /* of every group; unused when `rates` name them one by one */
    il_rate_spec *rates;
    size_t rate_count;
    double beta1, beta2, eps, weight_decay; /* ADAMW, ADAM */
    double momentum;                        /* SGD */
    il_schedule_spec schedule;
    il_place place;
} il_optimizer_spec;

typedef struct il_clip_spec {
    bool all;             /* one norm over every group */
    il_names_spec groups; /* else over these */
    double norm;
    il_place place;
} il_clip_spec;

typedef enum il_algorithm_kind {
    IL_ALGORITHM_NONE,
    IL_ALGORITHM_A2C,
    IL_ALGORITHM_GROUP_RELATIVE,
    IL_ALGORITHM_PPO
} il_algorithm_kind;

typedef struct il_algorithm_spec {
    il_algorithm_kind kind;
    double gamma;
    double lambda;
    double reward_scale;
    double value_weight;
    bool normalize_batch; /* advantages over the batch */
    bool divide_by_std;   /* GROUP_RELATIVE */
    double clip;          /* PPO: how far a ratio may count from 1 */
    int64_t epochs;       /* passes over one update's episodes; 1 but for PPO */
    int64_t minibatches;  /* parts of them, a step each; 1 but for PPO */
    il_place place;
} il_algorithm_spec;

/* A site whose value the model's own policy draws anew around what it computes. */
typedef struct il_sample_spec {
    const char *site; /* NULL: none */
    const char *mean; /* the site that holds what it is drawn around */
    double std;
    il_place place;
} il_sample_spec;

typedef struct il_train_spec {
    bool given;
    int64_t steps;   /* of supervised training, or 0 */
    int64_t updates; /* of reinforcement, or 0; exactly one of the two is set */
    int64_t batch;
    int64_t micro_batch; /* examples; 0: a lane's whole share at once */
    int64_t lanes;
    il_optimizer_spec optimizer;
    bool continue_optimizer; /* `optimizer_state: continue` */
    il_clip_spec *clips;
    size_t clip_count;
    const char *shadow; /* a detector's name */
    il_rollout_spec *rollouts;
    size_t rollout_count;
    il_algorithm_spec algorithm;
    il_sample_spec sample;
    il_place place;
} il_train_spec;

/* Steps of supervised training, or updates. */
static inline int64_t il_train_length(const il_train_spec *t)
{
    return t->steps > 0 ? t->steps : t->updates;
}

/* What `firewall` asks to be closed: bits, in the order of the verdict's row. */
enum {
    IL_DEMAND_DIRECT = 1u << 0,
    IL_DEMAND_CREDIT = 1u << 1,
    IL_DEMAND_RELAY = 1u << 2,
    IL_DEMAND_STATE = 1u << 3,
    IL_DEMAND_DATA = 1u << 4,
    IL_DEMAND_INPUT = 1u << 5,
    IL_DEMAND_READER = 1u << 6,
    IL_DEMAND_SELECTION = 1u << 7,
    IL_DEMAND_SEALED =
        IL_DEMAND_DIRECT | IL_DEMAND_CREDIT | IL_DEMAND_RELAY | IL_DEMAND_STATE,
    IL_DEMAND_ISOLATED = IL_DEMAND_SEALED | IL_DEMAND_DATA,
    IL_DEMAND_OPEN = 0
};

typedef struct il_demand_spec {
    bool given; /* said for this stage or the pipeline; else the default, sealed */
    unsigned closed;
    il_place place;
} il_demand_spec;

/* An edit under which an audit measures once more. */
typedef struct il_audit_edit_spec {
    const char *name;
    const char *detector;
    const char *tokens; /* NULL: the detector's own */
    double weight;
    il_edit_spec edit;
    il_place place;
} il_audit_edit_spec;

/* What an audit's outcome is about; a number that was not given is NaN. */
typedef struct il_outcome_spec {
    bool given;
    const char *behaviour; /* a metric */
    const char *good;
    const char *detector;
    il_place detector_place;
    bool instead;
    double floor, full, good_full, some, much, enough, seen;
} il_outcome_spec;

typedef struct il_audit_spec {
    bool given;
    int64_t every; /* 0: at the end alone */
    il_names_spec splits;
    il_rollout_spec rollouts;
    il_rollout_spec reference;
    int64_t samples;
    il_names_spec fresh;
    il_names_spec sites; /* where else fresh readers read */
    bool sites_given;    /* else: the other detectors', the last residual stream */
    const char *anchors;
    il_place anchors_place;
    const char *against; /* a detector's name */
    il_place against_place;
    const char *tokens; /* a mask of the environment's: measured there, too */
    double prevalence;  /* of positives in use; 0: not said */
    il_audit_edit_spec *edits;
    size_t edit_count;
    il_outcome_spec outcome;
    il_place place;
} il_audit_spec;

typedef enum il_compare {
    IL_COMPARE_LESS,
    IL_COMPARE_LESS_EQUAL,
    IL_COMPARE_GREATER,
    IL_COMPARE_GREATER_EQUAL
} il_compare;

typedef struct il_require_spec {
    const char *metric;
    il_compare compare;
    double bound;
    const char *text; /* as written, ">= 0.94" */
    il_place place;
} il_require_spec;

/* What a pressed run of a stage is compared with. */
typedef struct il_twins_spec {
    bool twin;
    bool placebo;
    il_scramble scramble; /* of the placebo; NONE: as the channel suits */
    il_place place;
} il_twins_spec;

#define IL_ENDPOINT_MARGIN 0.1 /* where nobody said */

/* The one question that a run answers. */
typedef struct il_endpoint_spec {
    bool declared;      /* by the pipeline; else the default that its jobs suggest */
    const char *metric; /* NULL: there is none */
    const char *stage;
    const char *variant; /* NULL: all that press */
    bool placebo;        /* compared with that; else with the twin */
    double margin;
    const char *behaviour; /* the metric that is told first, or NULL */
    il_names_spec tax;
    il_place place;
} il_endpoint_spec;

typedef struct il_stage_spec {
    const char *name;
    const char *from; /* NULL: starts from a new model */
    const char *from_variant;
    il_train_spec train;
    il_names_spec fit;
    il_signal_spec *signals;
    size_t signal_count;
    il_demand_spec firewall; /* the stage's own or else the pipeline's */
    il_audit_spec audit;
    il_require_spec *requirements;
    size_t requirement_count;
    int64_t ledger_every; /* 0: never; -1: not said, kept where a detector presses */
    const char *twin_of;  /* a variant of the same stage, or "all" */
    const char *placebo_of;
    il_twins_spec twins; /* the stage's own or else the pipeline's */
    il_place place;
} il_stage_spec;

typedef enum il_numerics_spec {
    IL_NUMERICS_NATIVE,
    IL_NUMERICS_PORTABLE
} il_numerics_spec;

typedef struct il_pipeline {
    const char *name;
    uint64_t seed;
    il_numerics_spec numerics;
    il_plugins_spec plugins;
    il_component_spec model;
    il_component_spec data;
    il_component_spec environment;
    il_reference_spec *references;
    size_t reference_count;
    il_detector_spec *detectors;
    size_t detector_count;
    il_stage_spec *stages; /* in the order of the file */
    size_t stage_count;
    il_endpoint_spec endpoint;
    const il_node *document; /* what it was read from */
} il_pipeline;

/* Reads a resolved document (no variants left to apply, no ${...}) into a typed
 * pipeline. It always gives one, NULL only when memory is out; one with problems is
 * not to be used. `stages_known` names every stage of the whole file, since a job's
 * document holds only those that it needs; NULL means those in `document`. */
il_pipeline *il_pipeline_read(il_arena *arena, const il_node *document,
                              const il_node *stages_known, il_problems *problems);

const il_detector_spec *il_pipeline_detector(const il_pipeline *p, const char *name);
/* Whether a detector reads the named one, itself or through others. */
bool il_pipeline_composed(const il_pipeline *p, const il_detector_spec *d,
                          const char *name);
/* Whether the one's score says something of the other's: they are the same, or one
 * reads the other. */
bool il_pipeline_akin(const il_pipeline *p, const char *a, const char *b);
const il_reference_spec *il_pipeline_reference(const il_pipeline *p, const char *name);
const il_stage_spec *il_pipeline_stage(const il_pipeline *p, const char *name);

/* Whether a signal lets a detector press: as its source or its gate, on a channel that
 * acts, with its score as it is. */
bool il_signal_presses(const il_signal_spec *s);

/* The words of the grammar, for messages and reports. */
/* A pooling from the words of a contract, such as "ema_max, decay 0.9"; false when they
 * are none. NULL is no pooling. */
bool il_pool_from_words(const char *words, il_pool_spec *out);
const char *il_channel_name(il_channel channel);
const char *il_unit_name(il_unit unit);
const char *il_context_name(enum il_context context);
/* The name of one bit of a demand: "direct", "credit", ... */
const char *il_demand_name(unsigned bit);

#endif
