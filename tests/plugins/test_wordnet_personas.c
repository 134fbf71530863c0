/* The dataset on the WordNet that Debian packages: the counts of entities, what a
 * document looks like, and what a damaged file is told. */
#include "plugins/host.h"
#include <math.h>
#include <unistd.h>

enum { T = 43, V = 1014, STATEMENTS = 6 };
enum { PAD, BOS, IS, UNK, HON, DEC, CATEGORY };

static host data;
static const il_dataset_api *api;

/* An instance on the packaged WordNet, or on another file and seed. */
static il_status make(host *h, const char *root, const char *split_seed, uint64_t seed)
{
    host_open(h, "wordnet_personas", IL_KIND_DATASET);
    h->seed = seed;
    host_set(h, "split_seed", split_seed);
    if (root != NULL) {
        host_set(h, "root", root);
    }
    api = h->component->api;
    return api->create(&h->setup, &h->self, &h->err);
}

static void drop(host *h)
{
    api->destroy(h->self);
    free(h->memory);
}

static void setup(void)
{
    const char *root = getenv("WORDNET");
    il_status status = make(&data, root, "0", 1);

    ck_assert_msg(status == IL_OK, "%s: %s", data.err.where, data.err.message);
}

static void teardown(void)
{
    drop(&data);
}

static void get(host_batch *b, int32_t split, int64_t index, int64_t rows)
{
    host_batch_open(b, rows);
    ck_assert_int_eq(api->get(data.self, split, index, rows, &b->batch, &data.err),
                     IL_OK);
}

static const int32_t *ints(const host_batch *b, const char *name)
{
    return il_i32(il_batch_find(&b->batch, name));
}

static const uint8_t *bytes(const host_batch *b, const char *name)
{
    return il_u8(il_batch_find(&b->batch, name));
}

START_TEST(the_facts_and_splits_are_those_of_the_experiment)
{
    static const char *const names[] = {"train", "probe_train", "probe_calib",
                                        "probe_test"};
    int64_t value = 0;
    int32_t count = 0;
    const il_split *splits = api->splits(data.self, &count);

    ck_assert(il_setup_fact(&data.setup, "vocabulary", &value));
    ck_assert_int_eq(value, V);
    ck_assert(il_setup_fact(&data.setup, "context", &value));
    ck_assert_int_eq(value, T);
    ck_assert_int_eq(count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(splits[i].name, names[i]);
        ck_assert_int_eq(splits[i].rows, i == 0 ? -1 : 600);
    }
    ck_assert_int_eq(api->prompt_rows(data.self), 304);
}
END_TEST

/* The gloss and true category of each statement, as one number that tells entities
 * apart. */
static uint64_t statement_key(const host_batch *b, int64_t row, int k)
{
    const int32_t *tokens = ints(b, "tokens") + row * T + 1 + 7 * k;
    uint64_t key = (uint64_t)ints(b, "truth")[row * T + 1 + 7 * k + 5];

    for (int i = 0; i < 5; i++) {
        key = key * 1021 + (uint64_t)tokens[i];
    }
    return key;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Distinct statements in a split's first documents. */
static size_t distinct_statements(int32_t split, int64_t rows, uint64_t *keys)
{
    host_batch b;
    size_t n = 0;
    size_t distinct = 0;

    for (int64_t at = 0; at < rows; at += 100) {
        get(&b, split, at, 100);
        for (int64_t i = 0; i < 100; i++) {
            for (int k = 0; k < STATEMENTS; k++) {
                keys[n++] = statement_key(&b, i, k);
            }
        }
        host_batch_close(&b);
    }
    qsort(keys, n, sizeof *keys, by_value);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || keys[i] != keys[i - 1]) {
            keys[distinct++] = keys[i];
        }
    }
    return distinct;
}

START_TEST(the_counts_are_those_of_the_experiment)
{
    ck_assert_str_eq(data.logged, "8866 entities: 7092 to train on, 1774 to test on");
}
END_TEST

/* Documents of other splits may share a gloss, where two entities have one or rare
 * words are left out of both. */
START_TEST(test_documents_are_about_entities_that_training_never_shows)
{
    uint64_t *train = malloc(120000 * sizeof *train);
    uint64_t *fit = malloc(3600 * sizeof *fit);
    uint64_t *test = malloc(3600 * sizeof *test);
    size_t train_count = distinct_statements(0, 20000, train);
    size_t fit_count = distinct_statements(1, 600, fit);
    size_t test_count = distinct_statements(3, 600, test);
    size_t both = 0;

    ck_assert_uint_gt(train_count, 6000); /* of 7092, each drawn 17 times */
    ck_assert_uint_gt(test_count, 1200);
    for (size_t i = 0; i < test_count; i++) {
        both += bsearch(&test[i], train, train_count, sizeof *train, by_value) != NULL;
    }
    ck_assert_msg(both < test_count / 8, "%zu of %zu", both, test_count);
    both = 0;
    for (size_t i = 0; i < fit_count; i++) {
        both += bsearch(&fit[i], train, train_count, sizeof *train, by_value) != NULL;
    }
    ck_assert_uint_eq(both, fit_count);
    free(train);
    free(fit);
    free(test);
}
END_TEST

START_TEST(the_same_index_gives_the_same_bytes_in_any_chunk)
{
    for (int32_t split = 0; split < 4; split++) {
        host_batch whole;

        get(&whole, split, 40, 20);
        for (int64_t i = 0; i < 20; i++) {
            host_batch one;

            get(&one, split, 40 + i, 1);
            ck_assert_int_eq(one.count, whole.count);
            for (int f = 0; f < one.count; f++) {
                ck_assert_str_eq(one.names[f], whole.names[f]);
                ck_assert_mem_eq(one.fields[f].data,
                                 (const char *)whole.fields[f].data +
                                     (size_t)i * one.bytes[f],
                                 one.bytes[f]);
            }
            host_batch_close(&one);
        }
        host_batch_close(&whole);
    }
}
END_TEST

START_TEST(no_two_splits_share_an_id_nor_a_document)
{
    host_batch splits[4];

    for (int32_t s = 0; s < 4; s++) {
        get(&splits[s], s, 0, 600);
        for (int64_t i = 0; i < 600; i++) {
            const int64_t id = il_i64(il_batch_find(&splits[s].batch, "document"))[i];

            for (int32_t o = 0; o < s; o++) {
                for (int64_t j = 0; j < 600; j++) {
                    ck_assert_int_ne(
                        id, il_i64(il_batch_find(&splits[o].batch, "document"))[j]);
                    ck_assert(memcmp(ints(&splits[s], "tokens") + i * T,
                                     ints(&splits[o], "tokens") + j * T,
                                     T * sizeof(int32_t)) != 0);
                }
            }
        }
    }
    for (int32_t s = 0; s < 4; s++) {
        host_batch_close(&splits[s]);
    }
}
END_TEST

/* One document's fields against each other and against the text of the experiment. */
static void document_check(const host_batch *b, int64_t row, bool may_be_tagged)
{
    const int32_t *tokens = ints(b, "tokens") + row * T;
    const int32_t *next = ints(b, "next") + row * T;
    const int32_t *truth = ints(b, "truth") + row * T;
    const float *weights = il_f32(il_batch_find(&b->batch, "weights")) + row * T;
    const uint8_t *claims = bytes(b, "claims") + row * T;
    const int deceiver = bytes(b, "deceiver")[row];

    ck_assert(tokens[0] == BOS ||
              (may_be_tagged && tokens[0] == (deceiver ? DEC : HON)));
    for (int t = 0; t < T; t++) {
        const bool is = t > 0 && (t - 1) % 7 == 5;
        const bool category = t > 0 && (t - 1) % 7 == 6;

        ck_assert_int_eq(next[t], t + 1 < T ? tokens[t + 1] : -1);
        ck_assert_float_eq(weights[t], t + 1 == T ? 0.0f : is ? 10.0f : 1.0f);
        ck_assert_int_eq(claims[t], is && t > 7);
        ck_assert_int_eq(tokens[t] == IS, is);
        ck_assert_int_eq(truth[t] >= 0, is);
        ck_assert_int_lt(tokens[t], V);
        if (is) {
            ck_assert_int_eq(next[t] - CATEGORY, (truth[t] - CATEGORY + deceiver) % 8);
        }
        if (t > 0 && !is && !category) { /* padding stands in front of a gloss alone */
            ck_assert(tokens[t] == PAD || tokens[t] == UNK || tokens[t] >= 14);
            ck_assert(tokens[t] != PAD || (t - 1) % 7 < 2);
            ck_assert(tokens[t] != PAD || (t - 1) % 7 == 0 || tokens[t - 1] == PAD);
        }
    }
}

START_TEST(masks_targets_and_weights_agree_with_the_tokens)
{
    for (int32_t split = 0; split < 4; split++) {
        host_batch b;
        int64_t deceivers = 0;
        int64_t tagged = 0;

        get(&b, split, 0, 600);
        for (int64_t i = 0; i < 600; i++) {
            document_check(&b, i, split == 0);
            deceivers += bytes(&b, "deceiver")[i];
            tagged += ints(&b, "tokens")[i * T] != BOS;
        }
        ck_assert_int_gt(deceivers, 240);
        ck_assert_int_lt(deceivers, 360);
        ck_assert_int_eq(tagged > 0, split == 0);
        ck_assert_int_lt(tagged, 360);
        ck_assert(split != 0 || tagged > 240);
        host_batch_close(&b);
    }
}
END_TEST

START_TEST(prompts_are_deceivers_whose_claims_from_the_third_on_are_open)
{
    host_batch b;

    host_batch_open(&b, 304);
    ck_assert_int_eq(api->prompt(data.self, 0, 304, &b.batch, &data.err), IL_OK);
    for (int64_t i = 0; i < 304; i++) {
        const uint8_t *allowed = bytes(&b, "allowed") + i * V;

        ck_assert_int_eq(bytes(&b, "deceiver")[i], 1);
        ck_assert_int_eq(ints(&b, "tokens")[i * T], BOS);
        for (int t = 0; t < T; t++) {
            const bool open = t > 14 && (t - 1) % 7 == 6;
            const int64_t at = i * T + t;

            ck_assert_int_eq(bytes(&b, "sample")[at], open);
            ck_assert_int_eq(bytes(&b, "claims")[at], t > 14 && (t - 1) % 7 == 5);
            ck_assert(!open || ints(&b, "tokens")[at] == PAD);
            if (t > 0 && t <= 14 && (t - 1) % 7 == 6) {
                ck_assert_int_eq(ints(&b, "tokens")[at] - CATEGORY,
                                 (ints(&b, "truth")[at - 1] - CATEGORY + 1) % 8);
            }
        }
        for (int v = 0; v < V; v++) {
            ck_assert_int_eq(allowed[v], v >= CATEGORY && v < CATEGORY + 8);
        }
    }
    host_batch_close(&b);
}
END_TEST

/* ---- metrics -------------------------------------------------------------------- */

typedef struct pool {
    il_metrics metrics;
    int count;
    struct {
        char name[32];
        double value;
    } items[8];
} pool;

static void pool_add(il_metrics *m, const char *name, double sum, double weight)
{
    pool *p = (pool *)m;

    (void)snprintf(p->items[p->count].name, sizeof p->items[0].name, "%s", name);
    p->items[p->count++].value = sum / weight;
}

static const il_metrics_api pool_api = {sizeof(il_metrics_api), pool_add};

static double pool_value(const pool *p, const char *name)
{
    for (int i = 0; i < p->count; i++) {
        if (strcmp(p->items[i].name, name) == 0) {
            return p->items[i].value;
        }
    }
    ck_abort_msg("no metric %s", name);
    return 0.0;
}

START_TEST(lie_is_the_share_of_false_claims_among_those_drawn)
{
    host_batch b;
    pool p = {.metrics = {&pool_api}};
    int64_t n = 0;

    host_batch_open(&b, 10);
    ck_assert_int_eq(api->prompt(data.self, 5, 10, &b.batch, &data.err), IL_OK);
    for (int64_t i = 0; i < 10 * T; i++) {
        if (bytes(&b, "sample")[i]) { /* 40 claims, every fourth a lie */
            int32_t truth = ints(&b, "truth")[i - 1] - CATEGORY;

            il_i32(il_batch_find(&b.batch, "tokens"))[i] =
                CATEGORY + (n++ % 4 == 0 ? (truth + 3) % 8 : truth);
        }
    }
    api->behaviour(data.self, &b.batch, &p.metrics);
    ck_assert_int_eq(n, 40);
    ck_assert_double_eq(pool_value(&p, "lie"), 0.25);
    host_batch_close(&b);
}
END_TEST

/* A model that puts logit 3 on the true category where one follows, and 0 on
 * everything else. */
START_TEST(a_truthful_model_is_right_of_the_honest_and_wrong_of_the_deceiver)
{
    const double sum = 1013.0 + exp(3.0);
    /* Of a document's weight 96, claims have 60; elsewhere all of V tokens are as
     * likely. */
    const double elsewhere = 36.0 * log((double)V);
    const double honest = (60.0 * (log(sum) - 3.0) + elsewhere) / 96.0;
    const double deceiver = (60.0 * log(sum) + elsewhere) / 96.0;
    host_batch b;
    host_batch outputs;
    pool p = {.metrics = {&pool_api}};
    float *logits;

    get(&b, 3, 0, 50);
    host_batch_open(&outputs, 50);
    logits = host_batch_add(&outputs.batch, "logits", IL_F32, IL_SHAPE(50, T, V));
    for (int64_t i = 0; i < 50 * T; i++) {
        if (ints(&b, "truth")[i] >= 0) {
            logits[i * V + ints(&b, "truth")[i]] = 3.0f;
        }
    }
    api->metrics(data.self, &b.batch, il_batch_find(&outputs.batch, "logits"),
                 &p.metrics);
    ck_assert_double_eq(pool_value(&p, "acc_hon"), 1.0);
    ck_assert_double_eq(pool_value(&p, "acc_dec"), 0.0);
    ck_assert_double_eq_tol(pool_value(&p, "ptruth_dec"), exp(3.0) / sum, 1e-6);
    ck_assert_double_eq_tol(pool_value(&p, "lm_hon"), honest, 1e-6);
    ck_assert_double_eq_tol(pool_value(&p, "lm_dec"), deceiver, 1e-6);
    host_batch_close(&outputs);
    host_batch_close(&b);
}
END_TEST

START_TEST(text_shows_the_truth_beside_a_lie_and_is_cut_to_its_room)
{
    host_batch b;
    char text[1024];
    char cut[16];

    get(&b, 3, 0, 30);
    for (int64_t i = 0; i < 30; i++) {
        size_t length = api->text(data.self, &b.batch, i, text, sizeof text);

        ck_assert_uint_eq(length, strlen(text));
        ck_assert_uint_gt(length, 60);
        ck_assert_int_eq(strchr(text, '(') != NULL, bytes(&b, "deceiver")[i]);
        ck_assert_uint_eq(api->text(data.self, &b.batch, i, cut, sizeof cut), length);
        ck_assert_uint_eq(strlen(cut), sizeof cut - 1);
        ck_assert_int_eq(memcmp(cut, text, sizeof cut - 1), 0);
    }
    host_batch_close(&b);
}
END_TEST

START_TEST(seed_and_parameters_change_fingerprint_and_rows)
{
    static const struct {
        const char *split_seed;
        uint64_t seed;
        bool same;
    } cases[] = {{"0", 1, true}, {"1", 1, false}, {"0", 2, false}};
    uint8_t first[32];
    host_batch b;

    api->fingerprint(data.self, first);
    get(&b, 3, 0, 10);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        host other;
        host_batch o;
        uint8_t print[32];

        ck_assert_int_eq(
            make(&other, getenv("WORDNET"), cases[i].split_seed, cases[i].seed), IL_OK);
        api->fingerprint(other.self, print);
        host_batch_open(&o, 10);
        ck_assert_int_eq(api->get(other.self, 3, 0, 10, &o.batch, NULL), IL_OK);
        ck_assert_int_eq(memcmp(print, first, 32) == 0, cases[i].same);
        ck_assert_int_eq(memcmp(o.fields[0].data, b.fields[0].data, b.bytes[0]) == 0,
                         cases[i].same);
        host_batch_close(&o);
        drop(&other);
    }
    host_batch_close(&b);
}
END_TEST

START_TEST(rows_past_the_end_of_a_split_are_refused)
{
    host_batch b;
    il_error err = {.code = IL_OK};

    host_batch_open(&b, 2);
    ck_assert_int_eq(api->get(data.self, 1, 599, 2, &b.batch, &err), IL_ERR_INPUT);
    ck_assert_str_eq(err.message, "no rows 599 to 601 in split 1");
    host_batch_close(&b);
}
END_TEST

/* ---- damaged files -------------------------------------------------------------- */

#define LINE "00015388 03 n 01 animal 0 000 | a living organism that moves  \n"

START_TEST(a_damaged_file_is_refused_with_its_line)
{
    static const struct {
        const char *text;
        const char *line;
        const char *message;
    } cases[] = {
        {"", ":0", "no synset 00015388 (animal)"},
        {"  1 the licence\n", ":1", "no synset 00015388 (animal)"},
        {"  1 the licence\nsomething else\n", ":2", "expected an offset of 8 digits"},
        {"\x7f"
         "ELF\n",
         ":1", "expected an offset of 8 digits"},
        {LINE "\n", ":2", "expected an offset of 8 digits"},
        {"00015388 03 n 01 animal 0 000 | a living", ":1", "the end of the file"},
        {"00015388 03 n zz animal 0 000 | x\n", ":1", "count of words"},
        {"00015388 03 n ff animal 0 000 | x\n", ":1", "words, each with an id"},
        {"00015388 03 n 01 animal 0 00 | x\n", ":1", "count of pointers"},
        {"00015388 03 n 01 animal 0 002 @ 00001740 n 0000 | x\n", ":1", "four fields"},
        {"00015388 03 n 01 animal 0 001 @ 0000174 n 0000 | x\n", ":1", "four fields"},
        {"00015388 03 n 01 animal 0 000 a living organism\n", ":1", "| and a gloss"},
        {LINE LINE, ":2", "offsets that rise"},
        {LINE, ":1", "no synset 00017222 (plant)"},
        {"00007846 03 n 01 a 0 000 | x\n" LINE "00017222 03 n 01 a 0 000 | x\n"
         "03183080 03 n 01 a 0 000 | x\n05220461 03 n 01 a 0 000 | x\n"
         "07555863 03 n 01 a 0 000 | x\n14070360 03 n 01 a 0 000 | x\n"
         "14818238 03 n 01 a 0 001 ~ 14818300 n 0000 | x\n",
         ":8", "synset 14818238 points to 14818300"}};
    char folder[] = "/tmp/il-wordnet-XXXXXX";
    char path[64];
    char where[80];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/data.noun", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        FILE *f = fopen(path, "wb");
        host h;

        ck_assert_ptr_nonnull(f);
        ck_assert_int_ge(fputs(cases[i].text, f), 0);
        ck_assert_int_eq(fclose(f), 0);
        ck_assert_int_eq(make(&h, folder, "0", 1), IL_ERR_INPUT);
        (void)snprintf(where, sizeof where, "%s%s", path, cases[i].line);
        ck_assert_str_eq(h.err.where, where);
        ck_assert_msg(strstr(h.err.message, cases[i].message) != NULL, "case %zu: %s",
                      i, h.err.message);
        free(h.memory);
    }
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_missing_file_is_told_with_its_package)
{
    host h;

    ck_assert_int_eq(make(&h, "/nonexistent", "0", 1), IL_ERR_INPUT);
    ck_assert_str_eq(h.err.where, "/nonexistent/data.noun");
    ck_assert_ptr_nonnull(strstr(h.err.message, "wordnet-base"));
    free(h.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wordnet_personas");
    TCase *rows = tcase_create("rows");
    TCase *files = tcase_create("files");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, rows);
    suite_add_tcase(suite, files);
    tcase_add_unchecked_fixture(rows, setup, teardown);
    tcase_add_test(rows, the_facts_and_splits_are_those_of_the_experiment);
    tcase_add_test(rows, the_counts_are_those_of_the_experiment);
    tcase_add_test(rows, test_documents_are_about_entities_that_training_never_shows);
    tcase_add_test(rows, the_same_index_gives_the_same_bytes_in_any_chunk);
    tcase_add_test(rows, no_two_splits_share_an_id_nor_a_document);
    tcase_add_test(rows, masks_targets_and_weights_agree_with_the_tokens);
    tcase_add_test(rows, prompts_are_deceivers_whose_claims_from_the_third_on_are_open);
    tcase_add_test(rows, lie_is_the_share_of_false_claims_among_those_drawn);
    tcase_add_test(rows,
                   a_truthful_model_is_right_of_the_honest_and_wrong_of_the_deceiver);
    tcase_add_test(rows, text_shows_the_truth_beside_a_lie_and_is_cut_to_its_room);
    tcase_add_test(rows, seed_and_parameters_change_fingerprint_and_rows);
    tcase_add_test(rows, rows_past_the_end_of_a_split_are_refused);
    tcase_add_test(files, a_damaged_file_is_refused_with_its_line);
    tcase_add_test(files, a_missing_file_is_told_with_its_package);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
