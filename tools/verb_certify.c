/* interloop certify: trains a stage with and without a detector's information, and compares what it reads. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include "loop/certify.h"
#include "session.h"

static const char usage[] =
    "usage: interloop certify PIPELINE --stage NAME [--variant NAME]... [OPTION]...\n"
    "\n"
    "  Trains the stage twice from the same state on the same data, once as it is and once with\n"
    "  noise added to the detector's score wherever it enters training, and compares, bit for\n"
    "  bit and step by step, the parameters that the declared detectors read, with their\n"
    "  moments. Exit code 1 when they differ though the verdict was closed, else 0.\n"
    "\n";

static void print(const il_job *job, const il_certificate *c)
{
    printf("%s%s%s seed %llu: ", job->stage, job->variant[0] != '\0' ? "/" : "",
           job->variant, (unsigned long long)job->seed);
    if (c->held) {
        printf(
            "certificate holds against %s: what the detectors read kept its bits over %lld "
            "steps (verdict %s), sha256 %s\n",
            c->source, (long long)c->steps, c->closed ? "closed" : "open", c->hash);
    } else {
        printf(
            "certificate fails against %s: step %lld, tensor %s differs (verdict %s)\n",
            c->source, (long long)c->step, c->tensor, c->closed ? "closed" : "open");
    }
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
        il_status status =
            certificates != NULL
                ? il_certify(&host, &shared, job, certificates, &count, &s->problems,
                             err)
                : il_error_set(err, IL_ERR_MEMORY, job->stage, "out of memory");

        for (size_t c = 0; c < count; c++) {
            print(job, &certificates[c]);
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
