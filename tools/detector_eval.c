/* interloop detector eval: what a saved detector says of labelled rows. */
#include "detector.h"

#include <inttypes.h>
#include <stdio.h>

static const char usage[] =
    "usage: interloop detector eval PIPELINE --stage NAME [--detector NAME] [OPTION]...\n"
    "       interloop detector eval FILE --acts FILE --labels FILE [OPTION]...\n"
    "\n"
    "  With a pipeline, judges the detectors that the stage or one before it has fitted, on the\n"
    "  rows of the stage's audit or on --split NAME; the stage is brought about if it has not\n"
    "  run yet. --variant NAME and --seed N choose among several.\n"
    "\n"
    "  With a file, judges a saved detector on labelled activations: AUROC, TPR at 1% FPR, recall and FPR at\n"
    "  its own threshold, and expected calibration error, with intervals by document and the\n"
    "  counts behind each.\n"
    "\n"
    "  --acts FILE         as for `interloop detector fit`, as are --labels, --ids, --mask,\n"
    "                      --lengths, --files and --site\n"
    "  --accept WORD       takes the detector although its site, convention, tokens or model is\n"
    "                      not that of the activations; ids: although documents judge it that\n"
    "                      have the ids of some that fitted it\n"
    "  --plugin-path DIR   a folder of plugins to search first\n"
    "  --json              as JSON\n";

/* What judges a detector neither fitted nor calibrated it. */
static il_status check_apart(const il_detector_bench *b, const il_detector_cli *c,
                             il_error *err)
{
    const il_detector *d = b->detector;
    const il_documents *used[] = {&d->fit_ids, &d->calibration_ids};
    int64_t count = 0;
    int64_t shared = 0;
    int64_t *ids;

    if (!b->given->has_ids || il_detector_accepts(c, "ids")) {
        return IL_OK;
    }
    ids = il_documents_list(&b->given->acts.rows, b->given->arena, &count);
    if (ids == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "ids", "out of memory");
    }
    for (int i = 0; i < 2; i++) {
        if (il_documents_meet(count, ids, used[i]->count, used[i]->ids, &shared)) {
            return il_error_set(
                err, IL_ERR_INPUT, c->cli.run.path,
                "document %" PRId64
                " %s: name others, or --accept ids where equal ids do "
                "not mean equal documents",
                shared, i == 0 ? "fitted this detector" : "calibrated its threshold");
        }
    }
    return IL_OK;
}

static il_status eval_file(il_detector_desk *desk, const il_detector_cli *c,
                           il_error *err)
{
    il_detector_bench b = {.desk = NULL};
    il_detector_judged judged;
    il_status status = il_detector_bench_load(&b, desk, c, err);

    if (status == IL_OK && b.given->acts.rows.labels == NULL) {
        status = il_error_set(err, IL_ERR_INPUT, "--labels",
                              "expected labels: name their file");
    }
    if (status == IL_OK) {
        status = check_apart(&b, c, err);
    }
    if (status == IL_OK) {
        status =
            il_detector_judge(&judged, b.detector, desk->blas, &b.given->acts, 1, err);
    }
    if (status == IL_OK && c->json) {
        il_detector_print_json(il_detector_judged_json(b.detector, &judged));
    } else if (status == IL_OK) {
        il_detector_judged_print(b.detector, &judged);
        if (!b.given->has_ids) {
            puts(
                "  documents without ids: whether some fitted the detector is not known");
        }
    }
    il_detector_bench_close(&b);
    return status;
}

static il_status eval_all(const il_detector_stage *st, const il_detector_cli *c,
                          il_error *err)
{
    json_t *all = json_array();
    il_status status = il_detector_names_check(st, c, err);
    bool any = false;

    for (size_t i = 0; status == IL_OK && i < st->world->detector_count; i++) {
        il_detector *d = st->world->detectors[i];
        il_detector_judged judged;
        const char *from = "";
        json_t *json;

        if (!il_detector_wanted(c, d->spec->name) || !il_detector_ready(d) ||
            (d->spec->fit.given && d->fields.label == NULL)) {
            continue;
        }
        status = il_detector_judge_stage(&judged, st->world, st->spec,
                                         c->split_count > 0 ? c->splits[0] : NULL, d,
                                         &from, err);
        if (status != IL_OK) {
            break;
        }
        json = il_detector_judged_json(d, &judged);
        json_object_set_new(json, "detector", json_string(d->spec->name));
        json_object_set_new(json, "judged_on", json_string(from));
        json_array_append_new(all, json);
        if (!c->json) {
            printf("%s, on %s: ", d->spec->name, from);
            il_detector_judged_print(d, &judged);
        }
        any = true;
    }
    if (status == IL_OK && !any) {
        status = il_error_set(err, IL_ERR_INPUT, st->spec->name,
                              "neither this stage nor one before it has fitted such a "
                              "detector");
    }
    if (status == IL_OK && c->json) {
        il_detector_print_json(json_incref(all));
    }
    json_decref(all);
    return status;
}

static int eval_stage(il_detector_cli *c)
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
        status = eval_all(&st, c, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&s, status, &err);
    il_detector_stage_close(&st);
    il_detector_session_close(&s, c);
    return code;
}

int il_detector_eval_verb(int argc, char **argv)
{
    il_detector_cli c;
    il_detector_desk desk;
    il_error err = {0};
    il_status status;
    int code = il_detector_parse(&c, argc, argv, usage);

    if (code >= 0) {
        return code;
    }
    if (c.cli.run.path != NULL && c.cli.run.filter.stage_count > 0) {
        return eval_stage(&c);
    }
    if (c.cli.run.path == NULL || c.acts_count == 0) {
        return il_detector_wrong(
            usage, "expected a pipeline and --stage, or a saved detector and --acts",
            "");
    }
    status = il_detector_desk_open(&desk, &c, &err);
    if (status == IL_OK) {
        status = eval_file(&desk, &c, &err);
    }
    code = status == IL_OK ? 0 : il_detector_desk_fail(&desk, status, &err);
    il_detector_desk_close(&desk);
    return code;
}
