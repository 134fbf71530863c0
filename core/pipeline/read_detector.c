/* A detector's part of the document. */
#include "pipeline/read.h"

#include <string.h>

static const char *const contexts[] = {"self", "past", "all", NULL};
static const char *const units[] = {"token", "sequence", "episode", "step", NULL};

const char *il_context_name(enum il_context context)
{
    return contexts[context];
}

const char *il_unit_name(il_unit unit)
{
    return units[unit];
}

static il_fit_spec read_fit(const il_node *node)
{
    il_fit_spec fit = {
        .lr = -1, .l2 = -1, .weight_decay = -1, .warmup = -1, .decay = -1};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return fit;
    }
    fit.given = true;
    fit.place = node->place;
    fit.draw = il__read_draw(node);
    fit.label = il__read_text(node, "label", NULL);
    fit.method = il__read_text(node, "method", NULL);
    fit.steps = il__read_int(node, "steps", 0);
    fit.batch = il__read_int(node, "batch", 0);
    fit.lr = il__read_real(node, "lr", -1);
    fit.l2 = il__read_real(node, "l2", -1);
    fit.weight_decay = il__read_real(node, "weight_decay", -1);
    fit.warmup = il__read_int(node, "warmup", -1);
    fit.decay = il__read_real(node, "decay", -1);
    fit.lanes = il__read_int(node, "lanes", 0);
    fit.hold = il__read_int(node, "hold", 0);
    return fit;
}

static const char *const pools[] = {
    "none",      "last", "mean", "max", "top_k_mean", "ema_max", "rolling_mean_max",
    "attention", NULL};

/* In words, with the number that a pooling has; NULL when memory is out. */
static const char *pool_words(il_arena *arena, const il_pool_spec *p)
{
    char decay[32];

    switch (p->kind) {
    case IL_POOL_TOP_K_MEAN:
        return il_arena_printf(arena, "top_k_mean, k %lld", (long long)p->k);
    case IL_POOL_EMA_MAX:
        il_format_real(p->decay, decay);
        return il_arena_printf(arena, "ema_max, decay %s", decay);
    case IL_POOL_ROLLING_MEAN_MAX:
        return il_arena_printf(arena, "rolling_mean_max, window %lld",
                               (long long)p->window);
    default:
        return pools[p->kind];
    }
}

bool il_pool_from_words(const char *words, il_pool_spec *out)
{
    size_t n = words != NULL ? strcspn(words, ",") : 0;
    const char *number = words != NULL && words[n] == ',' ? strrchr(words, ' ') : NULL;
    int64_t whole = 0;
    bool counted = number != NULL && il_parse_int(number + 1, &whole) && whole > 0;

    *out = (il_pool_spec){.kind = IL_POOL_NONE};
    for (int i = 1; words != NULL && pools[i] != NULL; i++) {
        if (strlen(pools[i]) == n && strncmp(words, pools[i], n) == 0) {
            out->kind = (il_pool_kind)i;
        }
    }
    out->k = whole;
    out->window = whole;
    switch (out->kind) {
    case IL_POOL_NONE:
        return words == NULL;
    case IL_POOL_TOP_K_MEAN:
    case IL_POOL_ROLLING_MEAN_MAX:
        return counted;
    case IL_POOL_EMA_MAX:
        return number != NULL && il_parse_real(number + 1, &out->decay) &&
               out->decay > 0 && out->decay < 1;
    default:
        return number == NULL;
    }
}

static void read_pool(il__reader *r, il_detector_spec *d, const il_node *node)
{
    bool map = node != NULL && node->kind == IL_NODE_MAP;
    const char *word = map                                            ? NULL
                       : node != NULL && node->kind == IL_NODE_SCALAR ? node->text
                                                                      : "none";
    il_pool_spec *p = &d->pooling;

    word = map ? il__read_text(node, "use", "none") : word;
    for (int i = 0; word != NULL && pools[i] != NULL; i++) {
        p->kind = strcmp(word, pools[i]) == 0 ? (il_pool_kind)i : p->kind;
    }
    p->k = il__read_int(map ? node : NULL, "k", 5);
    p->decay = il__read_real(map ? node : NULL, "decay", 0.9);
    p->window = il__read_int(map ? node : NULL, "window", 8);
    if (p->kind == IL_POOL_NONE) {
        return;
    }
    p->place = node->place;
    d->pooled = true;
    d->pool = pool_words(r->arena, p);
    r->problems->no_memory = r->problems->no_memory || d->pool == NULL;
}

static il_threshold_spec read_threshold(const il_node *node)
{
    il_threshold_spec t = {0};

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return t;
    }
    t.place = node->place;
    if (il_node_get(node, "logit") != NULL) {
        t.kind = IL_THRESHOLD_LOGIT;
        t.logit = il__read_real(node, "logit", 0);
        return t;
    }
    t.kind = IL_THRESHOLD_RATE;
    t.fpr = il__read_real(node, "fpr", 0.01);
    t.unit = (il_unit)il__read_choice(node, "unit", units, IL_UNIT_TOKEN);
    t.unit_given = il_node_get(node, "unit") != NULL;
    t.draw = il__read_draw(node);
    return t;
}

static void read_shares(il__reader *r, il_refit_spec *refit, const il_node *map)
{
    if (map == NULL || map->kind != IL_NODE_MAP) {
        return;
    }
    refit->rollouts = il__read_alloc(r, map->count, sizeof *refit->rollouts);
    if (refit->rollouts == NULL) {
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        refit->rollouts[i].policy = map->items[i].key;
        refit->rollouts[i].episodes = il__read_int(map, map->items[i].key, 1);
    }
    refit->rollout_count = map->count;
}

static il_refit_spec read_refit(il__reader *r, const il_node *node)
{
    static const struct {
        const char *key;
        il_refit_kind kind;
    } kinds[] = {{"every", IL_REFIT_EVERY},
                 {"fresh", IL_REFIT_FRESH},
                 {"through_fit", IL_REFIT_THROUGH}};
    const il_node *online = il_node_get(node, "online");
    il_refit_spec refit = {0};

    if (node == NULL) {
        return refit;
    }
    refit.place = node->place;
    if (node->kind != IL_NODE_MAP) {
        return refit;
    }
    if (online != NULL) {
        refit.kind = IL_REFIT_ONLINE;
        refit.steps = il__read_int(online, "steps", 1);
        refit.lr = il__read_real(online, "lr", 0);
        return refit;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (il_node_get(node, kinds[i].key) != NULL) {
            refit.kind = kinds[i].kind;
            refit.every = il__read_int(node, kinds[i].key, 1);
        }
    }
    refit.split = il__read_text(node, "split", NULL);
    refit.rows = il__read_int(node, "rows", 0);
    read_shares(r, &refit, il_node_get(node, "rollouts"));
    return refit;
}

static void read_from(il__reader *r, il_detector_spec *d, const il_node *node)
{
    const il_node *accept = il_node_get(node, "accept");

    d->from = il__read_text(node, "from", NULL);
    d->from_place = il__read_place(node, "from");
    if (accept == NULL || accept->kind != IL_NODE_MAP || accept->count == 0) {
        return;
    }
    d->accept = il__read_alloc(r, accept->count, sizeof *d->accept);
    for (size_t i = 0; d->accept != NULL && i < accept->count; i++) {
        d->accept[i].what = accept->items[i].key;
        d->accept[i].why = il__read_text(accept, accept->items[i].key, "");
        d->accept[i].place = accept->items[i].place;
        d->accept_count++;
    }
    if (d->from == NULL) {
        il_problem_add(r->problems, accept->place,
                       "detector '%s' is made here: `accept` is for one that comes "
                       "`from` a file",
                       d->name);
    }
}

/* A detector from a file stays what it is. */
static void check_from(il__reader *r, const il_detector_spec *d)
{
    if (d->from != NULL && d->fit.given) {
        il_problem_add(r->problems, d->fit.place,
                       "detector '%s' comes from a file and has a `fit`: expected one "
                       "of the two",
                       d->name);
    }
    if (d->from != NULL && d->refit.kind != IL_REFIT_FROZEN) {
        il_problem_add(r->problems, d->refit.place,
                       "detector '%s' comes from a file, so it stays frozen", d->name);
    }
}

/* What the parts of a detector ask of each other. */
static void check_detector(il__reader *r, const il_detector_spec *d,
                           const il_node *node)
{
    if (d->refit.kind != IL_REFIT_FROZEN && !d->fit.given && d->from == NULL) {
        il_problem_add(r->problems, d->refit.place,
                       "detector '%s' is to be refitted but has no `fit`", d->name);
    }
    if (d->vault && d->refit.kind != IL_REFIT_FROZEN) {
        il_problem_add(r->problems, d->refit.place,
                       "detector '%s' is in the vault, so it stays frozen", d->name);
    }
    if (d->threshold.kind == IL_THRESHOLD_RATE && d->fit.given &&
        d->fit.draw.split != NULL && d->threshold.draw.split != NULL &&
        strcmp(d->fit.draw.split, d->threshold.draw.split) == 0) {
        il_problem_add(r->problems,
                       il__read_place(il_node_get(node, "threshold"), "split"),
                       "'%.60s' fits detector '%s' already: a threshold is calibrated "
                       "on data of its own",
                       d->threshold.draw.split, d->name);
    }
    if (d->calibrate.given && d->fit.given && d->fit.draw.split != NULL &&
        d->calibrate.draw.split != NULL &&
        strcmp(d->fit.draw.split, d->calibrate.draw.split) == 0) {
        il_problem_add(r->problems,
                       il__read_place(il_node_get(node, "calibrate"), "split"),
                       "'%.60s' fits detector '%s' already: probabilities are "
                       "calibrated on data of their own",
                       d->calibrate.draw.split, d->name);
    }
    if (d->on != NULL && il_pipeline_reference(r->pipeline, d->on) == NULL) {
        const char *names[64];
        size_t count = 0;

        for (; count < r->pipeline->reference_count && count < 64; count++) {
            names[count] = r->pipeline->references[count].name;
        }
        il_problem_add_nearest(r->problems, il__read_place(node, "on"), d->on, names,
                               count, "no reference '%.60s'", d->on);
    }
}

void il__read_detector(il__reader *r, il_detector_spec *d, const char *name,
                       const il_node *node)
{
    const il_node *site = il_node_get(node, "site");
    const il_node *calibrate = il_node_get(node, "calibrate");
    const il_node *rezero = il_node_get(node, "rezero");

    d->name = name;
    d->place = node->place;
    d->component = il__read_component(r, node);
    d->sites = il__read_names(r, il_node_get(node, "sites"));
    if (site != NULL && site->kind == IL_NODE_SCALAR) {
        d->sites.items = il__read_alloc(r, 1, sizeof *d->sites.items);
        d->sites.places = il__read_alloc(r, 1, sizeof *d->sites.places);
        if (d->sites.items != NULL && d->sites.places != NULL) {
            d->sites.count = 1;
            d->sites.items[0] = site->text;
            d->sites.places[0] = site->place;
        }
    }
    d->of = il__read_names(r, il_node_get(node, "of"));
    d->on = il__read_text(node, "on", NULL);
    d->keys = il__read_text(node, "keys", NULL);
    d->tokens = il__read_text(node, "tokens", d->of.count > 0 ? NULL : "all");
    d->context =
        (enum il_context)il__read_choice(node, "context", contexts, IL_CONTEXT_SELF);
    read_pool(r, d, il_node_get(node, "pool"));
    d->fit = read_fit(il_node_get(node, "fit"));
    d->label = il__read_text(node, "label", d->fit.label);
    if (d->fit.label != NULL && d->label != NULL &&
        strcmp(d->fit.label, d->label) != 0) {
        il_problem_add(r->problems, il__read_place(node, "label"),
                       "detector '%s' is fitted to '%s': its fit's label is the one "
                       "that it is judged by",
                       d->name, d->fit.label);
    }
    if (calibrate != NULL && calibrate->kind == IL_NODE_MAP) {
        d->calibrate.given = true;
        d->calibrate.place = calibrate->place;
        d->calibrate.method = il__read_text(calibrate, "method", "platt");
        d->calibrate.draw = il__read_draw(calibrate);
    }
    d->threshold = read_threshold(il_node_get(node, "threshold"));
    if (rezero != NULL && rezero->kind == IL_NODE_MAP) {
        d->rezero.split = il__read_text(rezero, "split", NULL);
        d->rezero.rows = il__read_int(rezero, "rows", 1);
        d->rezero.place = rezero->place;
    }
    d->refit = read_refit(r, il_node_get(node, "refit"));
    d->vault = il__read_flag(node, "vault", false);
    read_from(r, d, node);
    check_from(r, d);
    check_detector(r, d, node);
}
