/* interloop detector fit: a detector fitted on activations from files, saved with its
 * contract. */
#include "detector.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "detect/dictionary.h"

/* Of about so many documents one is held back for the threshold. */
enum { HOLD = 4 };

static const char usage[] =
    "usage: interloop detector fit PIPELINE --stage NAME [--detector NAME] --out FILE [OPTION]...\n"
    "       interloop detector fit --use ID --acts FILE --labels FILE --out FILE [OPTION]...\n"
    "\n"
    "  With a pipeline, brings the stage about if it has not run yet, and saves a detector that\n"
    "  it or a stage before it has fitted; --variant NAME and --seed N choose among several.\n"
    "\n"
    "  Without one, fits a detector on activations from files and saves it in a safetensors file with its\n"
    "  contract: what it reads, how it was scaled, its threshold, the model and the rows it was\n"
    "  fitted on.\n"
    "\n"
    "  --use ID            the detector's component, as in a pipeline: linear_probe\n"
    "  --set NAME=VALUE    one of its params; may be given more than once\n"
    "  --acts FILE         .npy, .safetensors, or FILE.safetensors#TENSOR: (N,W) or (B,T,W);\n"
    "                      once a site. Or a folder of shards, as `interloop activations` writes\n"
    "                      them or as --files says: 'acts_{shard}.npy, labels_{shard}.npy'; of\n"
    "                      its sites those that --site names, or FOLDER#TENSOR\n"
    "  --labels FILE       0 or 1 a row (a dictionary learns without); (N), (B,T) or (B). Also --ids FILE, of documents, whose\n"
    "                      rows follow one another; --mask FILE, which positions count;\n"
    "                      --lengths FILE, where padding begins. What `interloop detector\n"
    "                      harvest` wrote holds all of these\n"
    "  --site NAME         what the activations are, once a site: blocks.2.hook_resid_post\n"
    "  --convention NAME   of the sites' names (TransformerLens)\n"
    "  --tokens NAME       the mask they were taken at, in words (all)\n"
    "  --context WORD      what a position may read: self, past or all (self)\n"
    "  --model HASH        of the weights that gave the activations\n"
    "  --pool WORDS        one score a sequence: max, mean, 'ema_max, decay 0.9', ...\n"
    "  --method NAME, --steps N, --batch N, --lr X, --l2 X   of the fit; the detector's own\n"
    "                      otherwise\n"
    "  --fpr RATE          holds back one document in four and sets the threshold there\n"
    "  --unit WORD         what alarms: token, sequence, episode or step (token)\n"
    "  --seed N            of initial values (1)\n"
    "  --plugin-path DIR   a folder of plugins to search first\n"
    "  --json              what was measured as JSON\n";

/* What a fit left. */
typedef struct fitted {
    double seconds;
    il_detector_judged own; /* of the rows it was fitted on */
    il_acts kept_acts, held_acts;
} fitted;

static il_status fit_here(il_detector_bench *b, const il_detector_cli *c, fitted *f,
                          il_error *err)
{
    il_detector *d = b->detector;
    const char *model =
        c->model != NULL ? c->model
                         : json_string_value(json_object_get(b->given->about, "model"));
    il_fit fit = {.blas = b->desk->blas,
                  .log = b->desk->log,
                  .start = IL_FIT_FRESH,
                  .seed = d->seed,
                  .model_hash = NULL};
    char hash[IL_HASH_HEX] = "";
    double since;

    if (b->given->acts.rows.labels == NULL && !il_detector_learns(d)) {
        return il_error_set(err, IL_ERR_INPUT, "--labels",
                            "expected labels: name their file");
    }
    if (model != NULL && strlen(model) >= sizeof hash) {
        return il_error_set(err, IL_ERR_INPUT, "--model",
                            "expected a hash of at most %d digits", IL_HASH_HEX - 1);
    }
    if (model != NULL) {
        (void)snprintf(hash, sizeof hash, "%s", model);
        fit.model_hash = hash;
    }
    f->kept_acts = b->given->acts;
    if (b->spec.threshold.kind == IL_THRESHOLD_RATE) {
        IL_TRY(il_given_hold(b->given, HOLD, &f->kept_acts, &f->held_acts, err));
        IL_TRY(il_detector_bench_pool(b, &f->held_acts, err));
    }
    IL_TRY(il_detector_bench_pool(b, &f->kept_acts, err));
    since = il_detector_clock();
    IL_TRY(il_detector_fit(d, &f->kept_acts, &fit, err));
    f->seconds = il_detector_clock() - since;
    if (b->spec.threshold.kind == IL_THRESHOLD_RATE) {
        IL_TRY(il_detector_calibrate(d, b->desk->blas, &f->held_acts, err));
    }
    if (f->kept_acts.rows.labels == NULL) {
        f->own.measured.rows = f->kept_acts.rows.count;
        return IL_OK; /* it learned without: nothing to judge by */
    }
    return il_detector_judge(&f->own, d, b->desk->blas, &f->kept_acts, d->seed, err);
}

static void show(const il_detector_bench *b, const il_detector_cli *c, const fitted *f)
{
    const il_detector *d = b->detector;
    const il_measured *m = &f->own.measured;

    if (c->json) {
        json_t *json = json_pack("{s:s, s:f, s:I}", "file", c->out, "fit_seconds",
                                 f->seconds, "rows", (json_int_t)m->rows);

        if (f->kept_acts.rows.labels != NULL) {
            json_object_set_new(json, "fit", il_detector_judged_json(d, &f->own));
        }
        il_detector_print_json(json);
        return;
    }
    if (f->kept_acts.rows.labels == NULL) {
        printf("%s fitted in %.3f s on %" PRId64 " rows, without labels\n",
               d->instance->offer->id, f->seconds, m->rows);
    } else {
        printf("%s fitted in %.3f s on %" PRId64 " rows of %" PRId64
               " documents, %" PRId64 " positive; AUROC on these %.4f\n",
               d->instance->offer->id, f->seconds, m->rows, m->documents, m->positives,
               m->value[IL_MEASURE_AUROC]);
    }
    if (d->has_threshold) {
        printf("threshold %.4f: of %" PRId64
               " negatives in the documents held back, at most a share of %.4g lies "
               "above\n",
               d->threshold, d->negatives, d->rate);
    }
    printf("wrote %s\n", c->out);
}

static il_status fit_files(il_detector_desk *desk, const il_detector_cli *c,
                           il_error *err)
{
    il_detector_bench b = {.desk = NULL};
    fitted f = {.seconds = 0};
    il_status status = il_detector_bench_new(&b, desk, c, err);

    if (status == IL_OK) {
        status = fit_here(&b, c, &f, err);
    }
    if (status == IL_OK) {
        status = il_saved_write(b.detector, c->out, err);
    }
    if (status == IL_OK) {
        show(&b, c, &f);
    }
    il_detector_bench_close(&b);
    return status;
}

/* The one detector that is to be saved: that named, or the only one that is fitted. */
static il_status choose(const il_detector_stage *st, const il_detector_cli *c,
                        il_detector **out, il_error *err)
{
    size_t found = 0;

    IL_TRY(il_detector_names_check(st, c, err));
    for (size_t i = 0; i < st->world->detector_count; i++) {
        il_detector *d = st->world->detectors[i];

        if (il_detector_wanted(c, d->spec->name) && d->fitted) {
            *out = d;
            found++;
        }
    }
    if (found == 1) {
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_INPUT, st->spec->name,
                        found == 0 ? "neither this stage nor one before it has fitted "
                                     "that detector (%zu)"
                                   : "expected one detector, got %zu that are fitted: "
                                     "name one by --detector",
                        found);
}

static int fit_stage(il_detector_cli *c)
{
    il_session s = {0};
    il_detector_stage st = {.world = NULL};
    il_detector *d = NULL;
    il_error err = {0};
    int code;
    il_status status = il_detector_session_open(&s, c, usage, &err);

    if (status == IL_OK) {
        status = il_detector_stage_open(&st, &s, c, &err);
    }
    if (status == IL_OK) {
        status = choose(&st, c, &d, &err);
    }
    if (status == IL_OK) {
        status = il_saved_write(d, c->out, &err);
    }
    if (status == IL_OK) {
        printf("%s (%s), as after stage %s, seed %llu: wrote %s\n", d->spec->name,
               d->instance->offer->id, st.spec->name, (unsigned long long)st.job->seed,
               c->out);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, c);
    return code;
}

int il_detector_fit_verb(int argc, char **argv)
{
    il_detector_cli c;
    il_detector_desk desk;
    il_error err = {0};
    il_status status;
    int code = il_detector_parse(&c, argc, argv, usage);

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path != NULL && c.out != NULL) {
        return fit_stage(&c);
    }
    if (c.use == NULL || c.acts_count == 0 || c.out == NULL) {
        return il_detector_wrong(
            usage, "expected a pipeline, or --use and --acts; and --out", "");
    }
    status = il_detector_desk_open(&desk, &c, &err);
    if (status == IL_OK) {
        status = fit_files(&desk, &c, &err);
    }
    code = status == IL_OK ? 0 : il_detector_desk_fail(&desk, status, &err);
    il_detector_desk_close(&desk);
    return code;
}
