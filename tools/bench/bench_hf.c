/* Times a folder of weights: until it is a model, until its weights were all read, its
 * hash; or, with TOKENS above 0, passes over prompts of so many.
 *
 *   bench_hf FOLDER ROUNDS TOKENS PLUGINS
 *
 * Prints the fastest of each in milliseconds, a line each. */
#include "pipeline/batch.h"
#include "pipeline/composer.h"
#include "pipeline/instance.h"
#include "base/threads.h"
#include "tensor/pass.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* What is timed. */
typedef struct bench {
    il_registry *registry;
    il_arena *arena;
    il_problems problems;
    const char *folder;
    int tokens; /* of a prompt */
    const il_blas *blas;
    il_instance *model;
} bench;

static il_status load(bench *b, il_error *err)
{
    il_component_spec spec = {.use = "hf_decoder", .range = ""};
    il_instance_input in = {.label = "model", .seed = 1};
    const char *yaml = il_arena_printf(b->arena, "{folder: \"%s\"}", b->folder);

    spec.params = il_compose(b->arena, "bench", yaml, strlen(yaml), &b->problems);
    return il_instance_create(&b->model, b->registry, IL_KIND_MODEL, &spec, &in,
                              &b->problems, err);
}

/* A sum over all weights that has one of every page. */
static double read_all(const il_instance *model)
{
    const il_store *s = model->store;
    double sum = 0.0;

    for (size_t i = 0; i < s->count; i++) {
        const float *v = s->values + s->items[i].offset;

        for (int64_t k = 0; k < s->items[i].count; k += 1024) { /* every page */
            sum += (double)v[k];
        }
    }
    return sum;
}

/* Seconds that a pass takes, and that processors are busy with it, at the least: over
 * prompts of so many tokens, shared by workers. */
static il_status time_prompts(const bench *b, int prompts, int workers, int rounds,
                              double best[2], il_error *err)
{
    const il_store *store = b->model->store;
    const il_model_api *model = il_instance_model(b->model);
    const float **values = calloc(store->count, sizeof *values);
    il_scope scope = {
        .label = "model", .store = store, .values = values, .first_bit = -1};
    il_pass *pass = NULL;
    il_batch *batch = NULL;
    il_pool *pool = NULL;
    int32_t *data = NULL;
    il_status status = il_pool_create(&pool, workers, err);

    for (size_t i = 0; values != NULL && i < store->count; i++) {
        values[i] = store->values + store->items[i].offset;
    }
    if (status == IL_OK) {
        status = il_pass_create(&pass, b->blas, 1, err);
    }
    if (status == IL_OK) {
        status = il_batch_create(&batch, err);
    }
    if (status == IL_OK) {
        il_batch_reset(batch, prompts);
        data = il_batch_add(batch, "tokens", IL_I32, IL_SHAPE(prompts, b->tokens));
        il_pass_team(pass, pool);
    }
    for (int k = 0; data != NULL && k < prompts * b->tokens; k++) {
        data[k] = (k % b->tokens + k / b->tokens) * 7 % 1000;
    }
    for (int i = 0; status == IL_OK && i <= rounds; i++) {
        double start = now();
        double busy = read_clock(CLOCK_PROCESS_CPUTIME_ID);

        il_pass_begin(pass);
        il_pass_enter(pass, &scope);
        model->forward(b->model->self, pass, batch);
        il_pass_leave(pass);
        (void)il_pass_output(pass, "logits");
        start = now() - start;
        busy = read_clock(CLOCK_PROCESS_CPUTIME_ID) - busy;
        best[0] = i > 0 && start < best[0] ? start : best[0];
        best[1] = i > 0 && busy < best[1] ? busy : best[1];
        status = il_pass_status(pass, err);
    }
    il_pass_destroy(pass);
    il_batch_destroy(batch);
    il_pool_destroy(pool);
    free(values);
    return status;
}

/* One prompt and two, by one worker and by two. */
static il_status measure_prompts(bench *b, int rounds, il_error *err)
{
    IL_TRY(il_blas_open(&b->blas, false, err));
    IL_TRY(load(b, err));
    for (int i = 0; i < 4; i++) {
        const int prompts = 1 + i / 2;
        const int workers = 1 + i % 2;
        double best[2] = {1e9, 1e9};

        IL_TRY(time_prompts(b, prompts, workers, rounds, best, err));
        printf(
            "  here, prompts: %d of %d tokens, workers: %d (busy %.0f ms) %8.2f ms\n",
            prompts, b->tokens, workers, best[1] * 1e3, best[0] * 1e3);
    }
    return IL_OK;
}

static il_status measure_loading(bench *b, int rounds, il_error *err)
{
    double loaded = 1e9;
    double whole = 1e9;
    double hashed = 1e9;
    double sum = 0.0;

    for (int i = 0; i < rounds; i++) {
        const char *address;
        double start = now();
        double took;

        IL_TRY(load(b, err));
        took = now() - start;
        loaded = took < loaded ? took : loaded;
        sum += read_all(b->model);
        took = now() - start;
        whole = took < whole ? took : whole;
        start = now();
        IL_TRY(il_instance_address(b->model, &address, err));
        took = now() - start;
        hashed = took < hashed ? took : hashed;
        il_instance_destroy(b->model);
        b->model = NULL;
    }
    printf(
        "  loaded %8.2f ms, every page read %8.2f ms; hashed for an address %8.2f ms "
        "(%g)\n",
        loaded * 1e3, whole * 1e3, hashed * 1e3, sum);
    return IL_OK;
}

int main(int argc, char **argv)
{
    bench b = {.arena = il_arena_create(0)};
    il_error err = {0};
    il_status status;

    if (argc != 5 || atoi(argv[2]) < 1) {
        fprintf(stderr, "usage: bench_hf FOLDER ROUNDS TOKENS PLUGINS\n");
        return 2;
    }
    b.problems.arena = b.arena;
    b.folder = argv[1];
    b.tokens = atoi(argv[3]);
    status = il_registry_create(&b.registry, NULL, &err);
    if (status == IL_OK) {
        status = il_registry_add_folder(b.registry, argv[4], true, &err);
    }
    if (status == IL_OK) {
        status = b.tokens > 0 ? measure_prompts(&b, atoi(argv[2]), &err)
                              : measure_loading(&b, atoi(argv[2]), &err);
    }
    if (status != IL_OK) {
        fprintf(stderr, "bench_hf: %s: %s\n", err.where, err.message);
    }
    il_instance_destroy(b.model);
    il_registry_destroy(b.registry);
    il_arena_destroy(b.arena);
    return status == IL_OK ? 0 : 1;
}
