/* Times the training of a TopK sparse autoencoder on rows on disk.
 *
 *   bench_sae FILE ROWS WIDTH FEATURES K BATCH STEPS PLUGINS
 *
 * FILE is that of sae_torch.py, ROWS of WIDTH. Leaves beside it what that script needs
 * to do the same: FILE.order, which row each place of each batch is, and FILE.start,
 * scale, b_dec and W_dec. Prints the time of the fastest step with one
 * worker and with two, and the loss of a few steps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "detect/dictionary.h"
#include "plugin/registry.h"

typedef struct bench {
    il_log *log;
    il_registry *registry;
    il_arena *arena;
    const il_blas *blas;
    const char *file;
    int64_t rows, width, features, k, batch, steps;
    float *x;
    double *losses;
    double last, best; /* the end of the last step, and the fastest */
    il_error err;
} bench;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static il_status make_instance(bench *b, il_instance **out)
{
    il_problems problems = {.arena = b->arena};
    il_component_spec spec = {.use = "sae", .range = ""};
    il_instance_input in = {
        .label = "sae", .seed = 1, .site_widths = &b->width, .site_count = 1};
    il_node *map = il_node_map(b->arena, (il_place){0});
    const struct {
        const char *name;
        int64_t value;
    } params[] = {{"features", b->features}, {"k", b->k}};

    for (size_t i = 0; i < 2; i++) {
        const char *text =
            il_arena_printf(b->arena, "%lld", (long long)params[i].value);

        if (!il_node_put(b->arena, map, params[i].name, (il_place){0},
                         il_node_scalar(b->arena, text, false, (il_place){0}))) {
            return il_error_set(&b->err, IL_ERR_MEMORY, "bench", "out of memory");
        }
    }
    spec.params = map;
    return il_instance_create(out, b->registry, IL_KIND_DETECTOR, &spec, &in, &problems,
                              &b->err);
}

/* The time between two steps' ends is a step's. */
static void told(void *listener, int64_t step, double loss)
{
    bench *b = listener;
    double time = now();

    b->losses[step] = loss;
    if (step > 0 && time - b->last < b->best) {
        b->best = time - b->last;
    }
    b->last = time;
}

/* The fastest step, in seconds. */
static il_status time_steps(bench *b, int workers, double *best)
{
    il_dictionary_fit fit = {.blas = b->blas,
                             .seed = 1,
                             .steps = b->steps,
                             .batch = b->batch,
                             .lr = 1e-3,
                             .warmup = 0,
                             .decay = 0,
                             .told = told,
                             .listener = b};
    il_dictionary_fitted fitted = {0};
    il_instance *i = NULL;
    il_status status;

    b->best = 1e9;
    IL_TRY(il_pool_create(&fit.pool, workers, &b->err));
    status = make_instance(b, &i);
    if (status == IL_OK) {
        status =
            il_dictionary_learn(i, b->x, b->rows, &b->width, 1, &fit, &fitted, &b->err);
    }
    il_instance_destroy(i);
    il_pool_destroy(fit.pool);
    *best = b->best;
    return status;
}

static bool put(const char *file, const char *end, const void *data, size_t size,
                size_t count, const char *mode)
{
    char path[512];
    FILE *out;
    bool done;

    (void)snprintf(path, sizeof path, "%s%s", file, end);
    out = fopen(path, mode);
    done = out != NULL && fwrite(data, size, count, out) == count;
    return out != NULL && fclose(out) == 0 && done;
}

/* The order of rows, and what the first step begins with. */
static il_status leave_start(bench *b)
{
    int64_t places = b->steps * b->batch;
    int64_t *order = malloc((size_t)places * sizeof *order);
    il_instance *i = NULL;
    static const char *const parts[] = {"scale", "b_dec", "W_dec"};
    bool done = order != NULL;

    if (done) {
        il_dictionary_order(1, b->rows, 0, places, order);
        done = put(b->file, ".order", order, sizeof *order, (size_t)places, "wb");
    }
    free(order);
    IL_TRY(make_instance(b, &i));
    IL_TRY(il_dictionary_start(i, b->x, b->rows, &b->width, 1, &b->err));
    for (size_t k = 0; done && k < 3; k++) {
        const il_stored *item = &i->store->items[il_store_find(i->store, parts[k])];

        done = put(b->file, ".start", i->store->values + item->offset, sizeof(float),
                   (size_t)item->count, k == 0 ? "wb" : "ab");
    }
    il_instance_destroy(i);
    return done ? IL_OK
                : il_error_set(&b->err, IL_ERR_IO, b->file, "cannot write beside it");
}

static il_status bench_run(bench *b)
{
    const int64_t some[] = {0, b->steps / 4, b->steps / 2, b->steps - 1};

    IL_TRY(leave_start(b));
    for (int workers = 1; workers <= 2; workers++) {
        double best;

        IL_TRY(time_steps(b, workers, &best));
        printf("  autoencoder, %d worker%s %8.2f ms a step; loss", workers,
               workers > 1 ? "s" : "", 1e3 * best);
        for (size_t i = 0; i < 4; i++) {
            printf(" %.4f", b->losses[some[i]]);
        }
        printf("\n");
        (void)fflush(stdout);
    }
    return IL_OK;
}

int main(int argc, char **argv)
{
    bench b = {.err = {.code = IL_OK}};
    FILE *file = argc == 9 ? fopen(argv[1], "rb") : NULL;
    size_t cells;
    il_status status;

    if (file == NULL) {
        fprintf(stderr, "usage: bench_sae FILE ROWS WIDTH FEATURES K BATCH STEPS "
                        "PLUGINS\n");
        return 2;
    }
    b.file = argv[1];
    b.rows = strtoll(argv[2], NULL, 10);
    b.width = strtoll(argv[3], NULL, 10);
    b.features = strtoll(argv[4], NULL, 10);
    b.k = strtoll(argv[5], NULL, 10);
    b.batch = strtoll(argv[6], NULL, 10);
    b.steps = strtoll(argv[7], NULL, 10);
    cells = (size_t)(b.rows * b.width);
    b.x = malloc(cells * sizeof *b.x + 1);
    b.losses = calloc((size_t)b.steps + 1, sizeof *b.losses);
    b.log = il_log_create();
    b.arena = il_arena_create(1 << 14);
    if (b.x == NULL || b.losses == NULL || b.log == NULL || b.arena == NULL ||
        fread(b.x, sizeof *b.x, cells, file) != cells) {
        fprintf(stderr, "%s: expected %s rows of %s channels\n", argv[1], argv[2],
                argv[3]);
        return 1;
    }
    (void)fclose(file);
    status = il_blas_open(&b.blas, false, &b.err);
    if (status == IL_OK) {
        status = il_registry_create(&b.registry, b.log, &b.err);
    }
    if (status == IL_OK) {
        status = il_registry_add_folder(b.registry, argv[8], true, &b.err);
    }
    if (status == IL_OK) {
        status = bench_run(&b);
    }
    if (status != IL_OK) {
        fprintf(stderr, "%s: %s\n", b.err.where, b.err.message);
    }
    il_registry_destroy(b.registry);
    il_arena_destroy(b.arena);
    il_log_destroy(b.log);
    free(b.x);
    free(b.losses);
    return status == IL_OK ? 0 : 1;
}
