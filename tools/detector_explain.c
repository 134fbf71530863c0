/* interloop detector explain: what a detector is, in words: what it reads, what it was
 * fitted on, what it points at, and where it fires most. */
#include "detector.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "detect/examples.h"
#include "detect/linear.h"

static const char usage[] =
    "usage: interloop detector explain PIPELINE --stage NAME [--detector NAME] [OPTION]...\n"
    "       interloop detector explain FILE [--acts FILE ...] [OPTION]...\n"
    "\n"
    "  Says what a detector is: its contract in words; of a linear one the channels that weigh\n"
    "  most; and the rows that move it most, of the stage's audit or of the activations given,\n"
    "  with the text where the data can write it.\n"
    "\n"
    "  --top N             how many channels and rows (10)\n"
    "  --feature N         of a dictionary: a feature instead of the logit; more than once\n"
    "  --split NAME        rows of the data (those of the stage's audit)\n"
    "  --acts FILE, --labels FILE, --ids FILE, --mask FILE, --lengths FILE, --accept WORD   as\n"
    "                      for interloop detector eval\n"
    "  --variant NAME, --seed N, --set PATH=VALUE, --plugin-path DIR, --runs DIR, --workers N\n";

/* What is explained, wherever it comes from. */
typedef struct subject {
    const il_detector *d;
    const il_blas *blas;
    const il_acts *acts;     /* NULL: no examples */
    const il_instance *data; /* whose text to show; NULL: none */
    const char *split;
    int64_t top;
    const il_detector_cli *c;
} subject;

/* ---- the contract --------------------------------------------------------------- */

static void say(const char *what, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        printf("  %-14s %s\n", what, text);
    }
}

static void say_params(const json_t *contract)
{
    const char *key;
    json_t *value;
    il_text text = {0};

    json_object_foreach(json_object_get(contract, "params"), key, value)
    {
        char *one = json_dumps(value, JSON_ENCODE_ANY);

        il_text_addf(&text, "%s%s %s", text.size > 0 ? ", " : "", key,
                     one != NULL ? one : "");
        free(one);
    }
    say("params", text.data);
    il_text_free(&text);
}

static void say_reads(const il_detector *d, const json_t *contract)
{
    static const char *const keys[] = {"convention", "tokens", "context", "pool",
                                       "scaling",    "on",     "label"};
    static const char *const names[] = {
        "named by", "scores", "may read", "pooled by", "activations", "model", "label"};
    il_text text = {0};

    for (size_t i = 0; i < d->member_count; i++) {
        il_text_addf(&text, "%s%s", i > 0 ? ", " : "", d->spec->of.items[i]);
    }
    say("reads", text.data);
    il_text_free(&text);
    for (size_t i = 0; i < d->site_count; i++) {
        il_text_addf(&text, "%s%s (%" PRId64 ")", i > 0 ? ", " : "",
                     d->spec->sites.items[i], d->widths[i]);
    }
    say(d->member_count > 0 ? "at sites" : "reads", text.data);
    il_text_free(&text);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *text_of = json_string_value(json_object_get(contract, keys[i]));

        say(names[i], text_of != NULL && strcmp(text_of, IL_SCALING_NONE) == 0 &&
                              strcmp(keys[i], "scaling") == 0
                          ? "as they are"
                          : text_of);
    }
}

static void say_fit(const il_detector *d, const json_t *contract)
{
    char line[200];
    size_t i;
    json_t *entry;

    say("fitted on", d->model_hash[0] == '\0'
                         ? "activations of a model that nobody named"
                         : "activations of the model with this hash:");
    say("", d->model_hash);
    (void)snprintf(line, sizeof line, "%" PRId64 " to fit, %" PRId64 " to calibrate",
                   d->fit_ids.count, d->calibration_ids.count);
    say("documents", line);
    if (d->has_threshold && isfinite(d->rate)) {
        (void)snprintf(line, sizeof line,
                       "logit %.4f, for a false-positive rate of %.4g a %s on %" PRId64
                       " negatives",
                       d->threshold, d->rate,
                       json_string_value(json_object_get(contract, "unit")),
                       d->negatives);
    } else if (d->has_threshold) {
        (void)snprintf(line, sizeof line, "logit %.4f, given", d->threshold);
    }
    say("threshold", d->has_threshold ? line : "none");
    if (d->calibration.kind != IL_CALIBRATION_NONE) {
        (void)snprintf(line, sizeof line,
                       "by %s on %" PRId64 " rows: ECE there %.4f before, %.4f after",
                       il_calibration_name(d->calibration.kind), d->calibration.rows,
                       d->calibration.ece_before, d->calibration.ece_after);
        say("probabilities", line);
    }
    json_array_foreach(json_object_get(contract, "accepted"), i, entry)
    {
        (void)snprintf(line, sizeof line, "another %s: %s in the place of %s (%s)",
                       json_string_value(json_object_get(entry, "what")),
                       json_string_value(json_object_get(entry, "expected")),
                       json_string_value(json_object_get(entry, "got")),
                       json_string_value(json_object_get(entry, "why")));
        say("accepted", line);
    }
}

/* ---- its direction -------------------------------------------------------------- */

typedef struct channel {
    double weight;
    int64_t at;
} channel;

static int by_weight(const void *a, const void *b)
{
    const channel *x = a;
    const channel *y = b;

    if (fabs(x->weight) != fabs(y->weight)) {
        return fabs(x->weight) > fabs(y->weight) ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

static il_status say_direction(const subject *s, il_error *err)
{
    const il_detector *d = s->d;
    int64_t width = il_detector_width(d);
    double *w = malloc(((size_t)width + 1) * sizeof *w);
    channel *order = malloc(((size_t)width + 1) * sizeof *order);
    double norm = 0;

    if (w == NULL || order == NULL) {
        free(w);
        free(order);
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    il_detector_direction(d, w);
    for (int64_t i = 0; i < width; i++) {
        order[i] = (channel){w[i], i};
        norm += w[i] * w[i];
    }
    qsort(order, (size_t)width, sizeof *order, by_weight);
    printf("\nlogit = w . x %+.5g, |w| %.5g; the channels that weigh most, of %" PRId64
           ":\n",
           w[width], sqrt(norm), width);
    for (int64_t i = 0; i < s->top && i < width; i++) {
        int64_t at = order[i].at;
        size_t site = 0;

        while (at >= d->widths[site]) {
            at -= d->widths[site++];
        }
        printf("  %6" PRId64 "  %+11.5g  %5.1f%% of |w|^2  %s\n", at, order[i].weight,
               100 * order[i].weight * order[i].weight / (norm > 0 ? norm : 1),
               d->site_count > 1 ? d->spec->sites.items[site] : "");
    }
    free(w);
    free(order);
    return IL_OK;
}

/* ---- where it fires ------------------------------------------------------------- */

static void say_example(const subject *s, const il_example *e)
{
    char text[600];

    printf("  %+10.4f  document %" PRId64 ", position %" PRId64 "%s\n", e->value,
           e->document, e->position,
           e->label < 0    ? ""
           : e->label == 1 ? ", positive"
                           : ", negative");
    if (s->data != NULL && s->split != NULL &&
        il_example_text(s->data, s->split, e->index, text, sizeof text)) {
        printf("              %.400s\n", text);
    }
}

static il_status say_examples(const subject *s, il_error *err)
{
    int64_t features[64] = {IL_EXAMPLE_LOGIT};
    size_t count = s->c->feature_count > 0 ? s->c->feature_count : 1;
    il_arena *arena = il_arena_create(1 << 16);
    il_examples *all = NULL;
    il_status status = arena != NULL ? IL_OK
                                     : il_error_set(err, IL_ERR_MEMORY,
                                                    s->d->spec->name, "out of memory");

    for (size_t i = 0; i < s->c->feature_count; i++) {
        features[i] = s->c->features[i];
    }
    if (status == IL_OK) {
        status = il_detector_examples(&all, s->d, s->blas, s->acts, count, features,
                                      s->top, arena, err);
    }
    for (size_t i = 0; status == IL_OK && i < count; i++) {
        const il_examples *e = &all[i];

        if (e->feature == IL_EXAMPLE_LOGIT) {
            printf("\nits logit on %" PRId64 " rows: mean %.4f, above 0 on %" PRId64,
                   e->rows, e->mean, e->active);
        } else {
            printf("\nfeature %" PRId64 " on %" PRId64
                   " rows: mean %.4f, active on %" PRId64,
                   e->feature, e->rows, e->mean, e->active);
        }
        if (isfinite(e->auroc)) {
            printf(", AUROC %.4f", e->auroc);
        }
        printf("; largest at:\n");
        for (int64_t k = 0; k < e->count; k++) {
            say_example(s, &e->items[k]);
        }
    }
    il_arena_destroy(arena);
    return status;
}

static il_status explain(const subject *s, il_error *err)
{
    json_t *contract = il_detector_contract(s->d);
    il_status status = IL_OK;

    if (contract == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->d->spec->name, "out of memory");
    }
    printf("%s: %s %s, %s\n", s->d->spec->name, s->d->instance->offer->id,
           s->d->instance->offer->file->version,
           s->d->instance->offer->component->summary != NULL
               ? s->d->instance->offer->component->summary
               : "");
    say_params(contract);
    say_reads(s->d, contract);
    say_fit(s->d, contract);
    json_decref(contract);
    if (il_detector_linear(s->d) && s->d->member_count == 0 && s->d->fitted) {
        status = say_direction(s, err);
    }
    return status == IL_OK && s->acts != NULL ? say_examples(s, err) : status;
}

/* ---- where it comes from -------------------------------------------------------- */

static int explain_file(const il_detector_cli *c)
{
    il_detector_desk desk;
    il_detector_bench b = {.desk = NULL};
    il_error err = {0};
    il_status status = il_detector_desk_open(&desk, c, &err);
    int code;

    if (status == IL_OK) {
        status = il_detector_bench_load(&b, &desk, c, &err);
    }
    if (status == IL_OK) {
        subject s = {.d = b.detector,
                     .blas = desk.blas,
                     .acts = b.given != NULL ? &b.given->acts : NULL,
                     .top = c->top > 0 ? c->top : 10,
                     .c = c};

        status = explain(&s, &err);
    }
    code = status == IL_OK ? 0 : il_detector_desk_fail(&desk, status, &err);
    il_detector_bench_close(&b);
    il_detector_desk_close(&desk);
    return code;
}

/* The rows of the stage's audit, where it has one or a split is named. */
static il_status rows_of(il_acts **out, const il_detector_stage *st,
                         const il_detector_cli *c, il_detector *d, const char **split,
                         il_error *err)
{
    const char *label = d->fields.label;
    const char *from = "";
    il_draw_spec draw;
    il_draw purpose;
    il_status status;

    if (c->split_count == 0 && !st->spec->audit.given) {
        return IL_OK;
    }
    IL_TRY(il_detector_judge_draw(st->spec, c->split_count > 0 ? c->splits[0] : NULL,
                                  &draw, &purpose, &from, err));
    *split = draw.split;
    d->fields.label = il_detector_label(st->world, d);
    status = il_stage_rows(out, st->world, d, &draw, purpose, c->rows, err);
    d->fields.label = label;
    return status;
}

static il_status explain_all(const il_detector_stage *st, const il_detector_cli *c,
                             il_error *err)
{
    bool any = false;

    IL_TRY(il_detector_names_check(st, c, err));
    for (size_t i = 0; i < st->world->detector_count; i++) {
        il_detector *d = st->world->detectors[i];
        subject s = {.d = d,
                     .blas = st->world->host.blas,
                     .data = st->world->data,
                     .top = c->top > 0 ? c->top : 10,
                     .c = c};
        il_acts *acts = NULL;
        il_status status;

        if (!il_detector_wanted(c, d->spec->name) || !il_detector_ready(d)) {
            continue;
        }
        if (any) {
            putchar('\n');
        }
        any = true;
        status = rows_of(&acts, st, c, d, &s.split, err);
        s.acts = acts;
        if (status == IL_OK) {
            status = explain(&s, err);
        }
        il_acts_destroy(acts);
        IL_TRY(status);
    }
    return any ? IL_OK
               : il_error_set(err, IL_ERR_INPUT, st->spec->name,
                              "neither this stage nor one before it has fitted such a "
                              "detector");
}

static int explain_stage(il_detector_cli *c)
{
    il_session s = {0};
    il_detector_stage st = {.world = NULL};
    il_error err = {0};
    int code;
    il_status status = il_detector_session_open(&s, c, usage, &err);

    if (status == IL_OK) {
        status = il_detector_stage_open(&st, &s, c, &err);
    }
    if (status == IL_OK) {
        status = explain_all(&st, c, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, c);
    return code;
}

int il_detector_explain_verb(int argc, char **argv)
{
    il_detector_cli c;
    int code = il_detector_parse(&c, argc, argv, usage);

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path == NULL) {
        return il_detector_wrong(usage, "expected a pipeline or a saved detector", "");
    }
    return c.cli.run.filter.stage_count > 0 ? explain_stage(&c) : explain_file(&c);
}
