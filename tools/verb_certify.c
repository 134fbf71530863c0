/* interloop certify: trains a stage with and without a detector's information, and
 * compares what it reads. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/files.h"
#include "loop/certify.h"
#include "session.h"

static const char usage[] =
    "usage: interloop certify PIPELINE --stage NAME [--variant NAME]... [--recorded]\n"
    "       [OPTION]...\n"
    "\n"
    "  Trains the stage twice from the same state, once as it is and once with noise added to\n"
    "  the detector's score wherever it enters training, rewards included, and compares, bit\n"
    "  for bit and step by step, the parameters that the declared detectors read, with their\n"
    "  moments. Rows of a dataset are the same for both runs. Episodes are each run's own, and\n"
    "  the first update at which they differ is named; with --recorded both are given those\n"
    "  of the run as it is, so that only gradients can differ. Exit code 1 when what is read\n"
    "  differs though the verdict was closed, else 0.\n"
    "\n";

/* "; the episodes differ from update 2 on (own, action)", where they do. */
static void print_data(const il_certificate *c)
{
    if (c->data_step != 0) {
        printf("; the episodes differ from update %lld on (%s)",
               (long long)c->data_step, c->data);
    }
}

/* "; halted after them by its readings", where it was. */
static void print_halt(const il_certificate *c)
{
    if (c->halted || c->halted_scrambled) {
        printf("; halted there by %s",
               !c->halted_scrambled ? "its readings"
               : c->halted          ? "its readings and by the coins in their place"
                                    : "the coins in place of its readings");
    }
}

static void print(const il_job *job, const il_certificate *c)
{
    const il_stage_spec *stage = job->chain[job->chain_count - 1].spec;
    const char *word = stage->train.updates > 0 ? "update" : "step";

    printf("%s%s%s seed %llu: ", job->stage, job->variant[0] != '\0' ? "/" : "",
           job->variant, (unsigned long long)job->seed);
    if (c->held) {
        printf(
            "certificate holds against %s%s: what the detectors read kept its bits over %lld "
            "%ss (verdict %s)",
            c->source, c->recorded ? " on recorded episodes" : "", (long long)c->steps,
            word, c->closed ? "closed" : "open");
        print_data(c);
        print_halt(c);
        printf(", sha256 %s\n", c->hash);
    } else {
        printf(
            "certificate fails against %s%s: %s %lld, tensor %s differs (verdict %s)",
            c->source, c->recorded ? " on recorded episodes" : "", word,
            (long long)c->step, c->tensor, c->closed ? "closed" : "open");
        print_data(c);
        printf("\n");
    }
}

/* ---- certificates.json of the run, for its report ----------------------------------
 */

static bool about(const json_t *entry, const il_job *job, const il_certificate *c)
{
    const char *stage = json_string_value(json_object_get(entry, "stage"));
    const char *variant = json_string_value(json_object_get(entry, "variant"));
    const char *of = json_string_value(json_object_get(entry, "source"));

    return stage != NULL && strcmp(stage, job->stage) == 0 &&
           strcmp(variant != NULL ? variant : "", job->variant) == 0 && of != NULL &&
           strcmp(of, c->source) == 0 &&
           json_is_true(json_object_get(entry, "recorded")) == c->recorded &&
           json_integer_value(json_object_get(entry, "seed")) == (json_int_t)job->seed;
}

static json_t *entry_of(const il_job *job, const il_certificate *c)
{
    json_t *variant = job->variant[0] != '\0' ? json_string(job->variant) : json_null();
    json_t *entry = json_pack("{s:s, s:o, s:s, s:I, s:b, s:b, s:b, s:I, s:s}", "stage",
                              job->stage, "variant", variant, "source", c->source,
                              "seed", (json_int_t)job->seed, "recorded", c->recorded,
                              "held", c->held, "closed", c->closed, "steps",
                              (json_int_t)c->steps, "sha256", c->hash);

    if (entry != NULL && !c->held) {
        json_object_set_new(entry, "step", json_integer(c->step));
        json_object_set_new(entry, "tensor", json_string(c->tensor));
    }
    if (entry != NULL && (c->halted || c->halted_scrambled)) {
        json_object_set_new(entry, "halted", json_boolean(c->halted));
        json_object_set_new(entry, "halted_scrambled",
                            json_boolean(c->halted_scrambled));
    }
    if (entry != NULL && c->data_step != 0) {
        json_object_set_new(entry, "data_step", json_integer(c->data_step));
        json_object_set_new(entry, "data", json_string(c->data));
    }
    return entry;
}

/* Adds a certificate to a run's list, in the place of an earlier one. */
static il_status add_to(const char *path, const il_job *job, const il_certificate *c,
                        il_error *err)
{
    json_t *all = il_file_exists(path)
                      ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL)
                      : json_array();
    char *text;
    il_status status;

    if (!json_is_array(all)) {
        json_decref(all);
        return il_error_set(err, IL_ERR_INPUT, path, "expected a list of certificates");
    }
    for (size_t i = json_array_size(all); i-- > 0;) {
        if (about(json_array_get(all, i), job, c)) {
            (void)json_array_remove(all, i); /* i is there */
        }
    }
    json_array_append_new(all, entry_of(job, c));
    text = json_dumps(all, JSON_INDENT(1));
    status = text != NULL ? il_file_write(path, text, strlen(text), err)
                          : il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    free(text);
    json_decref(all);
    return status;
}

/* Puts a certificate beside the run that it is about; without such a run there is
 * nothing to do. */
static il_status record(const il_cli *cli, const il_job *job, const il_certificate *c,
                        il_error *err)
{
    const char *name = cli->run.name != NULL ? cli->run.name : job->pipeline->name;
    char *run = il_path_join(cli->run.runs, name);
    char *summary = run != NULL ? il_path_join(run, "summary.json") : NULL;
    char *path = run != NULL ? il_path_join(run, "certificates.json") : NULL;
    il_status status = IL_OK;

    if (path == NULL || summary == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, name, "out of memory");
    } else if (il_file_exists(summary)) {
        status = add_to(path, job, c, err);
    }
    free(path);
    free(summary);
    free(run);
    return status;
}

static il_status certify_jobs(il_session *s, const il_cli *cli, bool *broken,
                              il_error *err)
{
    il_host shared = il_session_host(s);
    il_stage_host host = {.host = shared,
                          .runs = cli->run.runs,
                          .run_name = "certify",
                          .numerics = s->numerics,
                          .stop = il_cli_stop()};

    for (size_t i = 0; i < s->jobs.count; i++) {
        const il_job *job = &s->jobs.items[i];
        il_certificate *certificates =
            calloc(job->pipeline->detector_count + 1, sizeof *certificates);
        size_t count = 0;
        il_status status;

        if (job->scheduled != NULL && cli->run.filter.variant_count == 0) {
            free(certificates);
            continue; /* certified where it is named */
        }
        status = certificates != NULL
                     ? il_certify(&host, &shared, job, cli->recorded, certificates,
                                  &count, &s->problems, err)
                     : il_error_set(err, IL_ERR_MEMORY, job->stage, "out of memory");

        for (size_t c = 0; c < count; c++) {
            print(job, &certificates[c]);
            if (status == IL_OK) {
                status = record(cli, job, &certificates[c], err);
            }
            *broken = *broken || (!certificates[c].held && certificates[c].closed);
        }
        if (status == IL_OK && count == 0) {
            printf(
                "%s%s%s: no detector presses on training here, there is nothing to certify\n",
                job->stage, job->variant[0] != '\0' ? "/" : "", job->variant);
        }
        free(certificates);
        IL_TRY(status);
    }
    return IL_OK;
}

int il_verb_certify(int argc, char **argv)
{
    il_cli cli;
    il_session session = {0};
    il_error err = {0};
    bool broken = false;
    int code = il_cli_parse(&cli, argc, argv, usage);
    il_status status;

    if (code >= 0) {
        return code;
    }
    if (cli.run.filter.stage_count == 0) {
        fprintf(stderr, "interloop certify: expected --stage\n%s", usage);
        return 2;
    }
    cli.run.log = il_cli_log();
    status = il_session_open(&session, &cli.run, &err);
    if (status == IL_OK) {
        status = certify_jobs(&session, &cli, &broken, &err);
    }
    code = status == IL_OK ? broken : il_cli_fail(&session, status, &err);
    il_session_close(&session);
    il_log_destroy(cli.run.log);
    return code;
}
