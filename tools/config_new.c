/* interloop config schema, new: what an editor and a beginner need. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "plain.h"
#include "pipeline/fields.h"
#include "pipeline/reference.h"
#include "pipeline/schema_json.h"

int il_config_schema(const il_config_options *o)
{
    il_arena *arena = il_arena_create(1 << 12);
    il_registry *registry = arena != NULL ? il_config_registry(o, NULL, arena) : NULL;
    json_t *schema = registry != NULL ? il_schema_json(registry) : NULL;
    int code = 2;

    if (schema != NULL) {
        code = json_dumpf(schema, stdout, JSON_INDENT(1)) == 0 ? 0 : 1;
        putchar('\n');
    }
    json_decref(schema);
    il_registry_destroy(registry);
    il_arena_destroy(arena);
    return code;
}

int il_config_reference(const il_config_options *o)
{
    il_text text = {0};
    int code;

    (void)o;
    il_schema_reference(&text);
    code = !text.failed && fputs(text.data, stdout) >= 0 ? 0 : 1;
    il_text_free(&text);
    return code;
}

/* ---- new ------------------------------------------------------------------------ */

enum { MODEL, DATA, ENVIRONMENT, DETECTOR, PARTS };

static const il_kind kinds[PARTS] = {IL_KIND_MODEL, IL_KIND_DATASET,
                                     IL_KIND_ENVIRONMENT, IL_KIND_DETECTOR};

/* What a new pipeline is made of. */
typedef struct parts {
    const char *name;
    const il_offer *offers[PARTS]; /* NULL for none */
    il_instance *rows;             /* the data or the environment */
    il_instance *model;
    il_facts facts;
} parts;

/* Finds what the options name; false with the reason printed. */
static bool find_parts(parts *p, const il_registry *registry,
                       const il_config_options *o)
{
    static const char *const usual[PARTS] = {"gpt", "wordnet_personas", NULL,
                                             "linear_probe"};
    bool plays = o->use[ENVIRONMENT] != NULL;

    for (int i = 0; i < PARTS; i++) {
        const char *id = o->use[i];
        il_error err = {0};

        if (id == NULL && !(plays && i == DATA)) {
            id = plays && i == MODEL ? "belief_desire" : usual[i];
        }
        if (id != NULL && il_registry_find(registry, kinds[i], id, "", &p->offers[i],
                                           &err) != IL_OK) {
            fputs("error: ", stderr);
            il_put_plain(stderr, err.message);
            fputs("\n", stderr);
            return false;
        }
    }
    return true;
}

/* Makes rows and model with their default params, so that the pipeline can name what
 * they have. What cannot be made so is left out: it has params that must be given. */
static void make_parts(parts *p, il_arena *arena)
{
    il_problems ignored = {.arena = arena};
    il_component_spec spec = {.use = ""};
    il_instance_input in = {.label = "rows", .seed = 1, .facts = &p->facts};
    il_error err = {0};
    int rows = p->offers[ENVIRONMENT] != NULL ? ENVIRONMENT : DATA;

    if (il_instance_make(&p->rows, p->offers[rows], &spec, &in, &ignored, &err) !=
        IL_OK) {
        p->rows = NULL;
        return;
    }
    in.label = "model";
    in.bare = true;
    if (il_instance_make(&p->model, p->offers[MODEL], &spec, &in, &ignored, &err) !=
        IL_OK) {
        p->model = NULL;
    }
}

/* A component's params: those that must be given, and the others as comments. */
static void print_params_of(const il_offer *offer, const char *indent)
{
    const il_component *c = offer->component;
    bool any = false;

    for (size_t i = 0; i < c->param_count; i++) {
        any = any || c->params[i].initial == NULL;
    }
    if (c->param_count > 0) {
        printf("%s%sparams:\n", indent, any ? "" : "# ");
    }
    for (size_t i = 0; i < c->param_count; i++) {
        const il_param_spec *p = &c->params[i];
        bool given = p->initial == NULL;

        if (p->flags & IL_PARAM_DEPRECATED) {
            continue;
        }
        printf("%s  %s%s: %s  # %s%s%s%s\n", indent, given ? "" : "# ", p->name,
               given                   ? "\"\""
               : p->initial[0] != '\0' ? p->initial
                                       : "\"\"",
               p->help, p->unit[0] != '\0' ? ", in " : "", p->unit,
               given ? "; must be given" : "");
    }
}

static void print_use(const il_offer *offer, const char *indent)
{
    const char *id = offer->id;
    unsigned major = 0;

    (void)sscanf(offer->file->version, "%u", &major); /* 0 where it is no number */
    printf("%suse: %s@^%u.0\n", indent,
           strncmp(id, "interloop.", 10) == 0 ? id + 10 : id, major);
    print_params_of(offer, indent);
}

/* The last residual stream but one, where there is one, or the last site. */
static const char *choose_site(const il_instance *model)
{
    const char *last = NULL;
    const char *chosen = NULL;

    for (size_t i = 0; model != NULL && i < model->site_count; i++) {
        const char *name = model->sites[i].name;

        if (strstr(name, "hook_resid_post") != NULL ||
            strstr(name, "hook_state") != NULL) {
            chosen =
                last != NULL && strstr(name, "hook_resid_post") != NULL ? last : name;
            last = name;
        }
    }
    if (chosen == NULL && model != NULL && model->site_count > 0) {
        chosen = model->sites[model->site_count - 1].name;
    }
    return chosen != NULL ? chosen : "SITE";
}

/* The first split whose name holds the word, else the one of that number. */
static const char *choose_split(const il_instance *data, const char *word,
                                int32_t otherwise)
{
    int32_t count = 0;
    const il_split *splits =
        data != NULL ? il_instance_dataset(data)->splits(data->self, &count) : NULL;

    for (int32_t i = 0; i < count; i++) {
        if (strstr(splits[i].name, word) != NULL) {
            return splits[i].name;
        }
    }
    return otherwise < count ? splits[otherwise].name
           : count > 0       ? splits[count - 1].name
                             : "SPLIT";
}

static const char *role_or(const il_instance *rows, il_field_role role,
                           const char *otherwise)
{
    const char *name = rows != NULL ? il_field_of_role(rows, role) : NULL;

    return name != NULL ? name : otherwise;
}

static void print_detector(const parts *p)
{
    bool plays = p->offers[ENVIRONMENT] != NULL;
    const char *label = role_or(p->rows, IL_FIELD_LABEL, "LABEL");
    const char *mask = role_or(p->rows, IL_FIELD_MASK, "all");

    puts("detectors:\n  probe:");
    print_use(p->offers[DETECTOR], "    ");
    printf("    site: %s\n", choose_site(p->model));
    printf("    tokens: %s\n", plays ? "all" : mask);
    if (plays) {
        printf("    fit: {rollouts: {policy: own, episodes: 400}, label: %s}\n"
               "    threshold: {rollouts: {policy: own, episodes: 400}, fpr: 0.01, "
               "unit: step}\n",
               label);
        return;
    }
    printf("    fit: {split: %s, label: %s}\n"
           "    threshold: {split: %s, fpr: 0.01, unit: token}\n",
           choose_split(p->rows, "probe_train", 1), label,
           choose_split(p->rows, "calib", 2));
}

static void print_data_stages(const parts *p)
{
    const char *loss = p->model != NULL && p->model->loss_count > 0
                           ? p->model->losses[0].name
                           : "LOSS";
    const char *test = choose_split(p->rows, "test", 3);

    printf("stages:\n"
           "  pretrain:\n"
           "    train:\n"
           "      steps: 1000\n"
           "      batch: 64\n"
           "      optimizer: {use: adamw, lr: 3e-3, schedule: {use: cosine, warmup: "
           "100, final: 0.1}}\n"
           "      clip: [{groups: all, norm: 1.0}]\n"
           "    signals:\n"
           "      task: {source: %s, channel: loss, route: all}\n"
           "  fitted:\n"
           "    from: pretrain\n"
           "    fit: [probe]\n"
           "    audit: {splits: [%s], fresh: [linear]}\n"
           "  loop:\n"
           "    from: fitted\n"
           "    train:\n"
           "      steps: 200\n"
           "      batch: 64\n"
           "      optimizer: {use: adamw, lr: 5e-4}\n"
           "      clip: [{groups: all, norm: 1.0}]\n"
           "    signals:\n"
           "      task: {source: %s, channel: loss, route: all}\n"
           "      pressure: {source: probe, channel: loss, weight: 0.5, route: all}\n"
           "    firewall: open        # the pressure reaches what the probe reads: "
           "`interloop explain` says how\n"
           "    audit: {every: 50, splits: [%s], fresh: [linear, mlp]}\n"
           "    variants:\n"
           "      pressed: {}\n"
           "      twin: {signals.pressure.channel: monitor, twin_of: pressed}\n",
           loss, test, loss, test);
}

static void print_played_stages(const parts *p)
{
    const char *loss =
        p->model != NULL && p->model->loss_count > 0 ? p->model->losses[0].name : NULL;
    const char *reward = role_or(p->rows, IL_FIELD_REWARD, "REWARD");

    puts("stages:");
    for (int i = 0; i < 2; i++) {
        printf("  %s:\n"
               "%s"
               "    train:\n"
               "      updates: 200\n"
               "      rollouts: {own: {policy: own, episodes: 64}}\n"
               "      algorithm: {use: a2c, gamma: 0.95, normalize: batch}\n"
               "      optimizer: {use: adam, lr: 1e-3}\n"
               "    signals:\n",
               i == 0 ? "habit" : "mode", i == 0 ? "" : "    from: fitted\n");
        if (loss != NULL) {
            printf(
                "      %s: {source: %s, channel: loss, route: [belief, prediction]}\n",
                loss, loss);
        }
        printf("      task: {source: {reward: %s}, channel: reward, route: [desire]}\n"
               "      entropy: {source: entropy, channel: loss, weight: 0.05, route: "
               "[desire]}\n",
               reward);
        if (i == 0) {
            puts(
                "  fitted:\n"
                "    from: habit\n"
                "    fit: [probe]\n"
                "    audit: {rollouts: {policy: own, episodes: 400}, fresh: [linear]}");
        }
    }
    puts(
        "      pressure: {source: probe, channel: reward, weight: 1.0, route: [desire]}\n"
        "    audit: {every: 50, rollouts: {policy: own, episodes: 400}, fresh: "
        "[linear]}\n"
        "    variants:\n"
        "      pressed: {}\n"
        "      twin: {signals.pressure.channel: monitor, twin_of: pressed}");
}

static void print_new(const parts *p)
{
    static const char *const keys[] = {"model", "data", "environment"};

    printf("# yaml-language-server: $schema=pipeline.schema.json\n"
           "# (interloop config schema > pipeline.schema.json makes that file)\n"
           "interloop: 1\n"
           "name: %s\n"
           "seed: 1\n\n",
           p->name);
    for (int i = 0; i < DETECTOR; i++) {
        if (p->offers[i] != NULL) {
            printf("%s:\n", keys[i]);
            print_use(p->offers[i], "  ");
            putchar('\n');
        }
    }
    print_detector(p);
    putchar('\n');
    if (p->offers[ENVIRONMENT] != NULL) {
        print_played_stages(p);
    } else {
        print_data_stages(p);
    }
    puts("\nsweep: {seeds: [1, 2, 3]}");
}

int il_config_new(const il_config_options *o)
{
    il_arena *arena = il_arena_create(1 << 12);
    il_registry *registry = arena != NULL ? il_config_registry(o, NULL, arena) : NULL;
    parts p = {.name = o->words[0]};
    int code = 2;

    if (!il_is_name(p.name)) {
        fprintf(stderr,
                "error: '%.80s' is not a name: letters, digits, '_' and '-', at "
                "most 64, a letter first\n",
                p.name);
    } else if (registry != NULL && find_parts(&p, registry, o)) {
        make_parts(&p, arena);
        print_new(&p);
        code = 0;
    }
    il_instance_destroy(p.model);
    il_instance_destroy(p.rows);
    il_registry_destroy(registry);
    il_arena_destroy(arena);
    return code;
}
