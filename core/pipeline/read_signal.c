/* Signals: source, channel, weight, gate, trigger and route, and what they ask of
 * each other. */
#include "pipeline/read.h"

#include <string.h>

static const char *const credits[] = {"action", "sample", NULL};
static const char *const channels[] = {"loss", "reward",  "edit", "data",
                                       "halt", "monitor", NULL};

const char *il_channel_name(il_channel channel)
{
    return channels[channel];
}

static il_source_spec read_source(il__reader *r, const il_node *node)
{
    static const struct {
        const char *key;
        il_source_kind kind;
    } kinds[] = {{"cross_entropy", IL_SOURCE_CROSS_ENTROPY},
                 {"reward", IL_SOURCE_REWARD},
                 {"label", IL_SOURCE_LABEL},
                 {"kl", IL_SOURCE_KL}};
    il_source_spec s = {0};

    if (node == NULL) {
        return s;
    }
    s.place = node->place;
    if (node->kind == IL_NODE_SCALAR) {
        s.name = node->text;
        if (strcmp(node->text, "entropy") == 0) {
            s.kind = IL_SOURCE_ENTROPY;
        } else if (il_pipeline_detector(r->pipeline, node->text) != NULL) {
            s.kind = IL_SOURCE_DETECTOR;
        }
        return s;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *name = il__read_text(node, kinds[i].key, NULL);

        if (name != NULL) {
            s.kind = kinds[i].kind;
            s.name = name;
            break;
        }
    }
    s.targets = il__read_text(node, "targets", NULL);
    s.mask = il__read_text(node, "mask", NULL);
    if (s.kind == IL_SOURCE_KL && il_pipeline_reference(r->pipeline, s.name) == NULL) {
        const char *names[64];
        size_t count = 0;

        for (; count < r->pipeline->reference_count && count < 64; count++) {
            names[count] = r->pipeline->references[count].name;
        }
        il_problem_add_nearest(r->problems, il__read_place(node, "kl"), s.name, names,
                               count, "no reference '%.60s'", s.name);
    }
    return s;
}

static il_weight_spec read_weight(const il_node *signal)
{
    const il_node *node = il_node_get(signal, "weight");
    il_weight_spec w = {.from = 1, .to = 1};

    if (node == NULL) {
        w.place = signal->place;
        return w;
    }
    w.place = node->place;
    if (node->kind == IL_NODE_MAP) {
        w.from = il__read_real(node, "from", 1);
        w.to = il__read_real(node, "to", 1);
        w.over = il__read_int(node, "over", 0);
        return w;
    }
    w.from = il__read_real(signal, "weight", 1);
    w.to = w.from;
    return w;
}

static il_gate_spec read_gate(il__reader *r, const il_node *node)
{
    il_gate_spec g = {0};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return g;
    }
    g.place = node->place;
    if ((g.name = il__read_text(node, "detector", NULL)) != NULL) {
        g.kind = IL_GATE_DETECTOR;
        g.scramble = il__read_scramble(node, "scramble");
        g.through = il__read_flag(node, "through", false);
        (void)il__read_detector_named(r, g.name, il__read_place(node, "detector"));
        if (g.scramble && g.through) {
            il_problem_add(r->problems, il__read_place(node, "through"),
                           "a gate that is scrambled lets no gradient through");
        }
    } else if (il_node_get(node, "constant") != NULL) {
        g.kind = IL_GATE_CONSTANT;
        g.constant = il__read_real(node, "constant", 0);
    } else if ((g.name = il__read_text(node, "label", NULL)) != NULL) {
        g.kind = IL_GATE_LABEL;
    }
    return g;
}

static il_route_spec read_route(il__reader *r, const il_node *node)
{
    il_route_spec route = {0};
    const il_node *target;

    if (node == NULL) {
        return route;
    }
    route.place = node->place;
    if (node->kind == IL_NODE_SCALAR) {
        route.kind = strcmp(node->text, "none") == 0 ? IL_ROUTE_NONE : IL_ROUTE_ALL;
        return route;
    }
    if (node->kind == IL_NODE_LIST) {
        route.kind = IL_ROUTE_GROUPS;
        route.groups = il__read_names(r, node);
        return route;
    }
    target = il_node_get(node, "downstream");
    route.kind = target != NULL ? IL_ROUTE_DOWNSTREAM : IL_ROUTE_UPSTREAM;
    route.target = il__read_text(
        node, route.kind == IL_ROUTE_DOWNSTREAM ? "downstream" : "upstream", NULL);
    if (route.target == NULL) {
        return route;
    }
    if (il_node_get(node, "groups") != NULL) {
        route.groups = il__read_names(r, il_node_get(node, "groups"));
    }
    /* Sites have dots in their names and detectors have none. */
    route.target_is_detector = il_pipeline_detector(r->pipeline, route.target) != NULL;
    if (!route.target_is_detector && strchr(route.target, '.') == NULL) {
        (void)il__read_detector_named(
            r, route.target,
            il__read_place(node, route.kind == IL_ROUTE_DOWNSTREAM ? "downstream"
                                                                   : "upstream"));
    }
    return route;
}

/* Nothing may train on what the vault holds. */
static void refuse_vault(il__reader *r, const char *name, il_place place)
{
    const il_detector_spec *d = il_pipeline_detector(r->pipeline, name);

    if (d != NULL && d->vault) {
        il_problem_add(r->problems, place,
                       "detector '%s' is in the vault: nothing may train on it; put "
                       "the signal on channel monitor, or take another detector",
                       name);
    }
}

static void check_rollouts(il__reader *r, const il_stage_spec *stage,
                           const il_signal_spec *s)
{
    const char *names[64];
    size_t count = 0;

    for (; count < stage->train.rollout_count && count < 64; count++) {
        names[count] = stage->train.rollouts[count].name;
    }
    for (size_t i = 0; i < s->on.count; i++) {
        bool known = false;

        for (size_t j = 0; j < stage->train.rollout_count; j++) {
            known = known || strcmp(stage->train.rollouts[j].name, s->on.items[i]) == 0;
        }
        if (!known) {
            il_problem_add_nearest(r->problems, s->on.places[i], s->on.items[i], names,
                                   count, "no rollouts '%.60s' in this stage's `train`",
                                   s->on.items[i]);
        }
    }
}

/* A signal reads `own` unless it says otherwise, or the only rollouts there are. */
static void choose_rollouts(il__reader *r, const il_stage_spec *stage,
                            il_signal_spec *s)
{
    const il_train_spec *t = &stage->train;
    const char *name = t->rollout_count == 1 ? t->rollouts[0].name : NULL;

    if (s->on.count > 0 || t->rollout_count == 0) {
        return;
    }
    for (size_t i = 0; i < t->rollout_count; i++) {
        if (strcmp(t->rollouts[i].name, "own") == 0) {
            name = "own";
        }
    }
    if (name == NULL) {
        il_problem_add(
            r->problems, s->place,
            "signal '%s' needs `on`: there is more than one rollout, and none "
            "is named own",
            s->name);
        return;
    }
    s->on.items = il__read_alloc(r, 1, sizeof *s->on.items);
    s->on.places = il__read_alloc(r, 1, sizeof *s->on.places);
    if (s->on.items != NULL && s->on.places != NULL) {
        s->on.items[0] = name;
        s->on.places[0] = s->place;
        s->on.count = 1;
    }
}

/* Credit for a sampled site needs a site that is sampled and a detector that reads it.
 */
static void check_credit(il__reader *r, const il_stage_spec *stage,
                         const il_signal_spec *s, const il_node *node)
{
    const char *site = stage->train.sample.site;
    il_place place = il__read_place(node, "credit");
    const il_detector_spec *d = s->source.kind == IL_SOURCE_DETECTOR
                                    ? il_pipeline_detector(r->pipeline, s->source.name)
                                    : NULL;

    if (!s->credit_sample || s->channel == IL_CHANNEL_MONITOR) {
        return;
    }
    if (s->channel != IL_CHANNEL_REWARD || s->source.kind != IL_SOURCE_DETECTOR) {
        il_problem_add(r->problems, place,
                       "credit for a sample is for a detector on channel reward");
    } else if (site == NULL) {
        il_problem_add(r->problems, place,
                       "credit for a sample needs `sample` in the stage's `train`");
    } else if (d != NULL && d->pooled) {
        il_problem_add(
            r->problems, place,
            "detector '%s' gives one score a sequence, which is of no sample "
            "alone",
            d->name);
    } else if (d != NULL && (d->on != NULL || d->sites.count != 1 ||
                             strcmp(d->sites.items[0], site) != 0)) {
        il_problem_add(r->problems, place,
                       "detector '%s' does not read '%s' alone, which is what is "
                       "sampled",
                       d->name, site);
    }
}

/* Gates are for losses that have a row a position. */
static void check_gate(il__reader *r, const il_signal_spec *s)
{
    const il_detector_spec *d = s->gate.kind == IL_GATE_DETECTOR
                                    ? il_pipeline_detector(r->pipeline, s->gate.name)
                                    : NULL;

    if (s->gate.kind == IL_GATE_NONE) {
        return;
    }
    if (d != NULL && s->gate.through && d->calibrate.given &&
        strcmp(d->calibrate.method, "isotonic") == 0) {
        il_problem_add(r->problems, s->gate.place,
                       "detector '%s' is calibrated by steps, which are flat nearly "
                       "everywhere: a gate with `through` needs platt or temperature",
                       d->name);
    }
    if (s->channel == IL_CHANNEL_REWARD) {
        il_problem_add(r->problems, s->gate.place,
                       "a gate multiplies losses; a reward takes a trigger: signal "
                       "'%s' is on channel reward",
                       s->name);
    } else if (s->source.kind != IL_SOURCE_LOSS &&
               s->source.kind != IL_SOURCE_DETECTOR &&
               s->source.kind != IL_SOURCE_CROSS_ENTROPY) {
        il_problem_add(r->problems, s->gate.place,
                       "a gate multiplies losses row by row, which the source of "
                       "signal '%s' has none of: expected a loss of the model's, a "
                       "detector or a cross_entropy",
                       s->name);
    }
}

/* A trigger makes a number of a score. */
static void check_trigger(il__reader *r, const il_signal_spec *s, il_place place)
{
    if (!s->has_trigger) {
        return;
    }
    if (s->source.kind != IL_SOURCE_DETECTOR && s->source.kind != IL_SOURCE_LABEL) {
        il_problem_add(r->problems, place,
                       "a trigger needs a score: a detector or a label as source");
    } else if (s->channel == IL_CHANNEL_LOSS) {
        il_problem_add(r->problems, place,
                       "a trigger has no gradient: channel reward or monitor");
    }
}

/* An edit has no gradient and no rows of its own: only a detector, where and how. */
static void check_edit(il__reader *r, const il_signal_spec *s, const il_node *node)
{
    static const char *const foreign[] = {"route", "gate", "trigger", "credit"};

    if (s->channel != IL_CHANNEL_EDIT) {
        if (s->edit.given && s->channel != IL_CHANNEL_MONITOR) {
            il_problem_add(r->problems, s->edit.place,
                           "an edit is for channel edit, and this signal is on %s",
                           il_channel_name(s->channel));
        }
        return;
    }
    if (!s->edit.given) {
        il_problem_add(r->problems, s->place,
                       "signal '%s' on channel edit needs `edit`: what is done at its "
                       "detector's site",
                       s->name);
    }
    if (s->source.kind != IL_SOURCE_DETECTOR) {
        il_problem_add(r->problems, s->source.place,
                       "only a detector can edit: expected one as `source`");
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (il_node_get(node, foreign[i]) != NULL) {
            il_problem_add(r->problems, il__read_place(node, foreign[i]),
                           "an edit takes no `%s`: it has no gradient of its own, and "
                           "what is trained under it says itself what it updates",
                           foreign[i]);
        }
    }
}

/* What is scrambled is a detector's score, once. */
static void check_scramble(il__reader *r, const il_signal_spec *s, const il_node *node)
{
    il_place place = il__read_place(node, "scramble");

    if (s->scramble == IL_SCRAMBLE_NONE || s->channel == IL_CHANNEL_MONITOR) {
        return;
    }
    if (s->source.kind != IL_SOURCE_DETECTOR) {
        il_problem_add(r->problems, place,
                       "only a detector's score can be scrambled: expected one as "
                       "`source`; a gate has its own `scramble`");
    } else if (s->channel == IL_CHANNEL_EDIT && s->scramble != IL_SCRAMBLE_NOISE) {
        il_problem_add(r->problems, place,
                       "an edit has a direction and no score: expected noise, which "
                       "draws one at random");
    } else if (s->channel == IL_CHANNEL_HALT || s->channel == IL_CHANNEL_DATA) {
        il_problem_add(r->problems, place,
                       "a signal on channel %s cannot be scrambled: expected loss, "
                       "reward or edit",
                       il_channel_name(s->channel));
    } else if (s->scramble == IL_SCRAMBLE_ROWS &&
               s->gate.scramble == IL_SCRAMBLE_ROWS) {
        il_problem_add(r->problems, place,
                       "rows are dealt once: in the gate, or in the source");
    }
}

static void check_signal(il__reader *r, const il_stage_spec *stage,
                         const il_signal_spec *s, const il_node *node)
{
    il_place channel = il__read_place(node, "channel");

    check_edit(r, s, node);
    il__check_halt(r, stage, s, node);
    il__check_sift(r, s, node);
    if (s->channel != IL_CHANNEL_MONITOR && s->channel != IL_CHANNEL_EDIT &&
        s->channel != IL_CHANNEL_HALT && s->channel != IL_CHANNEL_DATA &&
        il_node_get(node, "route") == NULL) {
        il_problem_add(r->problems, node->place,
                       "signal '%s' on channel %s needs `route`: the parameters that "
                       "it may update",
                       s->name, il_channel_name(s->channel));
    }
    if (s->channel != IL_CHANNEL_MONITOR && s->source.kind == IL_SOURCE_DETECTOR) {
        refuse_vault(r, s->source.name, s->source.place);
    }
    if (s->channel != IL_CHANNEL_MONITOR && s->gate.kind == IL_GATE_DETECTOR) {
        refuse_vault(r, s->gate.name, s->gate.place);
    }
    if (s->channel == IL_CHANNEL_REWARD &&
        stage->train.algorithm.kind == IL_ALGORITHM_NONE) {
        il_problem_add(r->problems, channel,
                       "channel reward needs `algorithm` in the stage's `train`");
    }
    if (s->channel == IL_CHANNEL_LOSS && s->source.kind == IL_SOURCE_REWARD) {
        il_problem_add(r->problems, channel,
                       "a reward has no gradient: channel reward or monitor");
    }
    if (s->channel == IL_CHANNEL_REWARD && (s->source.kind == IL_SOURCE_CROSS_ENTROPY ||
                                            s->source.kind == IL_SOURCE_ENTROPY)) {
        il_problem_add(r->problems, channel,
                       "this source is a loss: channel loss or monitor");
    }
    if (s->channel == IL_CHANNEL_LOSS && s->source.kind == IL_SOURCE_LABEL) {
        il_problem_add(r->problems, channel,
                       "a label has no gradient: channel reward or monitor");
    }
    if (s->channel == IL_CHANNEL_REWARD &&
        (s->source.kind == IL_SOURCE_LOSS || s->source.kind == IL_SOURCE_KL)) {
        il_problem_add(r->problems, channel,
                       "this source gives no reward: expected a detector, a reward or "
                       "a label");
    }
    check_gate(r, s);
    check_scramble(r, s, node);
    check_credit(r, stage, s, node);
    check_trigger(r, s, il__read_place(node, "trigger"));
    check_rollouts(r, stage, s);
}

void il__read_signals(il__reader *r, il_stage_spec *stage, const il_node *map)
{
    if (map == NULL || map->kind != IL_NODE_MAP) {
        return;
    }
    stage->signals = il__read_alloc(r, map->count, sizeof *stage->signals);
    for (size_t i = 0; stage->signals != NULL && i < map->count; i++) {
        const il_node *node = map->items[i].value;
        il_signal_spec *s = &stage->signals[stage->signal_count];

        if (node->kind != IL_NODE_MAP) {
            continue;
        }
        stage->signal_count++;
        s->name = map->items[i].key;
        s->place = node->place;
        s->source = read_source(r, il_node_get(node, "source"));
        s->channel =
            (il_channel)il__read_choice(node, "channel", channels, IL_CHANNEL_MONITOR);
        s->weight = read_weight(node);
        s->scale = il__read_real(node, "scale", 1);
        s->gate = read_gate(r, il_node_get(node, "gate"));
        s->has_trigger = il_node_get(node, "trigger") != NULL;
        s->trigger_above = il__read_real(il_node_get(node, "trigger"), "above", 0);
        s->tokens = il__read_text(node, "tokens", NULL);
        s->route = read_route(r, il_node_get(node, "route"));
        s->on = il__read_names(r, il_node_get(node, "on"));
        s->credit_sample = il__read_choice(node, "credit", credits, 0) == 1;
        s->edit = il__read_edit(r, il_node_get(node, "edit"));
        s->halt = il__read_halt(r, node);
        s->sift = il__read_sift(node);
        s->scramble = il__read_scramble(node, "scramble");
        if (s->channel == IL_CHANNEL_EDIT || s->channel == IL_CHANNEL_HALT ||
            s->channel == IL_CHANNEL_DATA) {
            s->route.kind = IL_ROUTE_NONE;
        }
        if (s->channel != IL_CHANNEL_HALT) {
            choose_rollouts(r, stage, s);
        }
        check_signal(r, stage, s, node);
    }
}
