/* Times a model that answers an environment's prompts on one core.
 *
 *   bench_sample PIPELINE ROUNDS ROWS FOLDER...     (the folders hold plugins)
 *
 * Every round draws ROWS answers, once with a prompt for each of them and once with
 * sixteen to a prompt; of all rounds the one with the most tokens a second counts. Only
 * tokens that were drawn are counted: no prompts, no padding. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "episode/episodes.h"
#include "loop/world.h"
#include "pipeline/batch.h"
#include "plugin/registry.h"

enum { WARM = 2 };

typedef struct bench {
    il_log *log;
    il_registry *registry;
    il_document *document;
    il_jobs jobs;
    il_pool *pool;
    il_world *world;
    il_pass *pass;
    il_arena *scratch;
    il_batch *batch;
} bench;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static il_status make(bench *b, int argc, char **argv, il_problems *problems,
                      il_error *err)
{
    il_host host = {0};

    b->log = il_log_create();
    b->scratch = il_arena_create(1 << 20);
    IL_TRY(il_registry_create(&b->registry, b->log, err));
    for (int i = 4; i < argc; i++) {
        IL_TRY(il_registry_add_folder(b->registry, argv[i], true, err));
    }
    IL_TRY(il_document_load(&b->document, argv[1], NULL, 0, problems, err));
    IL_TRY(il_problems_status(problems, err));
    IL_TRY(il_jobs_list(&b->jobs, b->document, NULL, problems, err));
    IL_TRY(il_pool_create(&b->pool, 1, err));
    host = (il_host){.registry = b->registry, .pool = b->pool, .log = b->log};
    IL_TRY(il_blas_open(&host.blas, false, err));
    IL_TRY(il_world_create(&b->world, &host, b->jobs.items[0].pipeline,
                           b->jobs.items[0].seed, problems, err));
    IL_TRY(il_batch_create(&b->batch, err));
    return il_pass_create(&b->pass, host.blas, 0, err);
}

static void unmake(bench *b)
{
    il_batch_destroy(b->batch);
    il_pass_destroy(b->pass);
    il_world_destroy(b->world);
    il_pool_destroy(b->pool);
    il_document_destroy(b->document);
    il_registry_destroy(b->registry);
    il_arena_destroy(b->scratch);
    il_log_destroy(b->log);
}

/* Tokens drawn into the batch. */
static double drawn(const il_batch *batch)
{
    const il_tensor *acted = il_batch_find(batch, "acted");
    double count = 0;

    for (int64_t i = 0; i < il_count(acted); i++) {
        count += il_u8(acted)[i];
    }
    return count;
}

static il_status measure(bench *b, int64_t group, int rounds, int64_t rows,
                         il_error *err)
{
    il_rollout r = {.environment = b->world->environment,
                    .model = b->world->model,
                    .values = b->world->values,
                    .policy = -1,
                    .group = group,
                    .sampled_site = -1,
                    .seed = 1};
    double best = 0;

    for (int round = 0; round < rounds + WARM; round++) {
        double start = now();
        double rate;

        r.step = (uint64_t)round;
        IL_TRY(il_rollout_fill(&r, 0, rows, b->pass, b->scratch, b->batch, err));
        rate = drawn(b->batch) / (now() - start);
        if (round >= WARM && rate > best) {
            best = rate;
        }
    }
    printf("  answers, %2lld to a prompt %10.0f tokens/s\n", (long long)group, best);
    return IL_OK;
}

int main(int argc, char **argv)
{
    il_problems problems = {.arena = il_arena_create(0)};
    bench b = {0};
    il_error err = {0};
    int rounds = argc > 3 ? atoi(argv[2]) : 0;
    int rows = argc > 3 ? atoi(argv[3]) : 0;
    il_status status;

    if (argc < 5 || rounds < 1 || rows < 1) {
        fprintf(stderr, "usage: bench_sample PIPELINE ROUNDS ROWS FOLDER...\n");
        return 2;
    }
    status = make(&b, argc, argv, &problems, &err);
    if (status == IL_OK) {
        printf("%s: %d answers at once, one core\n", b.jobs.items[0].pipeline->name,
               rows);
        status = measure(&b, 1, rounds, rows, &err);
    }
    if (status == IL_OK) {
        status = measure(&b, 16, rounds, rows, &err);
    }
    if (status != IL_OK) {
        fprintf(stderr, "bench_sample: %s: %s\n", err.where, err.message);
    }
    unmake(&b);
    il_arena_destroy(problems.arena);
    return status == IL_OK ? 0 : 1;
}
