/* interloop detector export: a saved detector as other people's formats put it. */
#include "detector.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "exchange/adopt.h"
#include "exchange/sae_lens.h"
#include "exchange/weights.h"

static const char usage[] =
    "usage: interloop detector export FILE... --to FORMAT PATH [OPTION]...\n"
    "\n"
    "  Writes a saved detector in another program's format.\n"
    "\n"
    "  --to saelens        a dictionary as a folder that SAELens 6 loads\n"
    "  --to npz            a dictionary as Gemma Scope's params.npz; a linear detector as coef\n"
    "                      and intercept, its scaling folded in\n"
    "  --to safetensors    a linear detector as coef and intercept\n"
    "  --to gguf           linear detectors' directions as a control vector, a FILE a layer\n"
    "  --layer N           of the control vector of one; that of its site without\n"
    "  --plugin-path DIR   a folder of plugins to search first\n";

typedef struct options {
    il_detector_cli cli; /* the plugins' folders, and the file that is being opened */
    char **files;
    size_t file_count;
    const char *to, *path;
    int64_t layer;
} options;

enum { TO = 256, LAYER, PLUGINS, HELP };

static const struct option known[] = {{"to", required_argument, NULL, TO},
                                      {"layer", required_argument, NULL, LAYER},
                                      {"plugin-path", required_argument, NULL, PLUGINS},
                                      {"help", no_argument, NULL, HELP},
                                      {NULL, 0, NULL, 0}};

static int take(options *o, int option)
{
    switch (option) {
    case TO:
        o->to = optarg;
        return -1;
    case LAYER:
        return il_parse_int(optarg, &o->layer) && o->layer >= 1
                   ? -1
                   : il_detector_wrong(usage,
                                       "--layer: not a layer from 1 on: ", optarg);
    case PLUGINS:
        if (o->cli.cli.run.plugin_path_count == IL_CLI_MANY) {
            return il_detector_wrong(usage, "too many options", "");
        }
        o->cli.cli.plugins[o->cli.cli.run.plugin_path_count++] = optarg;
        return -1;
    case HELP:
        fputs(usage, stdout);
        return 0;
    default:
        fputs(usage, stderr);
        return 2;
    }
}

/* -1: go on, else the exit code. */
static int parse(options *o, int argc, char **argv)
{
    int option;

    memset(o, 0, sizeof *o);
    o->layer = -1;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        int code = take(o, option);

        if (code >= 0) {
            return code;
        }
    }
    if (o->to == NULL || optind + 2 > argc) {
        return il_detector_wrong(usage, "expected FILE, --to FORMAT and PATH", "");
    }
    o->files = argv + optind;
    o->file_count = (size_t)(argc - optind - 1);
    o->path = argv[argc - 1];
    if (o->file_count > 1 && (strcmp(o->to, "gguf") != 0 || o->layer >= 0)) {
        return il_detector_wrong(usage, "one FILE but for --to gguf without --layer",
                                 "");
    }
    return -1;
}

static il_status write_dictionary(const options *o, const il_detector_bench *b,
                                  il_error *err)
{
    il_dictionary d = {.k = 0};
    il_status status = il_dictionary_of(&d, b->detector, b->saved->contract, err);

    if (status == IL_OK && strcmp(o->to, "saelens") == 0) {
        status = il_sae_lens_write(&d, o->path, err);
    } else if (status == IL_OK && strcmp(o->to, "npz") == 0) {
        status = il_gemma_scope_write(&d, o->path, err);
    } else if (status == IL_OK) {
        status =
            il_error_set(err, IL_ERR_INPUT, "--to",
                         "a dictionary goes to saelens or npz, not to '%s'", o->to);
    }
    if (status == IL_OK) {
        printf("wrote %s: %s, %" PRId64 " channels, %" PRId64 " features\n", o->path,
               il_dictionary_form_name(d.form), d.width, d.features);
    }
    il_dictionary_clear(&d);
    return status;
}

static il_status write_array(const options *o, const il_detector_bench *b,
                             il_error *err)
{
    il_direction d = {.weight = NULL};
    il_status status = il_direction_of(&d, b->detector, err);

    if (status != IL_OK) {
        return status;
    }
    if (strcmp(o->to, "npz") == 0) {
        status = il_direction_write_npz(&d, o->path, err);
    } else if (strcmp(o->to, "safetensors") == 0) {
        status = il_direction_write_safetensors(&d, o->path, err);
    } else {
        status = il_error_set(err, IL_ERR_INPUT, "--to",
                              "a linear detector goes to npz, safetensors or gguf, not "
                              "to '%s'",
                              o->to);
    }
    if (status == IL_OK) {
        printf("wrote %s: %" PRId64 " channels and a bias\n", o->path, d.width);
    }
    free(d.weight);
    return status;
}

static il_status export_file(options *o, il_detector_desk *desk, il_error *err)
{
    il_detector_bench b = {.desk = NULL};
    il_status status;

    o->cli.cli.run.path = o->files[0];
    status = il_detector_bench_load(&b, desk, &o->cli, err);
    if (status == IL_OK) {
        status = il_detector_is_dictionary(b.detector) ? write_dictionary(o, &b, err)
                                                       : write_array(o, &b, err);
    }
    il_detector_bench_close(&b);
    return status;
}

/* The direction of one file, and what model its origin names, malloc'ed, if that is not
 * known yet. */
static il_status read_direction(options *o, size_t i, il_detector_desk *desk,
                                il_direction *out, char **model, il_error *err)
{
    il_detector_bench b = {.desk = NULL};
    const char *said = NULL;
    il_status status;

    o->cli.cli.run.path = o->files[i];
    status = il_detector_bench_load(&b, desk, &o->cli, err);
    if (status == IL_OK) {
        said = json_string_value(
            json_object_get(json_object_get(b.saved->contract, "origin"), "model"));
        status = il_direction_of(out, b.detector, err);
    }
    if (status == IL_OK && *model == NULL && said != NULL) {
        *model = strdup(said);
    }
    il_detector_bench_close(&b);
    return status;
}

static il_status export_vectors(options *o, il_detector_desk *desk, il_error *err)
{
    il_direction *all = calloc(o->file_count, sizeof *all);
    char *model = NULL;
    il_status status = all != NULL
                           ? IL_OK
                           : il_error_set(err, IL_ERR_MEMORY, o->path, "out of memory");

    for (size_t i = 0; i < o->file_count && status == IL_OK; i++) {
        status = read_direction(o, i, desk, &all[i], &model, err);
        all[i].layer = o->layer >= 0 ? o->layer : all[i].layer;
    }
    if (status == IL_OK) {
        status = il_direction_write_gguf(all, o->file_count, model, o->path, err);
    }
    if (status == IL_OK) {
        printf("wrote %s: %zu layers of %" PRId64 " channels, without biases\n",
               o->path, o->file_count, all[0].width);
    }
    for (size_t i = 0; all != NULL && i < o->file_count; i++) {
        free(all[i].weight);
    }
    free(model);
    free(all);
    return status;
}

int il_detector_export_verb(int argc, char **argv)
{
    options o;
    il_detector_desk desk;
    il_error err = {0};
    il_status status;
    int code = parse(&o, argc, argv);

    if (code >= 0) {
        return code;
    }
    status = il_detector_desk_open(&desk, &o.cli, &err);
    if (status == IL_OK) {
        status = strcmp(o.to, "gguf") == 0 ? export_vectors(&o, &desk, &err)
                                           : export_file(&o, &desk, &err);
    }
    code = status == IL_OK ? 0 : il_detector_desk_fail(&desk, status, &err);
    il_detector_desk_close(&desk);
    return code;
}
