/* interloop sweep plan: what a pipeline would run, before it does. */
#include "verbs.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/stage.h"
#include "session.h"

static const char usage[] =
    "usage: interloop sweep plan PIPELINE [--all] [--json] [OPTION]...\n"
    "\n"
    "  Lists the stages of a pipeline with the jobs that each has over variants, points of\n"
    "  the sweep and seeds, how many results those have in common, how many are there\n"
    "  already, and how many steps are left to train. Runs nothing.\n"
    "\n"
    "  --all               every job with its result's address, and the jobs that are\n"
    "                      scheduled to compare others with\n"
    "  --json              prints JSON\n";

/* A world whose instances several jobs share: those with the same components and
 * seed. */
typedef struct shared_world {
    char *key;
    il_world *world;
} shared_world;

enum { WORLDS = 16 };

typedef struct planner {
    il_session session;
    il_stage_host host;
    shared_world worlds[WORLDS];
    size_t next; /* the one to be replaced */
    json_t *jobs;
    json_t *addresses; /* of the jobs so far, as keys */
} planner;

/* What decides the identities of a job's instances; malloc'ed, NULL when memory is
 * out. */
static char *world_key(const il_job *job)
{
    static const char *const parts[] = {"model", "data", "environment", "detectors",
                                        "references"};
    il_text text = {0};

    il_text_addf(&text, "%llu", (unsigned long long)job->seed);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const il_node *part = il_node_get(job->document, parts[i]);

        il_text_add(&text, ";");
        if (part != NULL) {
            il_node_write_canonical(&text, part);
        }
    }
    if (text.failed) {
        il_text_free(&text);
    }
    return text.data;
}

static il_status world_of(planner *p, const il_job *job, il_world **out, il_error *err)
{
    il_host host = il_session_host(&p->session);
    char *key = world_key(job);
    shared_world *place = &p->worlds[p->next];
    il_status status;

    if (key == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, job->stage, "out of memory");
    }
    for (size_t i = 0; i < WORLDS; i++) {
        if (p->worlds[i].key != NULL && strcmp(p->worlds[i].key, key) == 0) {
            *out = p->worlds[i].world;
            free(key);
            return IL_OK;
        }
    }
    host.log = NULL; /* nothing runs: what instances have to say can wait */
    il_world_destroy(place->world);
    free(place->key);
    place->world = NULL;
    place->key = key;
    status = il_world_create(&place->world, &host, job->pipeline, job->seed,
                             &p->session.problems, err);
    if (status != IL_OK) {
        free(place->key);
        place->key = NULL;
        return status;
    }
    p->next = (p->next + 1) % WORLDS;
    *out = place->world;
    return IL_OK;
}

static json_t *point_json(const il_job *job)
{
    json_t *point = json_object();

    for (size_t i = 0; i < job->point_count; i++) {
        il_text text = {0};

        il_node_write_canonical(&text, job->point[i].value);
        (void)json_object_set_new(point, job->point[i].path,
                                  text.data != NULL
                                      ? json_loads(text.data, JSON_DECODE_ANY, NULL)
                                      : json_null());
        il_text_free(&text);
    }
    return point;
}

/* What the job is to others, where it is something. */
static void add_role(json_t *entry, const il_job *job)
{
    if (il_role_name(job->role) != NULL) {
        (void)json_object_set_new(entry, "role", json_string(il_role_name(job->role)));
    }
    if (job->twin != NULL) {
        (void)json_object_set_new(entry, "twin", json_string(job->twin));
    }
    if (job->scheduled != NULL) {
        (void)json_object_set_new(entry, "scheduled", json_string(job->scheduled));
    }
    if (job->without != NULL) {
        (void)json_object_set_new(entry, "without", json_string(job->without));
    }
}

static il_status plan_job(planner *p, const il_job *job, il_error *err)
{
    const il_stage_spec *spec = job->chain[job->chain_count - 1].spec;
    char address[IL_HASH_HEX];
    il_world *world = NULL;
    bool there;
    bool shared;
    char *folder;

    IL_TRY(world_of(p, job, &world, err));
    IL_TRY(il_stage_address(&p->host, world, job, job->chain_count - 1, address, err));
    folder = il_state_folder(p->host.runs, address);
    if (folder == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, job->stage, "out of memory");
    }
    there = il_state_exists(folder, IL_STATE_RESULT);
    free(folder);
    shared = json_object_get(p->addresses, address) != NULL;
    (void)json_object_set_new(p->addresses, address, json_true());
    (void)json_array_append_new(
        p->jobs,
        json_pack("{s:s, s:s, s:I, s:o, s:s, s:b, s:b, s:I}", "stage", job->stage,
                  "variant", job->variant, "seed", (json_int_t)job->seed, "point",
                  point_json(job), "address", address, "there", there, "shared", shared,
                  "steps",
                  (json_int_t)(spec->train.given ? il_train_length(&spec->train) : 0)));
    add_role(json_array_get(p->jobs, json_array_size(p->jobs) - 1), job);
    return IL_OK;
}

/* Whether an earlier job of the list has the same result. */
static bool is_shared(const json_t *job)
{
    return json_is_true(json_object_get(job, "shared"));
}

typedef struct totals {
    size_t jobs, results, there;
    long long steps;
} totals;

static void count_job(totals *t, const json_t *job)
{
    bool there = json_is_true(json_object_get(job, "there"));

    t->jobs++;
    if (!is_shared(job)) {
        t->results++;
        t->there += there;
        t->steps += there ? 0 : json_integer_value(json_object_get(job, "steps"));
    }
}

static void print_totals(const char *name, const totals *t)
{
    printf("%-24s %6zu %8zu %6zu %6zu %12lld\n", name, t->jobs, t->results, t->there,
           t->results - t->there, t->steps);
}

static void print_plan(const json_t *jobs, bool all)
{
    json_t *told = json_object(); /* stages, as keys */
    totals whole = {0};

    for (size_t i = 0; all && i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *variant = json_string_value(json_object_get(job, "variant"));

        printf("%-7s %.12s %s%s%s, seed %lld%s\n",
               json_is_true(json_object_get(job, "there")) ? "there"
               : is_shared(job)                            ? "shared"
                                                           : "to run",
               json_string_value(json_object_get(job, "address")),
               json_string_value(json_object_get(job, "stage")),
               variant[0] != '\0' ? "/" : "", variant,
               (long long)json_integer_value(json_object_get(job, "seed")),
               json_object_get(job, "scheduled") != NULL ? ", scheduled" : "");
    }
    printf("%s%-24s %6s %8s %6s %6s %12s\n", all ? "\n" : "", "stage", "jobs",
           "results", "there", "to run", "steps left");
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *stage = json_string_value(json_object_get(job, "stage"));
        totals t = {0};

        count_job(&whole, job);
        if (json_object_get(told, stage) != NULL) {
            continue;
        }
        (void)json_object_set_new(told, stage, json_true());
        for (size_t k = i; k < json_array_size(jobs); k++) {
            const json_t *other = json_array_get(jobs, k);

            if (strcmp(stage, json_string_value(json_object_get(other, "stage"))) ==
                0) {
                count_job(&t, other);
            }
        }
        print_totals(stage, &t);
    }
    json_decref(told);
    print_totals("all", &whole);
}

static int plan(const il_cli *cli, bool all, bool json)
{
    planner p = {.jobs = json_array(), .addresses = json_object()};
    il_error err = {0};
    int code = 0;
    il_status status = il_session_open(&p.session, &cli->run, &err);

    p.host.host = il_session_host(&p.session);
    p.host.runs = cli->run.runs;
    p.host.numerics = p.session.numerics;
    for (size_t i = 0; status == IL_OK && i < p.session.jobs.count; i++) {
        status = plan_job(&p, &p.session.jobs.items[i], &err);
    }
    if (status != IL_OK) {
        code = il_cli_fail(&p.session, status, &err);
    } else if (json) {
        code = json_dumpf(p.jobs, stdout, JSON_INDENT(1)) == 0 ? 0 : 1;
        putchar('\n');
    } else {
        print_plan(p.jobs, all);
    }
    for (size_t i = 0; i < WORLDS; i++) {
        il_world_destroy(p.worlds[i].world);
        free(p.worlds[i].key);
    }
    json_decref(p.jobs);
    json_decref(p.addresses);
    il_session_close(&p.session);
    return code;
}

/* Takes a flag of our own out of the words; whether it was there. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
            (*argc)--;
            return true;
        }
    }
    return false;
}

int il_verb_sweep(int argc, char **argv)
{
    il_cli cli;
    bool all = take_flag(&argc, argv, "--all");
    bool json = take_flag(&argc, argv, "--json");
    bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
    int code;

    if (!help && (argc < 2 || strcmp(argv[1], "plan") != 0)) {
        fprintf(stderr, "interloop sweep: expected plan, found %s\n%s",
                argc > 1 ? argv[1] : "nothing", usage);
        return 2;
    }
    code = il_cli_parse(&cli, help ? argc : argc - 1, help ? argv : argv + 1, usage);
    return code >= 0 ? code : plan(&cli, all, json);
}
