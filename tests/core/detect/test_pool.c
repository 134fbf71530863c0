/* Scores of sequences: pooling against its formulas, its gradients, and detectors that
 * are fitted, judged and alarm by the sequence. */
#include "composed.h"
#include "detect/pool.h"

enum { N = 11, UNITS = 3 };

/* Three sequences of 1, 7 and 3 positions. */
static int64_t first[UNITS + 1] = {0, 1, 8, 11};
static int32_t tokens[N] = {2, 10, 11, 12, 14, 15, 16, 18, 20, 21, 25};
static int32_t last[UNITS] = {2, 18, 25};
static const float logits[N] = {-0.5f, 0.2f,  1.5f, -2.0f, 1.25f, 0.75f,
                                3.0f,  -1.0f, 0.5f, 0.4f,  0.6f};
static const float keys[N] = {3.0f,  0.1f, -1.0f, 2.0f, 0.5f, 0.0f,
                              -0.5f, 1.0f, 0.3f,  0.2f, -0.1f};
static const il_pool_spec ways[] = {{.kind = IL_POOL_LAST},
                                    {.kind = IL_POOL_MEAN},
                                    {.kind = IL_POOL_MAX},
                                    {.kind = IL_POOL_TOP_K_MEAN, .k = 2},
                                    {.kind = IL_POOL_EMA_MAX, .decay = 0.6},
                                    {.kind = IL_POOL_ROLLING_MEAN_MAX, .window = 3},
                                    {.kind = IL_POOL_ATTENTION}};
enum { WAYS = sizeof ways / sizeof *ways };

static il_scored units(void)
{
    il_scored s = {.batch = 3,
                   .length = 10,
                   .count = UNITS,
                   .rows = last,
                   .first = first,
                   .tokens = tokens};

    return s;
}

/* ---- the long way --------------------------------------------------------------- */

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static double mean_of(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum / (double)n;
}

static double twin(const il_pool_spec *how, const float *x, const float *k, int64_t n)
{
    float sorted[N];
    double e = x[0];
    double most = e;
    double up = 0;
    double down = 0;

    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, descending);
    switch (how->kind) {
    case IL_POOL_LAST:
        return x[n - 1];
    case IL_POOL_MEAN:
        return mean_of(x, n);
    case IL_POOL_MAX:
        return sorted[0];
    case IL_POOL_TOP_K_MEAN:
        return mean_of(sorted, how->k < n ? how->k : n);
    case IL_POOL_EMA_MAX:
        for (int64_t t = 1; t < n; t++) {
            e = how->decay * e + (1 - how->decay) * x[t];
            most = fmax(most, e);
        }
        return most;
    case IL_POOL_ROLLING_MEAN_MAX:
        most = -1e30;
        for (int64_t t = 0; t == 0 || t + how->window <= n; t++) {
            most = fmax(most, mean_of(x + t, how->window < n ? how->window : n));
        }
        return most;
    default:
        for (int64_t t = 0; t < n; t++) {
            up += exp(k[t]) * x[t];
            down += exp(k[t]);
        }
        return up / down;
    }
}

/* ---- the op --------------------------------------------------------------------- */

/* Sum of (u - 0.7) y_u, with both inputs parameters of a store; gradients into `grads`
 * when that is not NULL. */
static double pooled(const il_pool_spec *how, il_store *store, float **grads,
                     float *out)
{
    const il_blas *blas = NULL;
    il_pass *pass = NULL;
    il_error err = {0};
    const float *values[2];
    il_scope scope = {
        .label = "test", .store = store, .values = values, .first_bit = 0};
    float seeds[UNITS] = {-0.7f, 0.3f, 1.3f};
    const float *seed = seeds;
    il_scored rows = units();
    il_tensor *y;
    il_word route = 3;
    double sum = 0;

    values[0] = store->values + store->items[0].offset;
    values[1] = store->values + store->items[1].offset;
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 2, &err), IL_OK);
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    y = il_pool_logits(pass, how, &rows, il_use(pass, (il_param){0}),
                       il_use(pass, (il_param){1}));
    il_pass_leave(pass);
    ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s", err.message);
    ck_assert_int_eq(il_count(y), UNITS);
    for (int u = 0; u < UNITS; u++) {
        sum += (double)seeds[u] * il_f32(y)[u];
        out[u] = il_f32(y)[u];
    }
    if (grads != NULL) {
        ck_assert_int_eq(il_pass_backward(pass, 1, &y, &seed, &route, grads, &err),
                         IL_OK);
    }
    il_pass_destroy(pass);
    return sum;
}

static il_store *inputs(void)
{
    il_store *store = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_store_create(&store, &err), IL_OK);
    (void)il_store_add(store, "x", "x", IL_SHAPE(N), IL_INIT_ZERO, &err);
    (void)il_store_add(store, "k", "k", IL_SHAPE(N), IL_INIT_ZERO, &err);
    ck_assert_int_eq(il_store_fill(store, 1, &err), IL_OK);
    memcpy(store->values + store->items[0].offset, logits, sizeof logits);
    memcpy(store->values + store->items[1].offset, keys, sizeof keys);
    return store;
}

START_TEST(each_pooling_is_its_formula)
{
    il_store *store = inputs();
    float y[UNITS];

    (void)pooled(&ways[_i], store, NULL, y);
    for (int u = 0; u < UNITS; u++) {
        ck_assert_double_eq_tol(y[u],
                                twin(&ways[_i], logits + first[u], keys + first[u],
                                     first[u + 1] - first[u]),
                                1e-6);
    }
    il_store_destroy(store);
}
END_TEST

START_TEST(each_pooling_passes_its_gradient_on)
{
    il_store *store = inputs();
    float grad[2][N] = {{0}};
    float *grads[] = {grad[0], grad[1]};
    float y[UNITS];

    (void)pooled(&ways[_i], store, grads, y);
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < N; i++) {
            float *x = store->values + store->items[which].offset + i;
            const float kept = *x;
            const float h = 1e-2f;
            double up;
            double down;

            *x = kept + h;
            up = pooled(&ways[_i], store, NULL, y);
            *x = kept - h;
            down = pooled(&ways[_i], store, NULL, y);
            *x = kept;
            ck_assert_double_eq_tol((up - down) / (2 * h), grad[which][i], 1e-3);
        }
    }
    il_store_destroy(store);
}
END_TEST

START_TEST(a_logit_that_is_no_number_is_not_pooled_away)
{
    il_store *store = inputs();
    float y[UNITS];

    store->values[store->items[0].offset + 3] = NAN;
    (void)pooled(&ways[_i], store, NULL, y);
    ck_assert(!isnan(y[0]));
    ck_assert(isnan(y[1]));
    ck_assert(!isnan(y[2]));
    il_store_destroy(store);
}
END_TEST

/* ---- rows ----------------------------------------------------------------------- */

START_TEST(a_sequence_without_a_scored_position_has_no_row_and_padding_is_never_read)
{
    il_batch *batch = NULL;
    il_arena *arena = il_arena_create(4096);
    il_error err = {0};
    il_scored_fields fields = {
        .input = "tokens", .tokens = "mask", .label = "lies", .pooled = true};
    static const uint8_t mask[3][4] = {{1, 0, 1, 1}, {0, 0, 0, 0}, {1, 1, 1, 1}};
    static const uint8_t lies[3][4] = {{0, 1, 0, 1}, {1, 1, 1, 1}, {0, 0, 1, 1}};
    static const int32_t lengths[3] = {3, 4, 2};
    il_scored s;

    ck_assert_int_eq(il_batch_create(&batch, &err), IL_OK);
    il_batch_reset(batch, 3);
    memset(il_batch_add(batch, "tokens", IL_I32, IL_SHAPE(3, 4)), 0, 48);
    memcpy(il_batch_add(batch, "mask", IL_U8, IL_SHAPE(3, 4)), mask, 12);
    memcpy(il_batch_add(batch, "lies", IL_U8, IL_SHAPE(3, 4)), lies, 12);
    memcpy(il_batch_add(batch, "lengths", IL_I32, IL_SHAPE(3)), lengths, 12);
    ck_assert_int_eq(il_scored_find(&s, batch, &fields, arena, &err), IL_OK);
    ck_assert_int_eq(s.count, 2);
    ck_assert_int_eq(s.rows[0], 2);
    ck_assert_int_eq(s.rows[1], 9);
    ck_assert_int_eq(s.documents[1], 2);
    ck_assert_int_eq(il_scored_first(&s, 1), 2);
    ck_assert_int_eq(il_scored_first(&s, 2), 4);
    /* Positions 3 of the first and 2 and 3 of the last are padding; what is positive
     * there makes no sequence positive. */
    ck_assert_int_eq(s.labels[0], 0);
    ck_assert_int_eq(s.labels[1], 0);
    il_batch_destroy(batch);
    il_arena_destroy(arena);
}
END_TEST

/* ---- detectors ------------------------------------------------------------------ */

static il_detector *pooling_probe(composed *c, const il_pool_spec *how, const char *use)
{
    il_detector_spec *s = spec_of(c, "pooled", use);

    s->pooling = *how;
    s->pooled = true;
    return made(c, s, NULL);
}

static void drawn(il_detector *d)
{
    il_rng r;

    il_rng_open(&r, 3, 0, IL_RNG_PLUGIN, 0, 0);
    for (int64_t i = 0; i < d->instance->store->total; i++) {
        d->instance->store->values[i] = il_rng_normal(&r);
    }
    d->fitted = true;
}

static const char *const kinds[] = {"linear_probe", "attention_probe"};

START_TEST(gradients_flow_through_a_pooled_score_to_the_model)
{
    composed c;
    il_detector *d;

    composed_open(&c);
    d = pooling_probe(&c, &ways[_i / 2], kinds[_i % 2]);
    drawn(d);
    gradient_holds(&c, d);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

START_TEST(a_sequence_is_scored_by_the_scores_of_its_positions)
{
    composed c;
    il_detector *d;
    il_detector *plain;
    float token[300];
    float unit[150];

    composed_open(&c);
    d = pooling_probe(&c, &ways[_i], "linear_probe");
    plain = made(&c, spec_of(&c, "plain", "linear_probe"), NULL);
    drawn(d);
    memcpy(plain->instance->store->values, d->instance->store->values,
           (size_t)plain->instance->store->total * sizeof(float));
    plain->fitted = true;
    ck_assert_int_eq(logits_of(&c, plain, "test", token), 300);
    ck_assert_int_eq(logits_of(&c, d, "test", unit), 150);
    for (int u = 0; u < 150; u++) {
        ck_assert_double_eq_tol(unit[u], twin(&ways[_i], token + 2 * u, NULL, 2), 1e-5);
    }
    il_detector_destroy(d);
    il_detector_destroy(plain);
    composed_close(&c);
}
END_TEST

/* The mean loss of a detector's sequences on a split. */
static double loss_of(composed *c, const il_detector *d, const char *split)
{
    il_harvest h = harvest_of(&c->w);
    il_acts *acts = NULL;
    float z[300];
    double sum = 0;

    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, split, &c->w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(d, c->w.blas, acts, z, &c->w.err), IL_OK);
    for (int64_t i = 0; i < acts->rows.count; i++) {
        sum += log1p(exp(acts->rows.labels[i] ? -z[i] : z[i]));
    }
    sum /= (double)acts->rows.count;
    il_acts_destroy(acts);
    return sum;
}

START_TEST(a_pooled_probe_is_fitted_to_the_labels_of_sequences)
{
    composed c;
    il_fit fit = {.start = IL_FIT_FRESH, .seed = 1};
    il_harvest h;
    il_acts *acts = NULL;
    il_detector *d;

    composed_open(&c);
    h = harvest_of(&c.w);
    fit.blas = c.w.blas;
    d = pooling_probe(&c, &ways[_i], "linear_probe");
    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "fit", &c.w.err), IL_OK);
    ck_assert_int_eq(acts->rows.count, 150);
    ck_assert_msg(il_detector_fit(d, acts, &fit, &c.w.err) == IL_OK, "%s",
                  c.w.err.message);
    ck_assert_int_eq(d->fit_ids.count, 150);
    ck_assert_double_lt(loss_of(&c, d, "test"), 0.66); /* log 2 = 0.69 knows nothing */
    if (ways[_i].kind == IL_POOL_ATTENTION) {
        const il_stored *q = &d->instance->store->items[d->instance->store->count - 1];

        ck_assert_str_eq(q->name, "pool.query");
        ck_assert_float_ne(d->instance->store->values[q->offset], 0.0f);
    }
    il_acts_destroy(acts);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

START_TEST(the_mean_of_a_linear_probe_is_solved_to_the_optimum_of_the_pooled_loss)
{
    composed c;
    il_fit fit = {.start = IL_FIT_FRESH, .seed = 1};
    il_harvest h;
    il_acts *acts = NULL;
    il_detector *solved;
    il_detector *descended;
    il_detector_spec *s;

    composed_open(&c);
    h = harvest_of(&c.w);
    fit.blas = c.w.blas;
    solved = pooling_probe(&c, &ways[_i], "linear_probe");
    s = (il_detector_spec *)solved->spec;
    s->fit.method = "irls";
    s->fit.l2 = 0;
    descended = pooling_probe(&c, &ways[_i], "linear_probe");
    s = (il_detector_spec *)descended->spec;
    s->fit.steps = 3000;
    s->fit.l2 = 0;
    ck_assert_int_eq(il_detector_harvest(&acts, solved, &h, "fit", &c.w.err), IL_OK);
    ck_assert_msg(il_detector_fit(solved, acts, &fit, &c.w.err) == IL_OK, "%s",
                  c.w.err.message);
    ck_assert_msg(il_detector_fit(descended, acts, &fit, &c.w.err) == IL_OK, "%s",
                  c.w.err.message);
    ck_assert_double_eq_tol(loss_of(&c, solved, "fit"), loss_of(&c, descended, "fit"),
                            1e-4);
    il_acts_destroy(acts);
    il_detector_destroy(solved);
    il_detector_destroy(descended);
    composed_close(&c);
}
END_TEST

START_TEST(detectors_that_pool_are_read_together_as_sequences)
{
    composed c;
    il_detector *members[2];
    il_detector *both;
    il_detector_spec *s;
    float a[150];
    float b[150];
    float z[150];

    composed_open(&c);
    members[0] = pooling_probe(&c, &ways[1], "linear_probe");
    members[1] = pooling_probe(&c, &ways[4], "attention_probe");
    drawn(members[0]);
    drawn(members[1]);
    ((il_detector_spec *)members[1]->spec)->name = "other";
    s = spec_of(&c, "both", "ensemble");
    s->fit = (il_fit_spec){0};
    s->pooled = true;
    both = of_made(&c, s, 2, members);
    ck_assert_int_eq(logits_of(&c, members[0], "test", a), 150);
    ck_assert_int_eq(logits_of(&c, members[1], "test", b), 150);
    ck_assert_int_eq(logits_of(&c, both, "test", z), 150);
    for (int u = 0; u < 150; u++) {
        ck_assert_double_eq_tol(z[u], 0.5 * (a[u] + b[u]), 1e-5);
    }
    gradient_holds(&c, both);
    il_detector_destroy(both);
    il_detector_destroy(members[0]);
    il_detector_destroy(members[1]);
    composed_close(&c);
}
END_TEST

START_TEST(detectors_of_positions_are_read_together_and_pooled_then)
{
    composed c;
    il_detector *members[2];
    il_detector *both;
    il_detector_spec *s;
    float a[300];
    float b[300];
    float z[150];

    composed_open(&c);
    members[0] = probe_made(&c, "one", 5);
    members[1] = probe_made(&c, "two", 6);
    s = spec_of(&c, "both", "ensemble");
    s->fit = (il_fit_spec){0};
    s->pooled = true;
    s->pooling = ways[_i];
    both = of_made(&c, s, 2, members);
    (void)logits_of(&c, members[0], "test", a);
    (void)logits_of(&c, members[1], "test", b);
    ck_assert_int_eq(logits_of(&c, both, "test", z), 150);
    for (int i = 0; i < 300; i++) {
        a[i] = 0.5f * (a[i] + b[i]);
    }
    for (int u = 0; u < 150; u++) {
        ck_assert_double_eq_tol(z[u], twin(&ways[_i], a + 2 * u, NULL, 2), 1e-5);
    }
    gradient_holds(&c, both);
    il_detector_destroy(both);
    il_detector_destroy(members[0]);
    il_detector_destroy(members[1]);
    composed_close(&c);
}
END_TEST

START_TEST(a_threshold_of_sequences_lets_so_many_of_the_honest_ones_through)
{
    composed c;
    il_harvest h;
    il_acts *acts = NULL;
    il_detector *d;
    float z[150];
    int above = 0;

    composed_open(&c);
    h = harvest_of(&c.w);
    d = pooling_probe(&c, &ways[3], "linear_probe");
    ((il_detector_spec *)d->spec)->threshold = (il_threshold_spec){
        .kind = IL_THRESHOLD_RATE, .fpr = 0.1, .unit = IL_UNIT_SEQUENCE};
    drawn(d);
    ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "calib", &c.w.err), IL_OK);
    ck_assert_int_eq(il_detector_calibrate(d, c.w.blas, acts, &c.w.err), IL_OK);
    ck_assert_int_eq(d->negatives, 75);
    ck_assert_int_eq(il_detector_logits(d, c.w.blas, acts, z, &c.w.err), IL_OK);
    for (int u = 0; u < 150; u++) {
        above += acts->rows.labels[u] == 0 && z[u] > d->threshold;
    }
    ck_assert_int_le(above, 7); /* of 75; ties fall below */
    ck_assert_int_ge(above, 5);
    il_acts_destroy(acts);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

START_TEST(the_words_of_a_contract_are_a_pooling_again)
{
    il_pool_spec p;

    ck_assert(il_pool_from_words(NULL, &p));
    ck_assert_int_eq(p.kind, IL_POOL_NONE);
    ck_assert(il_pool_from_words("max", &p));
    ck_assert_int_eq(p.kind, IL_POOL_MAX);
    ck_assert(il_pool_from_words("top_k_mean, k 12", &p));
    ck_assert_int_eq(p.k, 12);
    ck_assert(il_pool_from_words("ema_max, decay 0.75", &p));
    ck_assert_double_eq(p.decay, 0.75);
    ck_assert(!il_pool_from_words("median", &p));
    ck_assert(!il_pool_from_words("top_k_mean", &p));
    ck_assert(!il_pool_from_words("ema_max, decay 2", &p));
    ck_assert(!il_pool_from_words("max, k 2", &p));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tc = tcase_create("pool");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tc, each_pooling_is_its_formula, 0, WAYS);
    tcase_add_loop_test(tc, each_pooling_passes_its_gradient_on, 0, WAYS);
    tcase_add_loop_test(tc, a_logit_that_is_no_number_is_not_pooled_away, 1, WAYS);
    tcase_add_test(
        tc, a_sequence_without_a_scored_position_has_no_row_and_padding_is_never_read);
    tcase_add_loop_test(tc, gradients_flow_through_a_pooled_score_to_the_model, 0,
                        2 * WAYS);
    tcase_add_loop_test(tc, a_sequence_is_scored_by_the_scores_of_its_positions, 0,
                        WAYS - 1);
    tcase_add_loop_test(tc, a_pooled_probe_is_fitted_to_the_labels_of_sequences, 0,
                        WAYS);
    tcase_add_loop_test(
        tc, the_mean_of_a_linear_probe_is_solved_to_the_optimum_of_the_pooled_loss, 0,
        2);
    tcase_add_test(tc, detectors_that_pool_are_read_together_as_sequences);
    tcase_add_loop_test(tc, detectors_of_positions_are_read_together_and_pooled_then, 0,
                        WAYS - 1);
    tcase_add_test(tc,
                   a_threshold_of_sequences_lets_so_many_of_the_honest_ones_through);
    tcase_add_test(tc, the_words_of_a_contract_are_a_pooling_again);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
