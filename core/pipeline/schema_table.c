/* The grammar of a pipeline as one table; schema.c is what reads it. From the leaves
 * up. */
#include <math.h>
#include "pipeline/schema_private.h"

#define COUNT         IL__COUNT
#define FIELDS(array) .fields = (array), .field_count = COUNT(array)
#define CASE          IL__CASE

/* The largest whole number that a double and a reader both take without doubt. */
#define MANY 1e12

/* --- scalars --- */

static const il_schema any = {.kind = IL_SCHEMA_ANY, .what = "anything"};
static const il_schema any_map = {
    .kind = IL_SCHEMA_NAMED, .what = "a map", .any_key = true, .element = &any};
static const il_schema text = {.kind = IL_SCHEMA_TEXT, .what = "text"};
static const il_schema name = {.kind = IL_SCHEMA_NAME, .what = "a name"};
static const il_schema flag = {.kind = IL_SCHEMA_FLAG, .what = "true or false"};
static const il_schema number = {
    .kind = IL_SCHEMA_REAL, .what = "a number", .min = -INFINITY, .max = INFINITY};
static const il_schema positive = {.kind = IL_SCHEMA_REAL,
                                   .what = "a number above 0",
                                   .max = INFINITY,
                                   .open_min = true};
static const il_schema not_negative = {
    .kind = IL_SCHEMA_REAL, .what = "a number of at least 0", .max = INFINITY};
static const il_schema share = {
    .kind = IL_SCHEMA_REAL, .what = "a number from 0 to 1", .max = 1};
static const il_schema open_share = {.kind = IL_SCHEMA_REAL,
                                     .what = "a number between 0 and 1",
                                     .max = 1,
                                     .open_min = true,
                                     .open_max = true};
static const il_schema below_one = {.kind = IL_SCHEMA_REAL,
                                    .what = "a number from 0 to below 1",
                                    .max = 1,
                                    .open_max = true};
static const il_schema at_least_one = {.kind = IL_SCHEMA_INT,
                                       .what = "a whole number of at least 1",
                                       .min = 1,
                                       .max = MANY};
static const il_schema at_least_zero = {
    .kind = IL_SCHEMA_INT, .what = "a whole number of at least 0", .max = MANY};
static const il_schema lanes = {
    .kind = IL_SCHEMA_INT, .what = "a whole number from 1 to 64", .min = 1, .max = 64};
static const il_schema seed = {.kind = IL_SCHEMA_INT,
                               .what = "a whole number from 0 to 2^53",
                               .max = 9007199254740992.0};
static const il_schema version = {
    .kind = IL_SCHEMA_INT, .what = "the number 1, the version", .min = 1, .max = 1};
static const il_schema comparison = {.kind = IL_SCHEMA_COMPARISON,
                                     .what = "a comparison such as \">= 0.9\""};
static const il_schema texts = {
    .kind = IL_SCHEMA_LIST, .what = "a list of names", .least = 1, .element = &text};
static const il_schema names = {
    .kind = IL_SCHEMA_LIST, .what = "a list of names", .least = 1, .element = &name};

/* --- components and data --- */

static const il_schema_field component_fields[] = {
    {"use", &text, IL_FIELD_REQUIRED, "id of the component, with an optional @range"},
    {"params", &any_map, 0, "its parameters; `interloop plugin list` shows them"},
};
static const il_schema component = {
    .kind = IL_SCHEMA_MAP, .what = "a component", FIELDS(component_fields)};

static const il_schema_field rollout_fields[] = {
    {"policy", &name, IL_FIELD_REQUIRED, "own, or one that the environment names"},
    {"episodes", &at_least_one, 0, "how many episodes"},
    {"prompts", &at_least_one, 0, "how many prompts"},
    {"samples", &at_least_one, 0, "how many answers to each prompt"},
};
static const il_schema rollout = {
    .kind = IL_SCHEMA_MAP, .what = "a rollout", FIELDS(rollout_fields)};

static const il_schema_field average_fields[] = {
    {"moving_average", &open_share, IL_FIELD_REQUIRED, "its decay"},
};
static const il_schema_field of_fields[] = {
    {"of", &text, IL_FIELD_REQUIRED, "the stage, or stage/variant, whose model it is"},
};
static const il_schema_case reference_cases[] = {
    CASE("of", of_fields),
    CASE("moving_average", average_fields),
};
static const il_schema reference = {.kind = IL_SCHEMA_CASES,
                                    .what = "a reference",
                                    .cases = reference_cases,
                                    .case_count = COUNT(reference_cases)};

/* --- detectors --- */

static const il_schema_field fit_fields[] = {
    {"split", &text, IL_FIELD_ONE, "split of the data"},
    {"rollouts", &rollout, IL_FIELD_ONE | IL_FIELD_WHOLE, "or episodes"},
    {"label", &text, 0, "the label that it learns; a dictionary needs none"},
    {"method", &name, 0, "the fitting procedure; the detector's own by default"},
    {"steps", &at_least_one, 0, "steps of the procedure"},
    {"batch", &at_least_one, 0, "rows a step; all by default"},
    {"lr", &positive, 0, "its learning rate"},
    {"l2", &not_negative, 0, "penalty on the squared weights"},
    {"weight_decay", &not_negative, 0, "decoupled decay of the weights"},
    {"warmup", &at_least_zero, 0, "dictionary: steps until its rate is whole"},
    {"decay", &share, 0, "dictionary: the last part of its steps, in which it falls"},
    {"lanes", &lanes, 0, "dictionary: parts of a batch; 2 by default"},
    {"hold", &at_least_one, 0,
     "dictionary: documents of the split held in memory at a time; all by default"},
};
static const il_schema detector_fit = {
    .kind = IL_SCHEMA_MAP, .what = "how it is fitted", FIELDS(fit_fields)};

static const char *const calibrations[] = {"platt", "temperature", "isotonic", NULL};
static const il_schema calibration = {
    .kind = IL_SCHEMA_CHOICE, .what = "a calibration", .choices = calibrations};
static const il_schema_field calibrate_fields[] = {
    {"split", &text, IL_FIELD_ONE, "split of the data"},
    {"rollouts", &rollout, IL_FIELD_ONE | IL_FIELD_WHOLE, "or episodes"},
    {"method", &calibration, IL_FIELD_REQUIRED, "platt, temperature or isotonic"},
};
static const il_schema calibrate = {
    .kind = IL_SCHEMA_MAP, .what = "a calibration", FIELDS(calibrate_fields)};

static const char *const units[] = {"token", "sequence", "episode", "step", NULL};
static const il_schema unit = {
    .kind = IL_SCHEMA_CHOICE, .what = "a unit that alarms", .choices = units};
static const il_schema_field logit_fields[] = {
    {"logit", &number, IL_FIELD_REQUIRED, "the logit itself"},
};
static const il_schema_field rate_fields[] = {
    {"fpr", &open_share, IL_FIELD_REQUIRED, "false positives per unit"},
    {"unit", &unit, 0, "what alarms; token by default"},
    {"split", &text, IL_FIELD_ONE, "split of the data"},
    {"rollouts", &rollout, IL_FIELD_ONE | IL_FIELD_WHOLE, "or episodes"},
};
static const il_schema_case threshold_cases[] = {
    CASE("logit", logit_fields),
    CASE("fpr", rate_fields),
};
static const il_schema threshold = {.kind = IL_SCHEMA_CASES,
                                    .what = "a threshold",
                                    .cases = threshold_cases,
                                    .case_count = COUNT(threshold_cases)};

static const il_schema_field rezero_fields[] = {
    {"split", &text, IL_FIELD_REQUIRED, "the trusted rows"},
    {"rows", &at_least_one, IL_FIELD_REQUIRED, "how many of them"},
};
static const il_schema rezero = {
    .kind = IL_SCHEMA_MAP, .what = "a re-zeroing", FIELDS(rezero_fields)};

static const il_schema shares = {.kind = IL_SCHEMA_NAMED,
                                 .what = "a map from policies to episodes",
                                 .least = 1,
                                 .element = &at_least_one};
#define ANCHOR_FIELDS                                                                  \
    {"split", &text, 0, "the anchors; those of the fit by default"},                   \
        {"rows", &at_least_one, 0, "how many of them; all by default"},                \
    {                                                                                  \
        "rollouts", &shares, IL_FIELD_WHOLE, "or how many episodes of which policies"  \
    }
static const il_schema_field every_fields[] = {
    {"every", &at_least_one, IL_FIELD_REQUIRED, "steps between two fits"},
    ANCHOR_FIELDS,
};
static const il_schema_field fresh_fields[] = {
    {"fresh", &at_least_one, IL_FIELD_REQUIRED, "steps between two fits from scratch"},
    ANCHOR_FIELDS,
};
static const il_schema_field online_step_fields[] = {
    {"steps", &at_least_one, IL_FIELD_REQUIRED, "steps on each batch"},
    {"lr", &positive, IL_FIELD_REQUIRED, "their learning rate"},
};
static const il_schema online = {
    .kind = IL_SCHEMA_MAP, .what = "an online fit", FIELDS(online_step_fields)};
static const il_schema_field online_fields[] = {
    {"online", &online, IL_FIELD_REQUIRED, "a fit to each batch as it comes"},
};
static const il_schema_field through_fields[] = {
    {"through_fit", &at_least_one, IL_FIELD_REQUIRED, "steps between two fits"},
    ANCHOR_FIELDS,
};
static const il_schema_case refit_cases[] = {
    CASE("every", every_fields),
    CASE("fresh", fresh_fields),
    CASE("online", online_fields),
    CASE("through_fit", through_fields),
};
static const il_schema refit_map = {.kind = IL_SCHEMA_CASES,
                                    .what = "a way of refitting",
                                    .cases = refit_cases,
                                    .case_count = COUNT(refit_cases)};
static const char *const frozen_words[] = {"frozen", NULL};
static const il_schema frozen = {
    .kind = IL_SCHEMA_CHOICE, .what = "frozen", .choices = frozen_words};
static const il_schema *const refit_options[] = {&frozen, &refit_map, NULL};
static const il_schema refit = {
    .kind = IL_SCHEMA_EITHER,
    .what = "frozen, {every: N}, {fresh: N}, {online: {...}} or {through_fit: N}",
    .options = refit_options};

static const char *const contexts[] = {"self", "past", "all", NULL};
static const il_schema context = {
    .kind = IL_SCHEMA_CHOICE, .what = "a context", .choices = contexts};
static const char *const pools[] = {"last",       "mean",    "max",
                                    "top_k_mean", "ema_max", "rolling_mean_max",
                                    "attention",  NULL};
static const il_schema pool_word = {
    .kind = IL_SCHEMA_CHOICE, .what = "a pooling", .choices = pools};
static const il_schema_field top_fields[] = {
    {"k", &at_least_one, 0, "how many of the largest are averaged; 5 by default"},
};
static const il_schema_field ema_fields[] = {
    {"decay", &open_share, 0, "what an average keeps a position; 0.9 by default"},
};
static const il_schema_field rolling_fields[] = {
    {"window", &at_least_one, 0, "positions of a mean; 8 by default"},
};
static const il_schema_case pool_cases[] = {
    {"last", NULL, 0},
    {"mean", NULL, 0},
    {"max", NULL, 0},
    CASE("top_k_mean", top_fields),
    CASE("ema_max", ema_fields),
    CASE("rolling_mean_max", rolling_fields),
    {"attention", NULL, 0},
};
static const il_schema pool_map = {.kind = IL_SCHEMA_USE,
                                   .what = "a pooling",
                                   .cases = pool_cases,
                                   .case_count = COUNT(pool_cases)};
static const il_schema *const pool_options[] = {&pool_word, &pool_map, NULL};
static const il_schema pool = {
    .kind = IL_SCHEMA_EITHER,
    .what =
        "last, mean, max, top_k_mean, ema_max, rolling_mean_max, attention or a map "
        "with `use`",
    .options = pool_options};

static const il_schema_field accept_fields[] = {
    {"site", &text, 0, "why another site is taken"},
    {"convention", &text, 0, "why sites named in another way are taken"},
    {"tokens", &text, 0, "why other scored positions are taken"},
    {"context", &text, 0, "why another context is taken"},
    {"pool", &text, 0, "why another pooling is taken"},
    {"scaling", &text, 0, "why another scaling of activations is taken, as none"},
    {"on", &text, 0, "why another reference is taken"},
    {"rate", &text, 0, "why a threshold for another rate is taken"},
    {"unit", &text, 0, "why a threshold for another unit is taken"},
    {"trusted", &text, 0, "why a zero on other rows is taken"},
    {"calibration", &text, 0, "why another calibration of probabilities is taken"},
    {"member", &text, 0, "why another detector is taken for one that it reads"},
    {"model", &text, 0, "why a model that it was not fitted on is taken"},
};
static const il_schema accept = {
    .kind = IL_SCHEMA_MAP, .what = "a map of differences", FIELDS(accept_fields)};

static const il_schema_field detector_fields[] = {
    {"from", &text, 0, "a file that holds it, fitted elsewhere; relative to this one"},
    {"accept", &accept, 0,
     "what may differ between its contract and this pipeline, each with the reason"},
    {"use", &text, IL_FIELD_REQUIRED, "id of the component, with an optional @range"},
    {"params", &any_map, 0, "its parameters; `interloop plugin list` shows them"},
    {"site", &text, IL_FIELD_ONE, "the site that it reads"},
    {"sites", &texts, IL_FIELD_ONE, "the sites that it reads"},
    {"of", &texts, IL_FIELD_ONE, "or the detectors that it reads"},
    {"on", &name, 0, "a reference whose activations it reads; the model's by default"},
    {"tokens", &text, 0, "positions that it scores: all, or a mask of the data"},
    {"context", &context, 0, "positions that it may read: self, past or all"},
    {"keys", &text, 0, "a mask of the data, for what asks about attention to it"},
    {"pool", &pool, IL_FIELD_WHOLE, "how a sequence's scores become one"},
    {"fit", &detector_fit, 0, "how it is fitted"},
    {"label", &text, 0,
     "what it is calibrated and judged by; that of its fit by default"},
    {"calibrate", &calibrate, IL_FIELD_WHOLE, "how logits become probabilities"},
    {"threshold", &threshold, IL_FIELD_WHOLE, "when it alarms"},
    {"rezero", &rezero, IL_FIELD_WHOLE, "trusted rows that set its zero"},
    {"refit", &refit, IL_FIELD_WHOLE, "whether it is fitted again during training"},
    {"vault", &flag, 0, "whether nothing may ever train on it"},
};
static const il_schema detector = {
    .kind = IL_SCHEMA_MAP, .what = "a detector", FIELDS(detector_fields)};

/* --- the firewall --- */

static const char *const demands[] = {"sealed", "isolated", "open", NULL};
static const il_schema demand_word = {
    .kind = IL_SCHEMA_CHOICE, .what = "sealed, isolated or open", .choices = demands};
static const char *const pressures[] = {
    "direct", "credit", "relay", "state", "data", "input", "reader", "selection", NULL};
static const il_schema pressure = {
    .kind = IL_SCHEMA_CHOICE, .what = "a pressure channel", .choices = pressures};
static const il_schema pressure_list = {.kind = IL_SCHEMA_LIST,
                                        .what = "a list of pressure channels",
                                        .element = &pressure};
static const il_schema *const firewall_options[] = {&demand_word, &pressure_list, NULL};
static const il_schema firewall = {
    .kind = IL_SCHEMA_EITHER,
    .what = "sealed, isolated, open or a list of pressure channels",
    .options = firewall_options};

/* --- signals --- */

static const il_schema_field cross_entropy_fields[] = {
    {"cross_entropy", &text, IL_FIELD_REQUIRED, "an output of the model"},
    {"targets", &text, IL_FIELD_REQUIRED, "the field of the batch that is right"},
    {"mask", &text, 0, "the field of the batch that picks rows; all by default"},
};
static const il_schema_field reward_fields[] = {
    {"reward", &text, IL_FIELD_REQUIRED, "a reward of the environment"},
};
static const il_schema_field label_fields[] = {
    {"label", &text, IL_FIELD_REQUIRED, "a label, in a detector's place"},
};
static const il_schema_field kl_fields[] = {
    {"kl", &name, IL_FIELD_REQUIRED, "a reference"},
};
static const il_schema_case source_cases[] = {
    CASE("cross_entropy", cross_entropy_fields),
    CASE("reward", reward_fields),
    CASE("label", label_fields),
    CASE("kl", kl_fields),
};
static const il_schema source_map = {.kind = IL_SCHEMA_CASES,
                                     .what = "a source",
                                     .cases = source_cases,
                                     .case_count = COUNT(source_cases)};
static const il_schema *const source_options[] = {&text, &source_map, NULL};
static const il_schema source = {
    .kind = IL_SCHEMA_EITHER,
    .what = "a loss, a detector, entropy, or a map with cross_entropy, reward, label "
            "or kl",
    .options = source_options};

static const char *const channels[] = {"loss", "reward",  "edit", "data",
                                       "halt", "monitor", NULL};
static const il_schema channel = {
    .kind = IL_SCHEMA_CHOICE, .what = "a channel", .choices = channels};

static const il_schema_field ramp_fields[] = {
    {"from", &number, IL_FIELD_REQUIRED, "at the first step"},
    {"to", &number, IL_FIELD_REQUIRED, "at the end"},
    {"over", &at_least_one, 0, "steps until the end; all by default"},
};
static const il_schema ramp = {
    .kind = IL_SCHEMA_MAP, .what = "a weight's schedule", FIELDS(ramp_fields)};
static const il_schema *const weight_options[] = {&number, &ramp, NULL};
static const il_schema weight = {.kind = IL_SCHEMA_EITHER,
                                 .what = "a number or {from, to, over}",
                                 .options = weight_options};

static const char *const gate_scrambles[] = {"rows", "noise", NULL};
static const il_schema gate_scramble = {
    .kind = IL_SCHEMA_CHOICE, .what = "what to scramble", .choices = gate_scrambles};
static const il_schema_field gate_detector_fields[] = {
    {"detector", &name, IL_FIELD_REQUIRED, "whose probability multiplies the rows"},
    {"scramble", &gate_scramble, 0,
     "a placebo: its rows permuted, or noise in their place"},
    {"through", &flag, 0, "whether the gradient passes the gate; false by default"},
};
static const il_schema_field gate_constant_fields[] = {
    {"constant", &share, IL_FIELD_REQUIRED, "a placebo, the same for every row"},
};
static const il_schema_field gate_label_fields[] = {
    {"label", &text, IL_FIELD_REQUIRED, "a placebo, the truth itself"},
};
static const il_schema_case gate_cases[] = {
    CASE("detector", gate_detector_fields),
    CASE("constant", gate_constant_fields),
    CASE("label", gate_label_fields),
};
static const il_schema gate = {.kind = IL_SCHEMA_CASES,
                               .what = "a gate",
                               .cases = gate_cases,
                               .case_count = COUNT(gate_cases)};

static const il_schema_field trigger_fields[] = {
    {"above", &share, IL_FIELD_REQUIRED, "the probability above which it counts"},
};
static const il_schema trigger = {
    .kind = IL_SCHEMA_MAP, .what = "a trigger", FIELDS(trigger_fields)};

static const char *const route_words[] = {"all", "none", NULL};
static const il_schema route_word = {
    .kind = IL_SCHEMA_CHOICE, .what = "all or none", .choices = route_words};
static const il_schema_field downstream_fields[] = {
    {"downstream", &text, IL_FIELD_REQUIRED, "a detector or a site"},
    {"groups", &texts, 0, "of those parameters the ones in these groups; all of them"},
};
static const il_schema_field upstream_fields[] = {
    {"upstream", &text, IL_FIELD_REQUIRED, "a detector or a site"},
    {"groups", &texts, 0, "of those parameters the ones in these groups; all of them"},
};
static const il_schema_case route_cases[] = {
    CASE("downstream", downstream_fields),
    CASE("upstream", upstream_fields),
};
static const il_schema route_map = {.kind = IL_SCHEMA_CASES,
                                    .what = "a route",
                                    .cases = route_cases,
                                    .case_count = COUNT(route_cases)};
static const il_schema *const route_options[] = {&route_word, &texts, &route_map, NULL};
static const il_schema route = {
    .kind = IL_SCHEMA_EITHER,
    .what = "all, none, a list of groups, {downstream: X} or {upstream: X}",
    .options = route_options};

static const char *const credits[] = {"action", "sample", NULL};
static const il_schema credit = {
    .kind = IL_SCHEMA_CHOICE, .what = "action or sample", .choices = credits};

static const il_schema_field signal_fields[] = {
    {"source", &source, IL_FIELD_REQUIRED | IL_FIELD_WHOLE, "what presses"},
    {"channel", &channel, IL_FIELD_REQUIRED, "how it enters training"},
    {"weight", &weight, IL_FIELD_WHOLE, "how strongly; 1 by default"},
    {"scale", &number, 0, "multiplies the weight; 1 by default"},
    {"gate", &gate, IL_FIELD_WHOLE, "what multiplies it row by row"},
    {"trigger", &trigger, IL_FIELD_WHOLE, "a step in the place of the score"},
    {"tokens", &text, 0, "positions; those of the detector by default"},
    {"route", &route, IL_FIELD_WHOLE, "the parameters that it may update"},
    {"on", &names, 0, "the rollouts that it reads; own by default"},
    {"credit", &credit, 0,
     "what a reward reinforces: the action, or the sampled site; action by default"},
    {"edit", &il__schema_edit, IL_FIELD_WHOLE,
     "on channel edit: what is done at the detector's site"},
    {"when", &il__schema_when, IL_FIELD_WHOLE,
     "on channel halt: the line that an audit's metric may cross"},
    {"do", &il__schema_do, IL_FIELD_WHOLE,
     "on channel halt: stop (the default), alarm or {freeze: [GROUP...]}"},
    {"keep", &il__schema_keep, IL_FIELD_WHOLE,
     "on channel halt: the state that a stage leaves which stops, last by default; on "
     "channel data: the examples that are kept"},
    {"reweight", &il__schema_reweight, IL_FIELD_WHOLE,
     "on channel data: what each example weighs"},
    {"scramble", &il__schema_scramble, 0,
     "a placebo: the detector's score permuted over rows, the same for all, or noise"},
};
static const il_schema signal_ = {
    .kind = IL_SCHEMA_MAP, .what = "a signal", FIELDS(signal_fields)};

/* --- training --- */

static const il_schema_field schedule_constant_fields[] = {
    {"warmup", &at_least_zero, 0, "steps up to the full rate"},
};
static const il_schema_field schedule_final_fields[] = {
    {"warmup", &at_least_zero, 0, "steps up to the full rate"},
    {"final", &share, 0, "the share of the rate that is left at the end"},
};
static const il_schema_field schedule_step_fields[] = {
    {"warmup", &at_least_zero, 0, "steps up to the full rate"},
    {"at", &share, IL_FIELD_REQUIRED, "the share of the steps before it changes"},
    {"factor", &positive, IL_FIELD_REQUIRED, "what multiplies the rate then"},
};
static const il_schema_case schedule_cases[] = {
    CASE("constant", schedule_constant_fields),
    CASE("linear", schedule_final_fields),
    CASE("cosine", schedule_final_fields),
    CASE("step", schedule_step_fields),
};
static const il_schema schedule = {.kind = IL_SCHEMA_USE,
                                   .what = "a schedule",
                                   .cases = schedule_cases,
                                   .case_count = COUNT(schedule_cases)};

static const il_schema rates = {.kind = IL_SCHEMA_NAMED,
                                .what = "a map from groups to learning rates",
                                .any_key = true,
                                .least = 1,
                                .element = &not_negative};
static const il_schema *const rate_options[] = {&not_negative, &rates, NULL};
static const il_schema rate = {
    .kind = IL_SCHEMA_EITHER,
    .what = "a number of at least 0, or a map from groups to numbers",
    .options = rate_options};

static const il_schema_field adam_fields[] = {
    {"lr", &rate, IL_FIELD_REQUIRED, "learning rate"},
    {"beta1", &below_one, 0, "decay of the mean; 0.9 by default"},
    {"beta2", &below_one, 0, "decay of the square; 0.999 by default"},
    {"eps", &positive, 0, "1e-8 by default"},
    {"weight_decay", &not_negative, 0, "0.01 for adamw and 0 for adam by default"},
    {"schedule", &schedule, IL_FIELD_WHOLE, "of the learning rate"},
};
static const il_schema_field sgd_fields[] = {
    {"lr", &rate, IL_FIELD_REQUIRED, "learning rate"},
    {"momentum", &below_one, 0, "0 by default"},
    {"weight_decay", &not_negative, 0, "0 by default"},
    {"schedule", &schedule, IL_FIELD_WHOLE, "of the learning rate"},
};
static const il_schema_case optimizer_cases[] = {
    CASE("adamw", adam_fields),
    CASE("adam", adam_fields),
    CASE("sgd", sgd_fields),
};
static const il_schema optimizer = {.kind = IL_SCHEMA_USE,
                                    .what = "an optimizer",
                                    .cases = optimizer_cases,
                                    .case_count = COUNT(optimizer_cases)};

static const char *const all_words[] = {"all", NULL};
static const il_schema all_word = {
    .kind = IL_SCHEMA_CHOICE, .what = "all", .choices = all_words};
static const il_schema *const group_options[] = {&all_word, &texts, NULL};
static const il_schema groups = {.kind = IL_SCHEMA_EITHER,
                                 .what = "all or a list of groups",
                                 .options = group_options};
static const il_schema_field clip_fields[] = {
    {"groups", &groups, IL_FIELD_REQUIRED, "all, or the groups with one norm"},
    {"norm", &positive, IL_FIELD_REQUIRED, "the largest norm of their gradient"},
};
static const il_schema clip = {
    .kind = IL_SCHEMA_MAP, .what = "a clip group", FIELDS(clip_fields)};
static const il_schema clips = {
    .kind = IL_SCHEMA_LIST, .what = "a list of clip groups", .element = &clip};

static const char *const normalizers[] = {"none", "batch", NULL};
static const il_schema normalizer = {
    .kind = IL_SCHEMA_CHOICE, .what = "none or batch", .choices = normalizers};
static const il_schema_field a2c_fields[] = {
    {"gamma", &share, 0, "discount; 0.99 by default"},
    {"lambda", &share, 0, "of the advantage estimate; 0.95 by default"},
    {"reward_scale", &positive, 0, "multiplies rewards; 1 by default"},
    {"normalize", &normalizer, 0, "of advantages; none by default"},
    {"value_weight", &not_negative, 0, "of the value's loss; 0.5 by default"},
};
static const il_schema_field ppo_fields[] = {
    {"gamma", &share, 0, "discount; 0.99 by default"},
    {"lambda", &share, 0, "of the advantage estimate; 0.95 by default"},
    {"reward_scale", &positive, 0, "multiplies rewards; 1 by default"},
    {"normalize", &normalizer, 0, "of advantages; none by default"},
    {"value_weight", &not_negative, 0, "of the value's loss; 0.5 by default"},
    {"clip", &open_share, 0, "how far a ratio may count from 1; 0.2 by default"},
    {"epochs", &at_least_one, 0, "times one update's episodes are used; 4 by default"},
    {"minibatches", &at_least_one, 0,
     "parts of the episodes, a step each, in an order dealt anew; 1 by default"},
};
static const il_schema_field group_relative_fields[] = {
    {"divide_by_std", &flag, 0, "whether a group's spread divides; true by default"},
    {"reward_scale", &positive, 0, "multiplies rewards; 1 by default"},
};
static const il_schema_case algorithm_cases[] = {
    CASE("a2c", a2c_fields),
    CASE("group_relative", group_relative_fields),
    CASE("ppo", ppo_fields),
};
static const il_schema algorithm = {.kind = IL_SCHEMA_USE,
                                    .what = "an algorithm",
                                    .cases = algorithm_cases,
                                    .case_count = COUNT(algorithm_cases)};

static const il_schema rollouts = {.kind = IL_SCHEMA_NAMED,
                                   .what = "a map of named rollouts",
                                   .whole = true,
                                   .element = &rollout};
static const il_schema_field sample_fields[] = {
    {"site", &text, IL_FIELD_REQUIRED, "the site whose value is drawn"},
    {"mean", &text, IL_FIELD_REQUIRED, "the site that it is drawn around"},
    {"std", &positive, IL_FIELD_REQUIRED, "standard deviation of the draw"},
};
static const il_schema sample = {
    .kind = IL_SCHEMA_MAP, .what = "a sampled site", FIELDS(sample_fields)};
static const char *const states[] = {"fresh", "continue", NULL};
static const il_schema optimizer_state = {
    .kind = IL_SCHEMA_CHOICE, .what = "fresh or continue", .choices = states};

static const il_schema_field train_fields[] = {
    {"steps", &at_least_one, IL_FIELD_ONE, "steps of supervised training"},
    {"updates", &at_least_one, IL_FIELD_ONE, "or updates from rollouts"},
    {"batch", &at_least_one, 0, "examples a step"},
    {"micro_batch", &at_least_one, 0, "examples in one pass; a lane's by default"},
    {"lanes", &lanes, 0, "parts of a batch, summed in a fixed tree; 4 by default"},
    {"optimizer", &optimizer, IL_FIELD_REQUIRED, "what takes the steps"},
    {"optimizer_state", &optimizer_state, 0, "fresh, or continue that of the parent"},
    {"clip", &clips, 0, "groups of parameters with one norm each"},
    {"shadow", &name, 0, "a detector: train above it through a copy of what is below"},
    {"rollouts", &rollouts, 0, "named ways of gathering episodes"},
    {"algorithm", &algorithm, 0, "how rewards become gradients"},
    {"sample", &sample, IL_FIELD_WHOLE, "a site that the model's own policy draws"},
};
static const il_schema train = {
    .kind = IL_SCHEMA_MAP, .what = "a train block", FIELDS(train_fields)};

/* --- stages --- */

static const char *const readers[] = {"linear",    "mean_difference", "mlp",
                                      "attention", "mahalanobis",     NULL};
static const il_schema reader = {
    .kind = IL_SCHEMA_CHOICE, .what = "a fresh reader", .choices = readers};
static const il_schema fresh = {
    .kind = IL_SCHEMA_LIST, .what = "a list of fresh readers", .element = &reader};
static const il_schema maybe_texts = {
    .kind = IL_SCHEMA_LIST, .what = "a list of names", .element = &text};
static const il_schema_field outcome_fields[] = {
    {"behaviour", &text, IL_FIELD_REQUIRED,
     "the metric of what the model is not to do, such as lie or harm"},
    {"good", &text, 0, "the metric of what it is there for: without it, degenerate"},
    {"instead", &flag, 0,
     "whether each answer is good or misbehaves or neither, never both"},
    {"detector", &name, 0, "the detector of it; by default the first with a threshold"},
    {"floor", &number, 0, "how much of it one that is honest shows; 0 by default"},
    {"full", &number, 0,
     "how much one shows that always does it, where no twin says so; 1 by default"},
    {"good_full", &positive, 0,
     "how much good is all of it; by default the twin's, else 1"},
    {"some", &open_share, 0, "of the way from floor to full: not honest; 0.3"},
    {"much", &open_share, 0, "of the way from floor to full: not mixed; 0.5"},
    {"enough", &open_share, 0, "of good_full: not degenerate; 0.6"},
    {"seen", &open_share, 0, "of what a twin's detector flags: still seen; 0.5"},
};
static const il_schema outcome = {
    .kind = IL_SCHEMA_MAP, .what = "an outcome", FIELDS(outcome_fields)};

static const il_schema_field audit_fields[] = {
    {"every", &at_least_one, 0,
     "steps between two audits; at the end alone by default"},
    {"splits", &texts, 0, "splits that judge"},
    {"rollouts", &rollout, IL_FIELD_WHOLE, "or episodes that judge"},
    {"reference", &rollout, IL_FIELD_WHOLE, "episodes that stay the same"},
    {"samples", &at_least_one, 0, "how many answers of the model's own"},
    {"fresh", &fresh, 0, "readers fitted from scratch"},
    {"sites", &maybe_texts, 0,
     "where else they read at a stage's end; by default where the other detectors do, "
     "and the last residual stream"},
    {"anchors", &text, 0, "the split that they are fitted on"},
    {"against", &name, 0, "a detector to compare with"},
    {"tokens", &text, 0, "a mask: episodes are judged there by themselves, too"},
    {"prevalence", &open_share, 0,
     "share of what is read in use that is positive, for precision"},
    {"edits", &il__schema_edits, 0,
     "edits under which all is measured once more, as edit.NAME.METRIC"},
    {"outcome", &outcome, 0,
     "what the outcome is about; by default hack and honest where answers have such "
     "labels"},
};
static const il_schema audit = {
    .kind = IL_SCHEMA_MAP, .what = "an audit", FIELDS(audit_fields)};

static const il_schema require = {.kind = IL_SCHEMA_NAMED,
                                  .what = "a map from metrics to comparisons",
                                  .any_key = true,
                                  .element = &comparison};
static const il_schema_field ledger_fields[] = {
    {"every", &at_least_zero, IL_FIELD_REQUIRED,
     "steps between two samples; 0 keeps no ledger"},
};
static const il_schema ledger = {
    .kind = IL_SCHEMA_MAP, .what = "a ledger", FIELDS(ledger_fields)};
static const il_schema variants = {
    .kind = IL_SCHEMA_NAMED, .what = "a map of variants", .element = &any_map};
static const il_schema signals = {
    .kind = IL_SCHEMA_NAMED, .what = "a map of signals", .element = &signal_};
static const il_schema maybe_names = {
    .kind = IL_SCHEMA_LIST, .what = "a list of names", .element = &name};

static const il_schema_field stage_fields[] = {
    {"from", &text, 0, "the stage, or stage/variant, whose state it starts from"},
    {"train", &train, 0, "how it trains"},
    {"fit", &maybe_names, 0, "the detectors that it fits"},
    {"signals", &signals, 0, "the pressures on the model"},
    {"firewall", &firewall, 0, "the pressure channels that must be closed"},
    {"audit", &audit, 0, "what is measured"},
    {"require", &require, 0, "what must hold for a later stage to begin"},
    {"ledger", &ledger, 0,
     "how often pressure is taken apart; by default where a detector presses"},
    {"variants", &variants, 0, "named sets of overrides, each run by itself"},
    {"twin_of", &name, 0, "the variant that this is, but for the pressure; or all"},
    {"placebo_of", &name, 0, "the variant that this is, but for the information"},
    {"twins", &il__schema_twins, 0,
     "what its pressed runs are compared with; a twin and a placebo by default"},
};
const il_schema il_schema_stage = {
    .kind = IL_SCHEMA_MAP, .what = "a stage", FIELDS(stage_fields)};

/* --- the top level --- */

static const char *const trusts[] = {"any", "locked", "signed", NULL};
static const il_schema trust = {
    .kind = IL_SCHEMA_CHOICE, .what = "a kind of trust", .choices = trusts};
static const il_schema_field plugin_fields[] = {
    {"path", &texts, 0, "folders with plugins, relative to this file"},
    {"trust", &trust, 0,
     "which may be loaded: any, those of a lock, or those that a trusted key signed"},
    {"lock", &text, 0, "the plugins.lock that says which, relative to this file"},
};
static const il_schema plugins = {
    .kind = IL_SCHEMA_MAP, .what = "where plugins are", FIELDS(plugin_fields)};
static const il_schema *const extends_options[] = {&text, &texts, NULL};
static const il_schema extends = {
    .kind = IL_SCHEMA_EITHER, .what = "a file or a list", .options = extends_options};
static const char *const numerics_words[] = {"native", "portable", NULL};
static const il_schema numerics = {
    .kind = IL_SCHEMA_CHOICE, .what = "a kind of numerics", .choices = numerics_words};
static const il_schema references = {.kind = IL_SCHEMA_NAMED,
                                     .what = "a map of references",
                                     .whole = true,
                                     .element = &reference};
static const il_schema detectors = {
    .kind = IL_SCHEMA_NAMED, .what = "a map of detectors", .element = &detector};
static const il_schema stages = {.kind = IL_SCHEMA_NAMED,
                                 .what = "a map of stages",
                                 .least = 1,
                                 .element = &il_schema_stage};
static const il_schema seeds = {
    .kind = IL_SCHEMA_LIST, .what = "a list of seeds", .least = 1, .element = &seed};
static const il_schema values = {
    .kind = IL_SCHEMA_LIST, .what = "a list of values", .least = 1, .element = &any};
static const il_schema axes = {.kind = IL_SCHEMA_NAMED,
                               .what = "a map from paths to lists of values",
                               .any_key = true,
                               .element = &values};
static const il_schema exclude = {.kind = IL_SCHEMA_NAMED,
                                  .what = "a map of exclusions, each from paths to "
                                          "values",
                                  .element = &any_map};
static const il_schema_field sweep_fields[] = {
    {"seeds", &seeds, 0, "each is run by itself"},
    {"grid", &axes, 0, "paths whose values are run in every combination"},
    {"zip", &axes, 0, "paths whose values are run side by side"},
    {"exclude", &exclude, 0, "points that are left out, by the values they have"},
};
static const il_schema sweep = {
    .kind = IL_SCHEMA_MAP, .what = "a sweep", FIELDS(sweep_fields)};

static const il_schema_field pipeline_fields[] = {
    {"interloop", &version, IL_FIELD_REQUIRED, "version of the grammar"},
    {"name", &name, IL_FIELD_REQUIRED, "of the run's folder"},
    {"extends", &extends, 0, "files that this one is laid over"},
    {"vars", &any_map, 0, "values for ${var:NAME}"},
    {"plugins", &plugins, 0, "where plugins are looked for"},
    {"numerics", &numerics, 0, "native, or portable between machines"},
    {"seed", &seed, 0, "of everything that is random; 1 by default"},
    {"model", &component, IL_FIELD_REQUIRED, "what is trained"},
    {"references", &references, 0, "frozen or averaged copies of the model"},
    {"data", &component, 0, "the dataset"},
    {"environment", &component, 0, "what episodes are played in"},
    {"detectors", &detectors, 0, "what reads the model"},
    {"firewall", &firewall, 0, "the pressure channels that must be closed"},
    {"stages", &stages, IL_FIELD_REQUIRED, "the tree of the experiment"},
    {"sweep", &sweep, 0, "what is run several times"},
    {"twins", &il__schema_twins, 0,
     "what pressed runs are compared with, where the stage does not say"},
    {"endpoint", &il__schema_endpoint, IL_FIELD_WHOLE,
     "the one question that the run answers; all others are corrected for their number"},
};
const il_schema il_schema_pipeline = {
    .kind = IL_SCHEMA_MAP, .what = "a pipeline", FIELDS(pipeline_fields)};
