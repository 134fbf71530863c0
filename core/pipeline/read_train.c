/* The train block: steps, optimizer, clip groups, rollouts, algorithm. */
#include "pipeline/read.h"

#include <string.h>

#define LANES_DEFAULT 4

static il_schedule_spec read_schedule(const il_node *node)
{
    static const char *const words[] = {"constant", "linear", "cosine", "step", NULL};
    il_schedule_spec s = {.final = 0, .at = 1, .factor = 1};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return s;
    }
    s.kind = (il_schedule_kind)il__read_choice(node, "use", words, 0);
    s.warmup = il__read_int(node, "warmup", 0);
    s.final = il__read_real(node, "final", 0);
    s.at = il__read_real(node, "at", 1);
    s.factor = il__read_real(node, "factor", 1);
    return s;
}

static void read_optimizer(il__reader *r, il_optimizer_spec *o, const il_node *node)
{
    static const char *const words[] = {"adamw", "adam", "sgd", NULL};
    const il_node *lr;

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return;
    }
    o->place = node->place;
    o->kind = (il_optimizer_kind)il__read_choice(node, "use", words, 0);
    o->lr = il__read_real(node, "lr", 0);
    o->beta1 = il__read_real(node, "beta1", 0.9);
    o->beta2 = il__read_real(node, "beta2", 0.999);
    o->eps = il__read_real(node, "eps", 1e-8);
    o->weight_decay =
        il__read_real(node, "weight_decay", o->kind == IL_OPTIMIZER_ADAMW ? 0.01 : 0.0);
    o->momentum = il__read_real(node, "momentum", 0);
    o->schedule = read_schedule(il_node_get(node, "schedule"));
    lr = il_node_get(node, "lr");
    if (lr == NULL || lr->kind != IL_NODE_MAP) {
        return;
    }
    o->rates = il__read_alloc(r, lr->count, sizeof *o->rates);
    for (size_t i = 0; o->rates != NULL && i < lr->count; i++) {
        o->rates[i].group = lr->items[i].key;
        o->rates[i].lr = il__read_real(lr, lr->items[i].key, 0);
        o->rates[i].place = lr->items[i].place;
        o->rate_count++;
    }
}

/* No group may stand in two clip groups, and `all` stands alone. */
static void check_clips(il__reader *r, const il_train_spec *t)
{
    for (size_t i = 0; i < t->clip_count; i++) {
        const il_clip_spec *c = &t->clips[i];

        if (c->all && t->clip_count > 1) {
            il_problem_add(r->problems, c->place,
                           "a clip group of all groups beside others");
        }
        for (size_t j = 0; j < c->groups.count; j++) {
            for (size_t k = 0; k < i; k++) {
                for (size_t m = 0; m < t->clips[k].groups.count; m++) {
                    if (strcmp(t->clips[k].groups.items[m], c->groups.items[j]) == 0) {
                        il_problem_add(r->problems, c->groups.places[j],
                                       "'%.60s' in a second clip group",
                                       c->groups.items[j]);
                    }
                }
            }
        }
    }
}

static void read_clips(il__reader *r, il_train_spec *t, const il_node *list)
{
    if (list == NULL || list->kind != IL_NODE_LIST) {
        return;
    }
    t->clips = il__read_alloc(r, list->count, sizeof *t->clips);
    for (size_t i = 0; t->clips != NULL && i < list->count; i++) {
        const il_node *item = list->items[i].value;
        const il_node *groups = il_node_get(item, "groups");
        il_clip_spec *c = &t->clips[t->clip_count++];

        c->place = item->place;
        c->all = groups != NULL && groups->kind == IL_NODE_SCALAR;
        c->groups = il__read_names(r, groups);
        c->norm = il__read_real(item, "norm", 1);
    }
    check_clips(r, t);
}

static il_algorithm_spec read_algorithm(const il_node *node)
{
    static const char *const words[] = {"a2c", "group_relative", "ppo", NULL};
    static const char *const normalizers[] = {"none", "batch", NULL};
    il_algorithm_spec a = {0};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return a;
    }
    a.place = node->place;
    a.kind =
        (il_algorithm_kind)(IL_ALGORITHM_A2C + il__read_choice(node, "use", words, 0));
    a.gamma = il__read_real(node, "gamma", 0.99);
    a.lambda = il__read_real(node, "lambda", 0.95);
    a.reward_scale = il__read_real(node, "reward_scale", 1);
    a.value_weight = il__read_real(node, "value_weight", 0.5);
    a.normalize_batch = il__read_choice(node, "normalize", normalizers, 0) == 1;
    a.divide_by_std = il__read_flag(node, "divide_by_std", true);
    a.clip = il__read_real(node, "clip", 0.2);
    a.epochs = a.kind == IL_ALGORITHM_PPO ? il__read_int(node, "epochs", 4) : 1;
    a.minibatches =
        a.kind == IL_ALGORITHM_PPO ? il__read_int(node, "minibatches", 1) : 1;
    return a;
}

static il_sample_spec read_sample(const il_node *node)
{
    il_sample_spec s = {0};

    if (node != NULL && node->kind == IL_NODE_MAP) {
        s.place = node->place;
        s.site = il__read_text(node, "site", NULL);
        s.mean = il__read_text(node, "mean", NULL);
        s.std = il__read_real(node, "std", 0);
    }
    return s;
}

static void read_rollouts(il__reader *r, il_train_spec *t, const il_node *map)
{
    if (map == NULL || map->kind != IL_NODE_MAP) {
        return;
    }
    t->rollouts = il__read_alloc(r, map->count, sizeof *t->rollouts);
    for (size_t i = 0; t->rollouts != NULL && i < map->count; i++) {
        if (map->items[i].value->kind == IL_NODE_MAP) {
            t->rollouts[t->rollout_count++] =
                il__read_rollout(map->items[i].value, map->items[i].key);
        }
    }
}

/* A lane has something of every minibatch. */
static void check_minibatches(il__reader *r, const il_train_spec *t,
                              const il_node *node)
{
    int64_t lanes = 1;

    for (size_t i = 0; i < t->rollout_count; i++) {
        int64_t groups = t->rollouts[i].samples > 0 ? t->rollouts[i].prompts
                                                    : t->rollouts[i].episodes;

        lanes = groups > lanes ? groups : lanes;
    }
    lanes = t->lanes < lanes ? t->lanes : lanes;
    for (size_t i = 0; t->algorithm.minibatches > 1 && i < t->rollout_count; i++) {
        const il_rollout_spec *o = &t->rollouts[i];
        int64_t groups = o->samples > 0 ? o->prompts : o->episodes;

        if (groups / lanes < t->algorithm.minibatches) {
            il_problem_add(r->problems, il__read_place(node, "minibatches"),
                           "%lld minibatches of the %lld %s of '%s' in %lld lanes: "
                           "each lane needs one for each",
                           (long long)t->algorithm.minibatches, (long long)groups,
                           o->samples > 0 ? "prompts" : "episodes", o->name,
                           (long long)lanes);
        }
    }
}

static void check_train(il__reader *r, const il_train_spec *t, const il_node *node)
{
    if (t->steps > 0 && il_node_get(node, "batch") == NULL) {
        il_problem_add(r->problems, t->place,
                       "training by `steps` needs `batch`: examples a step");
    }
    if (t->updates > 0 && t->rollout_count == 0) {
        il_problem_add(r->problems, t->place,
                       "training by `updates` needs `rollouts`, a map of named ones");
    }
    if (t->rollout_count > IL_ROLLOUTS_MAX) {
        il_problem_add(r->problems, il__read_place(node, "rollouts"),
                       "%d rollouts in one stage, at most %d are possible",
                       (int)t->rollout_count, IL_ROLLOUTS_MAX);
    }
    if (t->batch > 0 && t->batch < t->lanes) {
        il_problem_add(r->problems, il__read_place(node, "batch"),
                       "a batch of %lld for %lld lanes: each lane needs an example",
                       (long long)t->batch, (long long)t->lanes);
    }
    if (t->batch > 0 && t->micro_batch > t->batch) {
        il_problem_add(r->problems, il__read_place(node, "micro_batch"),
                       "a micro-batch of %lld from a batch of %lld",
                       (long long)t->micro_batch, (long long)t->batch);
    }
    if (t->updates > 0 && t->shadow != NULL) {
        il_problem_add(r->problems, il__read_place(node, "shadow"),
                       "a shadow is for training by `steps`, not by `updates`: leave "
                       "it out, and spare what '%s' reads by the routes of the rewards",
                       t->shadow);
    }
    if (t->sample.site != NULL && t->rollout_count == 0) {
        il_problem_add(r->problems, t->sample.place,
                       "only rollouts draw a site: there is no `rollouts`");
    }
    check_minibatches(r, t, il_node_get(node, "algorithm"));
    if (t->shadow != NULL) {
        (void)il__read_detector_named(r, t->shadow, il__read_place(node, "shadow"));
    }
}

void il__read_train(il__reader *r, il_train_spec *t, const il_node *node)
{
    static const char *const states[] = {"fresh", "continue", NULL};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return;
    }
    t->given = true;
    t->place = node->place;
    t->steps = il__read_int(node, "steps", 0);
    t->updates = il__read_int(node, "updates", 0);
    t->batch = il__read_int(node, "batch", 0);
    t->micro_batch = il__read_int(node, "micro_batch", 0);
    t->lanes = il__read_int(node, "lanes", LANES_DEFAULT);
    read_optimizer(r, &t->optimizer, il_node_get(node, "optimizer"));
    t->continue_optimizer = il__read_choice(node, "optimizer_state", states, 0) == 1;
    read_clips(r, t, il_node_get(node, "clip"));
    t->shadow = il__read_text(node, "shadow", NULL);
    read_rollouts(r, t, il_node_get(node, "rollouts"));
    t->algorithm = read_algorithm(il_node_get(node, "algorithm"));
    t->sample = read_sample(il_node_get(node, "sample"));
    check_train(r, t, node);
}
