/* interloop detector import: detectors from other people's files, verified before they
 * are kept. */
#include "detector.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "exchange/foreign.h"
#include "exchange/verify.h"

static const char usage[] =
    "usage: interloop detector import [FORMAT] PATH --out FILE [OPTION]...\n"
    "\n"
    "  Reads another program's file, says what it saw, verifies what it made of it, and saves a\n"
    "  detector as `interloop detector fit` does.\n"
    "\n"
    "  FORMAT              told from the contents without it: saelens, sparsify (folders),\n"
    "                      gemma_scope (params.npz), probe (.npz or .safetensors of\n"
    "                      scikit-learn's or PyTorch's weights), gguf (control vectors)\n"
    "  --site NAME         what it reads, as the model here names it; where the file says it,\n"
    "                      that without; {layer} stands for the layer of a control vector\n"
    "  --out FILE          with {layer} in it a file a layer\n"
    "  --layer N           one layer of a control vector\n"
    "  --feature N         of a dictionary: the feature that its logit is\n"
    "  --scale X           of a dictionary that was made for rows X times as large, where its\n"
    "                      file asks for a factor and does not hold it\n"
    "  --verify FILE       rows (N,W) in .npy, .npz or .safetensors (FILE#NAME)\n"
    "  --expect FILE       what they give: (N,F) features, (N,W) reconstructions or (N) scores\n"
    "  --tolerance X       how far they may be off, as a share of their norm (0.001)\n"
    "  --accept reconstruction   takes a dictionary that reconstructs the rows badly\n"
    "  --use ID            the component (sae, linear_probe)\n"
    "  --tokens NAME       the mask that it is scored at (all)\n"
    "  --convention NAME   of the site's name (TransformerLens)\n"
    "  --model HASH        of the weights here that it was made for\n"
    "  --plugin-path DIR   a folder of plugins to search first\n";

typedef struct options {
    il_detector_cli cli; /* the plugins' folders alone */
    const char *format, *path, *site, *out, *verify, *expect, *accept, *use;
    const char *tokens, *convention, *model;
    int64_t layer, feature;
    double tolerance, scale;
} options;

/* ---- options -------------------------------------------------------------------- */

enum {
    SITE = 256,
    OUT,
    LAYER,
    FEATURE,
    SCALE,
    VERIFY,
    EXPECT,
    TOLERANCE,
    ACCEPT,
    USE,
    TOKENS,
    CONVENTION,
    MODEL,
    PLUGINS,
    HELP
};

static const struct option known[] = {
    {"site", required_argument, NULL, SITE},
    {"out", required_argument, NULL, OUT},
    {"layer", required_argument, NULL, LAYER},
    {"feature", required_argument, NULL, FEATURE},
    {"scale", required_argument, NULL, SCALE},
    {"verify", required_argument, NULL, VERIFY},
    {"expect", required_argument, NULL, EXPECT},
    {"tolerance", required_argument, NULL, TOLERANCE},
    {"accept", required_argument, NULL, ACCEPT},
    {"use", required_argument, NULL, USE},
    {"tokens", required_argument, NULL, TOKENS},
    {"convention", required_argument, NULL, CONVENTION},
    {"model", required_argument, NULL, MODEL},
    {"plugin-path", required_argument, NULL, PLUGINS},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static const char **text_of(options *o, int option)
{
    switch (option) {
    case SITE:
        return &o->site;
    case OUT:
        return &o->out;
    case VERIFY:
        return &o->verify;
    case EXPECT:
        return &o->expect;
    case ACCEPT:
        return &o->accept;
    case USE:
        return &o->use;
    case TOKENS:
        return &o->tokens;
    case CONVENTION:
        return &o->convention;
    case MODEL:
        return &o->model;
    default:
        return NULL;
    }
}

static bool take_number(options *o, int option)
{
    switch (option) {
    case LAYER:
        return il_parse_int(optarg, &o->layer) && o->layer >= 0;
    case FEATURE:
        return il_parse_int(optarg, &o->feature) && o->feature >= 0;
    case SCALE:
        return il_parse_real(optarg, &o->scale) && o->scale > 0;
    case TOLERANCE:
        return il_parse_real(optarg, &o->tolerance) && o->tolerance >= 0;
    default:
        if (o->cli.cli.run.plugin_path_count == IL_CLI_MANY) {
            return false;
        }
        o->cli.cli.plugins[o->cli.cli.run.plugin_path_count++] = optarg;
        return true;
    }
}

/* -1: go on, else the exit code. */
static int parse(options *o, int argc, char **argv)
{
    int option;

    memset(o, 0, sizeof *o);
    o->layer = o->feature = -1;
    o->tolerance = IL_VERIFY_TOLERANCE;
    o->tokens = "all";
    o->convention = IL_CONVENTION;
    o->model = "";
    optind = 1;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        const char **text = text_of(o, option);

        if (option == HELP) {
            fputs(usage, stdout);
            return 0;
        }
        if (option == '?') {
            fputs(usage, stderr);
            return 2;
        }
        if (text != NULL) {
            *text = optarg;
        } else if (!take_number(o, option)) {
            return il_detector_wrong(usage, "not a number that fits: ", optarg);
        }
    }
    if (optind >= argc || optind + 2 < argc || o->out == NULL) {
        return il_detector_wrong(usage, "expected a path and --out", "");
    }
    o->format = optind + 2 == argc ? argv[optind] : NULL;
    o->path = argv[argc - 1];
    if (o->accept != NULL && strcmp(o->accept, "reconstruction") != 0) {
        return il_detector_wrong(usage, "--accept: expected reconstruction, got ",
                                 o->accept);
    }
    if (strlen(o->model) >= IL_HASH_HEX) {
        return il_detector_wrong(usage, "--model: not a hash: ", o->model);
    }
    return -1;
}

static il_status read_format(const options *o, il_foreign_format *out, il_error *err)
{
    *out = IL_FOREIGN_ANY;
    if (o->format == NULL) {
        return IL_OK;
    }
    for (int i = IL_FOREIGN_SAELENS; il_foreign_name((il_foreign_format)i) != NULL;
         i++) {
        if (strcmp(o->format, il_foreign_name((il_foreign_format)i)) == 0) {
            *out = (il_foreign_format)i;
            return IL_OK;
        }
    }
    return il_error_set(err, IL_ERR_INPUT, o->format,
                        "expected a format: saelens, sparsify, gemma_scope, probe or "
                        "gguf");
}

/* ---- one detector --------------------------------------------------------------- */

/* All that is imported at once, which is kept only when all of it is well. */
typedef struct imported {
    const options *o;
    il_detector_desk *desk;
    il_foreign *foreign;
    il_adopted **made; /* [count] */
    char **paths;      /* [count] where they go */
    size_t count;
    /* The user's rows; NULL without. */
    float *rows, *expected;
    int64_t row_count, expected_width;
} imported;

/* `text` with the layer in place of {layer}; malloc'ed, NULL when memory is out. */
static char *with_layer(const char *text, int64_t layer)
{
    static const char mark[] = "{layer}";
    il_text out = {0};
    const char *at;

    while ((at = strstr(text, mark)) != NULL) {
        il_text_add_bytes(&out, text, (size_t)(at - text));
        il_text_addf(&out, "%" PRId64, layer);
        text = at + sizeof mark - 1;
    }
    il_text_add(&out, text);
    if (out.failed) {
        il_text_free(&out);
        return NULL;
    }
    return out.data;
}

/* The site of a layer: what the user says, else what the file says. */
static il_status find_site(const imported *im, int64_t layer, char **out, il_error *err)
{
    const char *said = im->foreign->dictionary.site;
    const char *text = im->o->site != NULL ? im->o->site
                       : said != NULL      ? said
                       : im->foreign->format == IL_FOREIGN_GGUF
                           ? "blocks.{layer}.hook_resid_post"
                           : NULL;

    if (text == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "--site",
                            "the file does not say what it reads: name the site");
    }
    *out = with_layer(text, layer);
    if (*out == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "import", "out of memory");
    }
    if (im->o->site != NULL && said != NULL && strcmp(said, *out) != 0) {
        il_text_addf(&im->foreign->said, "it is taken to read %s instead\n", *out);
    }
    return IL_OK;
}

/* The last part of a path: what a file keeps says nothing of folders here. */
static const char *last_of(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;

    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

/* Where it comes from, for the file. */
static json_t *origin_of(const imported *im)
{
    const il_foreign *f = im->foreign;
    const char *model = f->is_dictionary ? f->dictionary.model : f->directions.model;
    json_t *json = json_pack("{s:s, s:s}", "format", il_foreign_name(f->format), "name",
                             last_of(im->o->path));

    if (json != NULL && model != NULL) {
        json_object_set_new(json, "model", json_string(model));
    }
    if (json != NULL && f->dictionary.metadata != NULL) {
        json_object_set(json, "metadata", f->dictionary.metadata);
    }
    return json;
}

static il_status verify_by(const imported *im, const il_adopted *a, il_evidence e,
                           il_error *err)
{
    e.tolerance = im->o->tolerance;
    e.lenient = im->o->accept != NULL;
    return il_verify(a, im->desk->blas, &e, &im->foreign->said, err);
}

/* By the rows that came with it and by the user's. */
static il_status verify(const imported *im, const il_adopted *a, il_error *err)
{
    il_foreign *f = im->foreign;
    il_evidence own = {.from = im->o->path,
                       .name = "the file",
                       .count = f->row_count,
                       .rows = f->rows,
                       .features = f->features,
                       .output = f->output,
                       .scores = f->scores};
    il_evidence given = {.from = im->o->verify,
                         .name = last_of(im->o->verify),
                         .count = im->row_count,
                         .rows = im->rows};

    if (f->is_dictionary) {
        IL_TRY(il_verify_component(a, &f->dictionary, im->desk->blas, &f->said, err));
    }
    if (im->expected != NULL && im->expected_width == 1) {
        given.scores = im->expected;
    } else if (im->expected != NULL && im->expected_width == f->dictionary.features) {
        given.features = im->expected;
    } else if (im->expected != NULL) {
        given.output = im->expected;
    }
    if (f->rows != NULL) {
        IL_TRY(verify_by(im, a, own, err));
    }
    if (im->rows != NULL) {
        IL_TRY(verify_by(im, a, given, err));
    }
    if (f->rows == NULL && im->rows == NULL) {
        il_text_add(&f->said,
                    "there were no activations to verify it on: --verify names "
                    "some\n");
    }
    return IL_OK;
}

static il_status make_one(imported *im, const il_direction *direction, il_error *err)
{
    const options *o = im->o;
    const il_foreign *f = im->foreign;
    char *site = NULL;
    json_t *origin = origin_of(im);
    il_adopt_input in = {.registry = im->desk->registry,
                         .use = o->use != NULL     ? o->use
                                : f->is_dictionary ? "sae"
                                                   : "linear_probe",
                         .convention = o->convention,
                         .tokens = o->tokens,
                         .model = o->model,
                         .feature = o->feature,
                         .origin = origin,
                         .log = im->desk->log};
    il_status status =
        find_site(im, direction != NULL ? direction->layer : 0, &site, err);

    in.site = site;
    if (status == IL_OK) {
        status = f->is_dictionary
                     ? il_adopt_dictionary(&im->made[im->count], &f->dictionary, &in,
                                           &im->desk->problems, err)
                     : il_adopt_direction(&im->made[im->count], direction,
                                          f->directions.steers, &in,
                                          &im->desk->problems, err);
    }
    if (status == IL_OK) {
        im->count++;
        im->paths[im->count - 1] =
            with_layer(o->out, direction != NULL ? direction->layer : 0);
        status = im->paths[im->count - 1] != NULL
                     ? verify(im, im->made[im->count - 1], err)
                     : il_error_set(err, IL_ERR_MEMORY, "import", "out of memory");
    }
    if (status == IL_OK) { /* the file says how it was verified */
        json_object_set_new(origin, "said", json_string(f->said.data));
    }
    json_decref(origin);
    free(site);
    return status;
}

/* ---- all of them ---------------------------------------------------------------- */

static il_status make_directions(imported *im, il_error *err)
{
    const il_directions *all = &im->foreign->directions;
    int64_t layer = im->o->layer;
    size_t taken = 0;

    for (size_t i = 0; i < all->count; i++) {
        taken += layer < 0 || all->items[i].layer == layer;
    }
    if (taken == 0) {
        return il_error_set(err, IL_ERR_INPUT, "--layer",
                            "the file has no layer %" PRId64, layer);
    }
    if (taken > 1 && strstr(im->o->out, "{layer}") == NULL) {
        return il_error_set(err, IL_ERR_INPUT, "--out",
                            "the file has %zu layers: pick one by --layer, or write "
                            "{layer} where its number goes",
                            taken);
    }
    if (taken > 1 && im->o->site != NULL && strstr(im->o->site, "{layer}") == NULL) {
        return il_error_set(
            err, IL_ERR_INPUT, "--site",
            "the file has %zu layers, which do not read one site: write "
            "{layer} where the number goes",
            taken);
    }
    for (size_t i = 0; i < all->count; i++) {
        if (layer < 0 || all->items[i].layer == layer) {
            IL_TRY(make_one(im, &all->items[i], err));
        }
    }
    return IL_OK;
}

static il_status read_rows(imported *im, il_error *err)
{
    const il_foreign *f = im->foreign;
    int64_t width =
        f->is_dictionary ? f->dictionary.width : f->directions.items[0].width;
    int64_t count = 0;

    if (im->o->verify == NULL) {
        return im->o->expect == NULL
                   ? IL_OK
                   : il_error_set(err, IL_ERR_INPUT, "--expect",
                                  "expected --verify as well: of which rows?");
    }
    IL_TRY(il_rows_read(im->o->verify, &width, &im->rows, &im->row_count, err));
    if (im->o->expect == NULL) {
        return IL_OK;
    }
    IL_TRY(
        il_rows_read(im->o->expect, &im->expected_width, &im->expected, &count, err));
    width = im->expected_width;
    if (count != im->row_count ||
        (f->is_dictionary ? width != f->dictionary.features &&
                                width != f->dictionary.width && width != 1
                          : width != 1)) {
        return il_error_set(err, IL_ERR_INPUT, im->o->expect,
                            "expected %" PRId64
                            " rows of scores, features or reconstructions, got %" PRId64
                            " of %" PRId64,
                            im->row_count, count, width);
    }
    return IL_OK;
}

static il_status make_all(imported *im, il_error *err)
{
    size_t count = im->foreign->is_dictionary ? 1 : im->foreign->directions.count;

    if ((im->o->feature >= 0 || im->o->scale > 0) && !im->foreign->is_dictionary) {
        return il_error_set(err, IL_ERR_INPUT,
                            im->o->feature >= 0 ? "--feature" : "--scale",
                            "the file holds no dictionary");
    }
    if (im->o->scale > 0) {
        il_dictionary_scale_input(&im->foreign->dictionary, im->o->scale);
        il_text_addf(&im->foreign->said, "the factor %g is folded into the weights\n",
                     im->o->scale);
    }
    im->made = calloc(count + 1, sizeof *im->made);
    im->paths = calloc(count + 1, sizeof *im->paths);
    if (im->made == NULL || im->paths == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "import", "out of memory");
    }
    IL_TRY(read_rows(im, err));
    return im->foreign->is_dictionary ? make_one(im, NULL, err)
                                      : make_directions(im, err);
}

/* Only when every one of them is well is any written. */
static il_status import(imported *im, il_error *err)
{
    il_foreign_format format = IL_FOREIGN_ANY;

    IL_TRY(read_format(im->o, &format, err));
    IL_TRY(il_foreign_open(&im->foreign, im->o->path, format, err));
    IL_TRY(make_all(im, err));
    for (size_t i = 0; i < im->count; i++) {
        IL_TRY(il_adopted_write(im->made[i], im->paths[i], err));
    }
    return IL_OK;
}

static void show(const imported *im, il_status status)
{
    const il_text *said = im->foreign != NULL ? &im->foreign->said : NULL;

    if (said != NULL && said->data != NULL) {
        fputs(said->data, status == IL_OK ? stdout : stderr);
    }
    if (status == IL_OK && im->foreign->is_dictionary && im->o->feature < 0) {
        puts(
            "its logit reads no feature: --feature names one, and a detector with `of` "
            "reads them all");
    }
    for (size_t i = 0; status == IL_OK && i < im->count; i++) {
        printf("wrote %s: %s on %s\n", im->paths[i],
               im->made[i]->detector->instance->offer->id,
               im->made[i]->detector->spec->sites.items[0]);
    }
}

static void let_go(imported *im)
{
    for (size_t i = 0; i < im->count; i++) {
        il_adopted_close(im->made[i]);
        free(im->paths[i]);
    }
    free(im->made);
    free(im->paths);
    free(im->rows);
    free(im->expected);
    il_foreign_close(im->foreign);
}

int il_detector_import_verb(int argc, char **argv)
{
    options o;
    il_detector_desk desk;
    imported im = {.o = &o, .desk = &desk};
    il_error err = {0};
    il_status status;
    int code = parse(&o, argc, argv);

    if (code >= 0) {
        return code;
    }
    status = il_detector_desk_open(&desk, &o.cli, &err);
    if (status == IL_OK) {
        status = import(&im, &err);
    }
    show(&im, status);
    code = status == IL_OK ? 0 : il_detector_desk_fail(&desk, status, &err);
    let_go(&im);
    il_detector_desk_close(&desk);
    return code;
}
