/* Times the training step, or the update, of a pipeline's first stage against what the
 * processor multiplies at best.
 *
 *   bench_step PIPELINE ROUNDS FOLDER...     (the folders hold plugins)
 *
 * Each round times one product of 1024 x 1024 matrices on one core, one step with one
 * worker and one with two, right after each other; of all rounds the fastest of each
 * counts, so that a busy neighbour spoils as little as it can. A step's operations are
 * those of its matrix products, attention as whole squares, backward as twice forward;
 * everything else that it does costs time and counts for nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "base/files.h"
#include "loop/trainer.h"
#include "pipeline/jobs.h"
#include "plugin/registry.h"

/* A stage evaluates its monitors at every tenth step. */
enum { SQUARE = 1024, WORKERS = 2, WARM = 2, WATCH_EVERY = 10 };

static double clock_seconds(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

static double time_product(const il_blas *blas, float *a, float *b, float *c)
{
    double start = now();

    il_blas_gemm(blas, false, false, SQUARE, SQUARE, SQUARE, 1, a, SQUARE, b, SQUARE, 0,
                 c, SQUARE);
    return now() - start;
}

/* The matrices of a model that multiply activations: every parameter of two dimensions
 * but the tables that rows are taken from. */
static double step_operations(const il_world *w, int64_t batch)
{
    const il_store *store = w->model->store;
    int64_t context = 0;
    double weights = 0;
    double squares = 0;

    for (size_t i = 0; i < w->facts.count; i++) {
        if (strcmp(w->facts.items[i].name, "context") == 0) {
            context = w->facts.items[i].value;
        }
    }
    for (size_t i = 0; i < store->count; i++) {
        const il_stored *p = &store->items[i];

        if (p->ndim != 2 || strstr(p->name, "embed.W_") == p->name ||
            strstr(p->name, "pos_embed.W_") == p->name) {
            continue;
        }
        weights += (double)p->count;
        if (strstr(p->name, "W_QKV") != NULL) {
            squares += (double)p->shape[1] * (double)context; /* scores, once */
        }
    }
    return 3 * 2 * (weights + 2 * squares) * (double)context * (double)batch;
}

typedef struct bench {
    il_log *log;
    il_registry *registry;
    const il_blas *blas;
    il_document *document;
    il_jobs jobs;
    il_pool *pools[WORKERS];
    il_world *worlds[WORKERS];
    il_trainer *trainers[WORKERS];
    float *matrices[3];
} bench;

static il_status make(bench *b, int argc, char **argv, il_problems *problems,
                      il_error *err)
{
    b->log = il_log_create();
    IL_TRY(il_registry_create(&b->registry, b->log, err));
    for (int i = 3; i < argc; i++) {
        IL_TRY(il_registry_add_folder(b->registry, argv[i], true, err));
    }
    IL_TRY(il_blas_open(&b->blas, false, err));
    IL_TRY(il_document_load(&b->document, argv[1], NULL, 0, problems, err));
    IL_TRY(il_problems_status(problems, err));
    IL_TRY(il_jobs_list(&b->jobs, b->document, NULL, problems, err));
    for (int i = 0; i < 3; i++) {
        b->matrices[i] = calloc((size_t)SQUARE * SQUARE, sizeof(float));
        if (b->matrices[i] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "bench_step", "out of memory");
        }
        for (int j = 0; j < SQUARE * SQUARE; j++) {
            b->matrices[i][j] = (float)(j % 97) * 0.01f;
        }
    }
    return IL_OK;
}

/* The trainer with i + 1 workers, a few steps old. */
static il_status make_trainer(bench *b, int i, il_problems *problems, il_error *err)
{
    const il_job *job = &b->jobs.items[0];
    il_host host = {.registry = b->registry, .blas = b->blas, .log = b->log};

    IL_TRY(il_pool_create(&b->pools[i], i + 1, err));
    host.pool = b->pools[i];
    IL_TRY(
        il_world_create(&b->worlds[i], &host, job->pipeline, job->seed, problems, err));
    IL_TRY(il_trainer_create(&b->trainers[i], b->worlds[i], job->chain[0].spec, 0,
                             problems, err));
    il_trainer_start(b->trainers[i]);
    for (int step = 0; step < WARM; step++) {
        IL_TRY(il_trainer_step(b->trainers[i], false, err));
    }
    return IL_OK;
}

static double peak_mebibytes(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1024 : 0;
}

static void unmake(bench *b)
{
    for (int i = 0; i < WORKERS; i++) {
        il_trainer_destroy(b->trainers[i]);
        il_world_destroy(b->worlds[i]);
        il_pool_destroy(b->pools[i]);
    }
    for (int i = 0; i < 3; i++) {
        free(b->matrices[i]);
    }
    il_document_destroy(b->document);
    il_registry_destroy(b->registry);
    il_log_destroy(b->log);
}

/* The positions of a step, and activations at the first detector's site for all of
 * them: what the tap leaves on a step's tape, put there by hand. */
typedef struct tapped {
    il_pass *pass;
    il_scored rows;
    float *acts;
    int64_t width;
} tapped;

static il_status tap(tapped *t, const bench *b, int64_t batch, il_error *err)
{
    const il_world *w = b->worlds[0];
    int64_t context = 0;
    int64_t n;

    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < w->facts.count; i++) {
        if (strcmp(w->facts.items[i].name, "context") == 0) {
            context = w->facts.items[i].value;
        }
    }
    n = batch * context;
    if (w->detector_count == 0 || w->detectors[0]->site_count != 1 || n == 0) {
        return IL_OK; /* nothing reads a step here */
    }
    t->width = w->detectors[0]->widths[0];
    t->acts = calloc((size_t)(n * t->width), sizeof *t->acts);
    t->rows = (il_scored){.batch = batch, .length = context, .count = n};
    t->rows.rows = calloc((size_t)n, sizeof *t->rows.rows);
    if (t->acts == NULL || t->rows.rows == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "bench_step", "out of memory");
    }
    for (int64_t i = 0; i < n; i++) {
        t->rows.rows[i] = (int32_t)i;
    }
    for (int64_t i = 0; i < n * t->width; i++) {
        t->acts[i] = (float)(i % 89) * 0.01f;
    }
    return il_pass_create(&t->pass, b->blas, 0, err);
}

static void untap(tapped *t)
{
    il_pass_destroy(t->pass);
    free(t->acts);
    free(t->rows.rows);
}

/* Seconds that the detector takes for all positions of a step. */
static il_status time_probe(tapped *t, const bench *b, double *took, il_error *err)
{
    double start = now();
    il_tensor *acts;

    il_pass_begin(t->pass);
    acts = il_pass_borrow(t->pass, IL_SHAPE(t->rows.batch, t->rows.length, t->width),
                          t->acts);
    (void)il_detector_score(b->worlds[0]->detectors[0], t->pass, &t->rows, &acts, false,
                            -1);
    *took = now() - start;
    return il_pass_status(t->pass, err);
}

static il_status measure(bench *b, int rounds, double peak, il_error *err)
{
    const double product = 2.0 * SQUARE * SQUARE * SQUARE;
    const il_train_spec *train = &b->jobs.items[0].chain[0].spec->train;
    double operations = step_operations(b->worlds[0], train->batch);
    const char *what = train->updates > 0 ? "update" : "step";
    double best_product = 1e9;
    double best[WORKERS] = {1e9, 1e9};
    double processor[WORKERS] = {1e9, 1e9}; /* time of all threads together */
    double watched = 1e9;
    double probed = 1e9;
    tapped t;

    IL_TRY(tap(&t, b, train->batch, err));
    for (int round = 0; round < rounds; round++) {
        double took =
            time_product(b->blas, b->matrices[0], b->matrices[1], b->matrices[2]);

        best_product = took < best_product ? took : best_product;
        for (int i = 0; i < WORKERS; i++) {
            double start;
            double worked;

            /* A run takes update after update, so one goes before: it finds the memory
             * of its own and wakes the workers, which a step of 50 ms would not notice.
             */
            if (train->updates > 0) {
                IL_TRY(il_trainer_step(b->trainers[i], false, err));
            }
            start = now();
            worked = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);

            IL_TRY(il_trainer_step(b->trainers[i], false, err));
            took = now() - start;
            worked = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - worked;
            best[i] = took < best[i] ? took : best[i];
            processor[i] = worked < processor[i] ? worked : processor[i];
        }
        if (train->updates > 0) {
            IL_TRY(il_trainer_step(b->trainers[0], false, err));
        }
        double start = now();

        IL_TRY(il_trainer_step(b->trainers[0], true, err));
        took = now() - start;
        watched = took < watched ? took : watched;
        if (t.pass != NULL) {
            IL_TRY(time_probe(&t, b, &took, err));
            probed = took < probed ? took : probed;
        }
    }
    printf("%s: %s, %s\n", b->jobs.items[0].pipeline->name, il_blas_kernel(b->blas),
           il_blas_version(b->blas));
    printf("  product of 1024      %8.1f Gflop/s on one core\n",
           product / best_product * 1e-9);
    for (int i = 0; i < WORKERS; i++) {
        printf("  %s, %d worker%s %8.2f ms", what, i + 1, i == 0 ? " " : "s",
               best[i] * 1e3);
        if (train->updates == 0) {
            printf(" %8.1f Gflop/s, %.2f of the product's", operations / best[i] * 1e-9,
                   operations / best[i] * best_product / product);
        }
        printf("\n");
    }
    printf("  second worker        %8.2f times one\n", best[0] / best[1]);
    printf("  processor time       %8.2f ms with one worker, %.2f ms with two\n",
           processor[0] * 1e3, processor[1] * 1e3);
    printf("  watched              %8.2f ms, %+.1f%% on all steps when one in %d is\n",
           watched * 1e3, 100 * (watched / best[0] - 1) / WATCH_EVERY, WATCH_EVERY);
    if (t.pass != NULL) {
        printf("  probe on a tap       %8.3f ms, %.2f%% of a step with one worker: %s "
               "on %lld positions of %lld channels\n",
               probed * 1e3, 100 * probed / best[0],
               b->worlds[0]->detectors[0]->spec->component.use, (long long)t.rows.count,
               (long long)t.width);
    }
    untap(&t);
    printf("  peak memory          %8.1f MiB with one worker\n", peak);
    return IL_OK;
}

int main(int argc, char **argv)
{
    il_problems problems = {.arena = il_arena_create(0)};
    bench b = {0};
    il_error err = {0};
    double peak = 0;
    int rounds = argc > 2 ? atoi(argv[2]) : 0;
    il_status status;

    if (argc < 4 || rounds < 1) {
        fprintf(stderr, "usage: bench_step PIPELINE ROUNDS FOLDER...\n");
        return 2;
    }
    status = make(&b, argc, argv, &problems, &err);
    if (status == IL_OK) {
        status = make_trainer(&b, 0, &problems, &err);
        peak = peak_mebibytes();
    }
    if (status == IL_OK) {
        status = make_trainer(&b, 1, &problems, &err);
    }
    if (status == IL_OK) {
        status = measure(&b, rounds, peak, &err);
    }
    if (status != IL_OK) {
        fprintf(stderr, "bench_step: %s: %s\n", err.where, err.message);
    }
    unmake(&b);
    il_arena_destroy(problems.arena);
    return status == IL_OK ? 0 : 1;
}
