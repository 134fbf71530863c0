/* Times a folder of weights: until it is a model, until its weights were all read, its
 * hash, and a pass over a prompt.
 *
 *   bench_hf FOLDER ROUNDS TOKENS PLUGINS
 *
 * Prints the fastest of each in milliseconds, a line each. TOKENS 0: no pass. */
#include "pipeline/batch.h"
#include "pipeline/composer.h"
#include "pipeline/instance.h"
#include "base/threads.h"
#include "tensor/pass.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What is timed. */
typedef struct bench {
    il_registry *registry;
    il_arena *arena;
    il_problems problems;
    const char *folder;
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

/* The sum of all weights, so that every one of them is read. */
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

/* A prompt each for two workers. */
enum { WORKERS = 2 };
typedef struct prompts {
    const bench *b;
    il_pass *pass[WORKERS];
    il_batch *batch[WORKERS];
    il_scope scope;
} prompts;

static void pass_over(void *user, int task, int worker)
{
    prompts *p = user;
    il_pass *pass = p->pass[task];

    (void)worker;
    il_pass_begin(pass);
    il_pass_enter(pass, &p->scope);
    il_instance_model(p->b->model)->forward(p->b->model->self, pass, p->batch[task]);
    il_pass_leave(pass);
    (void)il_pass_output(pass, "logits");
}

static il_status prompts_run(const bench *b, int32_t tokens, int rounds, double *best,
                             il_error *err)
{
    const il_blas *blas = NULL;
    const il_store *store = b->model->store;
    const float **values = calloc(store->count, sizeof *values);
    prompts p = {
        .b = b,
        .scope = {.label = "model", .store = store, .values = values, .first_bit = -1}};
    il_pool *pool = NULL;
    il_status status = il_blas_open(&blas, false, err);

    for (size_t i = 0; values != NULL && i < store->count; i++) {
        values[i] = store->values + store->items[i].offset;
    }
    if (status == IL_OK) {
        status = il_pool_create(&pool, WORKERS, err);
    }
    for (int i = 0; status == IL_OK && i < WORKERS; i++) {
        int32_t *data;

        IL_TRY(il_pass_create(&p.pass[i], blas, 1, err));
        IL_TRY(il_batch_create(&p.batch[i], err));
        il_batch_reset(p.batch[i], 1);
        data = il_batch_add(p.batch[i], "tokens", IL_I32, IL_SHAPE(1, tokens));
        for (int32_t k = 0; data != NULL && k < tokens; k++) {
            data[k] = (k + i) * 7 % 1000;
        }
    }
    for (int i = 0; status == IL_OK && i <= rounds; i++) {
        double start = now();

        il_pool_run(pool, WORKERS, pass_over, &p);
        start = now() - start;
        *best = start < *best ? start : *best;
        status = il_pass_status(p.pass[0], err);
    }
    for (int i = 0; i < WORKERS; i++) {
        il_pass_destroy(p.pass[i]);
        il_batch_destroy(p.batch[i]);
    }
    il_pool_destroy(pool);
    free(values);
    return status;
}

static il_status measure(bench *b, int rounds, int32_t tokens, il_error *err)
{
    double loaded = 1e9;
    double whole = 1e9;
    double hashed = 1e9;
    double passed = 1e9;
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
        if (tokens > 0) {
            IL_TRY(prompts_run(b, tokens, rounds, &passed, err));
            printf("  two prompts of %d tokens, two workers %8.2f ms\n", (int)tokens,
                   passed * 1e3);
            return IL_OK;
        }
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
    status = il_registry_create(&b.registry, NULL, &err);
    if (status == IL_OK) {
        status = il_registry_add_folder(b.registry, argv[4], true, &err);
    }
    if (status == IL_OK) {
        status = measure(&b, atoi(argv[2]), atoi(argv[3]), &err);
    }
    if (status != IL_OK) {
        fprintf(stderr, "bench_hf: %s: %s\n", err.where, err.message);
    }
    il_instance_destroy(b.model);
    il_registry_destroy(b.registry);
    il_arena_destroy(b.arena);
    return status == IL_OK ? 0 : 1;
}
