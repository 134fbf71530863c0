/* Dictionaries: what they learn from rows that were made of known features, that
 * workers change no bit, what is refused, and which rows show a feature. */
#include "composed.h"
#include "detect/dictionary.h"
#include "detect/examples.h"
#include "detect/fit.h"
#include "detect/metrics.h"
#include "detect/quality.h"
#include "tensor/kernels.h"

enum { CHANNELS = 12, PLANTED = 24, ROWS = 1500 };

/* Rows that are sums of three of the planted directions, and a mean. */
static float *planted_rows(void)
{
    float *x = calloc(ROWS * CHANNELS, sizeof *x);
    float directions[PLANTED][CHANNELS];
    il_rng r;

    il_rng_open(&r, 3, 0, IL_RNG_PLUGIN, 0, 0);
    for (int f = 0; f < PLANTED; f++) {
        double norm = 0;

        for (int c = 0; c < CHANNELS; c++) {
            directions[f][c] = il_rng_normal(&r);
            norm += (double)directions[f][c] * (double)directions[f][c];
        }
        for (int c = 0; c < CHANNELS; c++) {
            directions[f][c] /= (float)sqrt(norm);
        }
    }
    for (int i = 0; i < ROWS; i++) {
        for (int c = 0; c < CHANNELS; c++) {
            x[i * CHANNELS + c] = 0.5f;
        }
        for (int k = 0; k < 3; k++) {
            uint32_t f = il_rng_below(&r, PLANTED);
            float a = 0.5f + il_rng_uniform(&r);

            for (int c = 0; c < CHANNELS; c++) {
                x[i * CHANNELS + c] += a * directions[f][c];
            }
        }
    }
    return x;
}

/* An autoencoder of one site of CHANNELS. */
static il_instance *dictionary_made(composed *c, const char *const *params)
{
    il_component_spec spec = {.use = "sae", .range = ""};
    const int64_t width = CHANNELS;
    il_instance_input in = {
        .label = "words", .seed = 1, .site_widths = &width, .site_count = 1};
    il_instance *i = NULL;

    spec.params = params_of(c->arena, params);
    ck_assert_msg(il_instance_create(&i, c->registry, IL_KIND_DETECTOR, &spec, &in,
                                     &c->problems, &c->w.err) == IL_OK,
                  "%s", c->w.err.message);
    return i;
}

static il_status learn(composed *c, il_instance *i, const float *x, int64_t rows,
                       il_dictionary_fit fit, il_dictionary_fitted *out)
{
    const int64_t width = CHANNELS;

    fit.blas = c->w.blas;
    fit.steps = fit.steps > 0 ? fit.steps : 600;
    fit.batch = 128;
    fit.lr = 5e-3;
    fit.warmup = -1;
    fit.decay = -1;
    return il_dictionary_learn(i, x, rows, &width, 1, &fit, out, &c->w.err);
}

static const char *const kinds[][12] = {
    {"architecture", "standard", "features", "32", "sparsity", "0.3", NULL},
    {"architecture", "topk", "features", "32", "k", "3", NULL},
    {"architecture", "batchtopk", "features", "32", "k", "3", NULL},
    {"architecture", "jumprelu", "features", "32", "sparsity", "0.05", NULL},
    {"architecture", "gated", "features", "32", "sparsity", "0.3", NULL},
    {"architecture", "topk", "features", "32", "k", "3", "prefixes", "16", NULL},
};

START_TEST(every_architecture_learns_to_describe_its_rows)
{
    composed c;
    il_instance *i;
    il_dictionary_fitted out = {0};
    float *x = planted_rows();
    const float *dec;

    composed_open(&c);
    i = dictionary_made(&c, kinds[_i]);
    ck_assert_msg(learn(&c, i, x, ROWS, (il_dictionary_fit){.seed = 1}, &out) == IL_OK,
                  "%s", c.w.err.message);
    ck_assert_msg(out.last_loss < 0.35 * out.first_loss, "%g, then %g", out.first_loss,
                  out.last_loss);
    dec = i->store->values + i->store->items[il_store_find(i->store, "W_dec")].offset;
    for (int f = 0; f < 32; f++) {
        ck_assert_double_eq_tol(
            il_k_dot(dec + f * CHANNELS, dec + f * CHANNELS, CHANNELS), 1.0, 1e-5);
    }
    il_instance_destroy(i);
    composed_close(&c);
    free(x);
}
END_TEST

START_TEST(workers_change_no_bit)
{
    composed c;
    il_instance *alone;
    il_instance *together;
    il_dictionary_fitted out = {0};
    il_pool *pool = NULL;
    float *x = planted_rows();
    static double losses[2][60];

    composed_open(&c);
    ck_assert_int_eq(il_pool_create(&pool, 2, &c.w.err), IL_OK);
    alone = dictionary_made(&c, kinds[_i]);
    together = dictionary_made(&c, kinds[_i]);
    out.losses = losses[0];
    ck_assert_int_eq(learn(&c, alone, x, ROWS,
                           (il_dictionary_fit){.seed = 1, .steps = 60, .lanes = 3},
                           &out),
                     IL_OK);
    out.losses = losses[1];
    ck_assert_int_eq(
        learn(&c, together, x, ROWS,
              (il_dictionary_fit){.seed = 1, .steps = 60, .lanes = 3, .pool = pool},
              &out),
        IL_OK);
    ck_assert_mem_eq(alone->store->values, together->store->values,
                     (size_t)alone->store->total * sizeof(float));
    ck_assert_mem_eq(losses[0], losses[1], sizeof losses[0]);
    /* and another seed meets the rows in another order */
    out.losses = losses[1];
    ck_assert_int_eq(learn(&c, together, x, ROWS,
                           (il_dictionary_fit){.seed = 2, .steps = 60, .warm = true},
                           &out),
                     IL_OK);
    ck_assert_mem_ne(losses[0], losses[1], sizeof losses[0]);
    il_instance_destroy(alone);
    il_instance_destroy(together);
    il_pool_destroy(pool);
    composed_close(&c);
    free(x);
}
END_TEST

START_TEST(a_step_sees_each_row_before_any_a_second_time)
{
    composed c;
    il_instance *i;
    il_dictionary_fitted out = {0};
    float *x = planted_rows();
    double losses[4];
    double sum = 0;

    /* With a rate of almost nothing the losses of one time through, 4 batches of 25
     * rows, add up to that of all 100 rows whatever their order. */
    composed_open(&c);
    out.losses = losses;
    for (uint64_t seed = 1; seed < 4; seed++) {
        il_dictionary_fit fit = {.blas = c.w.blas,
                                 .seed = seed,
                                 .steps = 4,
                                 .batch = 25,
                                 .lr = 1e-12,
                                 .warmup = 0,
                                 .decay = 0};
        const int64_t width = CHANNELS;
        double own = 0;

        i = dictionary_made(&c, kinds[1]);
        ck_assert_int_eq(
            il_dictionary_learn(i, x, 100, &width, 1, &fit, &out, &c.w.err), IL_OK);
        for (int s = 0; s < 4; s++) {
            own += losses[s];
        }
        ck_assert(seed == 1 || fabs(own - sum) < 1e-5 * sum);
        sum = own;
        il_instance_destroy(i);
    }
    composed_close(&c);
    free(x);
}
END_TEST

START_TEST(dead_features_come_back_to_life)
{
    composed c;
    float *x = planted_rows();
    int dead[2] = {0, 0};

    composed_open(&c);
    for (int aux = 0; aux < 2; aux++) {
        const char *const params[] = {"features",   "96", "k",   "3",
                                      "dead_after", "20", "aux", aux == 1 ? "0.1" : "0",
                                      NULL};
        il_instance *i = dictionary_made(&c, params);
        il_dictionary_fitted out = {0};
        const float *idle;

        /* most start where no row can reach them */
        ck_assert_int_eq(
            learn(&c, i, x, ROWS, (il_dictionary_fit){.seed = 1, .steps = 1}, &out),
            IL_OK);
        for (int f = 32; f < 96; f++) {
            i->store
                ->values[i->store->items[il_store_find(i->store, "b_enc")].offset + f] =
                -1;
        }
        ck_assert_int_eq(
            learn(&c, i, x, ROWS, (il_dictionary_fit){.seed = 1, .warm = true}, &out),
            IL_OK);
        idle =
            i->store->values + i->store->items[il_store_find(i->store, "idle")].offset;
        for (int f = 0; f < 96; f++) {
            dead[aux] += idle[f] >= 20;
        }
        il_instance_destroy(i);
    }
    ck_assert_msg(dead[1] < dead[0] / 2, "%d dead without, %d with", dead[0], dead[1]);
    composed_close(&c);
    free(x);
}
END_TEST

START_TEST(rows_that_teach_nothing_are_refused)
{
    composed c;
    il_instance *i;
    il_dictionary_fitted out = {0};
    float *x = planted_rows();
    il_dictionary_fit fit = {.seed = 1};

    composed_open(&c);
    i = dictionary_made(&c, kinds[1]);
    x[7 * CHANNELS + 2] = NAN;
    ck_assert_int_eq(learn(&c, i, x, ROWS, fit, &out), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(c.w.err.message, "row 7"));
    ck_assert_ptr_nonnull(strstr(c.w.err.message, "channel 2"));
    c.w.err = (il_error){.code = IL_OK};
    for (int k = 0; k < ROWS * CHANNELS; k++) {
        x[k] = (float)(k % CHANNELS);
    }
    ck_assert_int_eq(learn(&c, i, x, ROWS, fit, &out), IL_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(c.w.err.message, "constant"));
    c.w.err = (il_error){.code = IL_OK};
    ck_assert_int_eq(learn(&c, i, x, 0, fit, &out), IL_ERR_INPUT);
    il_instance_destroy(i);
    composed_close(&c);
    free(x);
}
END_TEST

/* ---- as a detector of the toy world --------------------------------------------- */

static const char *const small[] = {"features", "16", "k", "2", "read", "2", NULL};

static il_detector *taught(composed *c, bool labelled, il_acts **acts)
{
    il_detector_spec *s = spec_of(c, "words", "sae");
    il_harvest h = harvest_of(&c->w);
    il_fit fit = {.blas = c->w.blas, .seed = 1};
    il_detector *d;

    s->component.params = params_of(c->arena, small);
    s->label = labelled ? "liar" : NULL;
    s->fit = (il_fit_spec){.given = true,
                           .draw = {.split = "fit"},
                           .label = s->label,
                           .steps = 300,
                           .batch = 64,
                           .lr = 1e-2,
                           .l2 = -1,
                           .weight_decay = -1,
                           .warmup = -1,
                           .decay = -1};
    d = made(c, s, NULL);
    ck_assert(!il_detector_ready(d) && il_detector_learns(d));
    ck_assert_int_eq(il_detector_harvest(acts, d, &h, NULL, &c->w.err), IL_OK);
    ck_assert_msg(il_detector_fit(d, *acts, &fit, &c->w.err) == IL_OK, "%s",
                  c->w.err.message);
    ck_assert(il_detector_ready(d));
    return d;
}

START_TEST(labelled_rows_choose_what_its_logit_reads)
{
    composed c;
    il_acts *acts = NULL;
    il_detector *d;
    float *logits;
    const float *readout;
    int read = 0;
    il_measured m;

    composed_open(&c);
    d = taught(&c, true, &acts);
    readout =
        d->instance->store->values +
        d->instance->store->items[il_store_find(d->instance->store, "readout")].offset;
    for (int f = 0; f < 16; f++) {
        read += readout[f] != 0;
    }
    ck_assert_int_eq(read, 2);
    logits = calloc((size_t)acts->rows.count, sizeof *logits);
    ck_assert_int_eq(il_detector_logits(d, c.w.blas, acts, logits, &c.w.err), IL_OK);
    ck_assert_int_eq(il_scores_measure(&(il_scores){.count = acts->rows.count,
                                                    .logits = logits,
                                                    .labels = acts->rows.labels,
                                                    .documents = acts->rows.documents},
                                       0, 0, 0, &m, &c.w.err),
                     IL_OK);
    ck_assert_double_gt(m.value[IL_MEASURE_AUROC], 0.6);
    free(logits);
    il_acts_destroy(acts);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

/* A dictionary of plus and minus each channel, which leaves nothing out, and two
 * features that nothing has; with `blank` one that knows nothing. */
static il_detector *written(composed *c, bool blank)
{
    static const char *const params[] = {"architecture", "standard", "features", "8",
                                         "normalize",    "none",     NULL};
    il_detector_spec *s = spec_of(c, "signs", "sae");
    il_detector *d;
    float *values;

    s->component.params = params_of(c->arena, params);
    s->label = NULL;
    s->fit = (il_fit_spec){0};
    d = made(c, s, NULL);
    values = d->instance->store->values;
    for (int k = 0; k < 2; k++) {
        const char *name = k == 0 ? "W_enc" : "W_dec";
        float *w =
            values +
            d->instance->store->items[il_store_find(d->instance->store, name)].offset;

        memset(w, 0, 8 * WIDTH * sizeof *w);
        for (int f = 0; f < 2 * WIDTH && !blank; f++) {
            w[f * WIDTH + f / 2] = f % 2 == 0 ? 1.0f : -1.0f;
        }
    }
    d->fitted = true;
    return d;
}

START_TEST(what_leaves_nothing_out_is_told_from_what_knows_nothing)
{
    composed c;
    il_harvest h;
    il_quality q;

    composed_open(&c);
    h = harvest_of(&c.w);
    for (int blank = 0; blank < 2; blank++) {
        il_detector *d = written(&c, blank == 1);
        il_acts *acts = NULL;

        ck_assert(il_detector_has_quality(d));
        ck_assert_int_eq(il_detector_harvest(&acts, d, &h, "test", &c.w.err), IL_OK);
        ck_assert_int_eq(il_detector_quality(d, c.w.blas, acts, &q, &c.w.err), IL_OK);
        ck_assert_int_eq(q.rows, acts->rows.count);
        if (blank == 0) {
            ck_assert_double_lt(q.fvu, 1e-12);
            ck_assert_double_eq_tol(q.l0, WIDTH, 1e-9);
            ck_assert_double_eq_tol(q.dead, 2.0 / 8, 1e-9);
        } else {
            ck_assert_double_ge(q.fvu, 1.0);
            ck_assert_double_eq_tol(q.l0, 0, 1e-9);
            ck_assert_double_eq_tol(q.dead, 1, 1e-9);
        }
        il_acts_destroy(acts);
        il_detector_destroy(d);
    }
    composed_close(&c);
}
END_TEST

/* The toy model with a loss: how well its logits name the next token. */
static void losing_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const il_site site = {0};
    il_tensor *x =
        il_embedding(pass, il_use(pass, (il_param){0}), il_batch_find(batch, "tokens"));

    (void)self;
    ck_assert_ptr_null(il_batch_find(batch, "liar"));
    x = il_hook(pass, site, x);
    il_loss(pass, "next_token",
            il_cross_entropy_linear(pass, x, il_use(pass, (il_param){1}), NULL,
                                    il_batch_find(batch, "next")));
}

START_TEST(a_reconstruction_is_worth_what_the_model_makes_of_it)
{
    static const il_model_api api = {.struct_size = sizeof(il_model_api),
                                     .forward = losing_forward};
    static const il_component component = {
        sizeof(il_component), IL_KIND_MODEL, "model", "", &api, IL_NO_PARAMS};
    static const il_offer offer = {&component, NULL, "toy.model"};
    static const il_declared loss = {"next_token", 0, NULL, 0};
    composed c;
    il_harvest h;
    il_recovered r;

    composed_open(&c);
    c.w.model.offer = &offer;
    c.w.model.losses = &loss;
    c.w.model.loss_count = 1;
    h = harvest_of(&c.w);
    h.split = "test";
    for (int blank = 0; blank < 2; blank++) {
        il_detector *d = written(&c, blank == 1);

        ck_assert_msg(il_detector_recovered(d, &h, 100, &r, &c.w.err) == IL_OK, "%s",
                      c.w.err.message);
        ck_assert_int_eq(r.documents, 100);
        ck_assert_double_ne(r.clean, r.zeroed);
        /* what knows nothing puts b_dec there, which is 0 */
        ck_assert_double_eq_tol(r.spliced, blank == 0 ? r.clean : r.zeroed, 1e-6);
        ck_assert_double_eq_tol(r.share, blank == 0 ? 1.0 : 0.0, 1e-5);
        il_detector_destroy(d);
    }
    c.w.model.loss_count = 0;
    {
        il_detector *d = written(&c, false);

        ck_assert_int_eq(il_detector_recovered(d, &h, 100, &r, &c.w.err), IL_OK);
        ck_assert(isnan(r.share));
        il_detector_destroy(d);
    }
    composed_close(&c);
}
END_TEST

START_TEST(a_fit_needs_a_label_where_there_is_nothing_else_to_learn)
{
    composed c;
    il_detector_spec *s;
    il_detector *d = NULL;
    il_detector_input in;

    composed_open(&c);
    s = spec_of(&c, "plain", "linear_probe");
    s->fit.label = NULL;
    in = (il_detector_input){.registry = c.registry,
                             .spec = s,
                             .model = &c.w.model,
                             .data = &c.w.data,
                             .seed = 1};
    ck_assert_int_eq(il_detector_create(&d, &in, &c.problems, &c.w.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(c.w.err.message, "expected the key 'label'"));
    composed_close(&c);
}
END_TEST

START_TEST(examples_are_the_rows_where_a_feature_is_largest_one_a_document)
{
    composed c;
    il_acts *acts = NULL;
    il_detector *d;
    il_examples *e = NULL;
    const int64_t asked[] = {0, 5, IL_EXAMPLE_LOGIT};
    const int64_t wrong = 16;
    float *features;

    composed_open(&c);
    d = taught(&c, false, &acts);
    features = calloc((size_t)acts->rows.count * 16, sizeof *features);
    ck_assert_int_eq(il_detector_features(d, c.w.blas, acts, features, &c.w.err),
                     IL_OK);
    ck_assert_int_eq(
        il_detector_examples(&e, d, c.w.blas, acts, 3, asked, 4, c.arena, &c.w.err),
        IL_OK);
    for (int i = 0; i < 2; i++) {
        int64_t active = 0;
        float most = 0;

        for (int64_t r = 0; r < acts->rows.count; r++) {
            active += features[r * 16 + asked[i]] > 0;
            most = fmaxf(most, features[r * 16 + asked[i]]);
        }
        ck_assert_int_eq(e[i].active, active);
        ck_assert(e[i].count <= 4 && (e[i].count > 0) == (active > 0));
        ck_assert(e[i].count == 0 || e[i].items[0].value == most);
        for (int64_t k = 1; k < e[i].count; k++) {
            ck_assert(e[i].items[k].value <= e[i].items[k - 1].value);
            for (int64_t j = 0; j < k; j++) {
                ck_assert_int_ne(e[i].items[k].index, e[i].items[j].index);
            }
        }
    }
    ck_assert_int_eq(
        il_detector_examples(&e, d, c.w.blas, acts, 1, &wrong, 4, c.arena, &c.w.err),
        IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(c.w.err.message, "from 0 to 15"));
    free(features);
    il_acts_destroy(acts);
    il_detector_destroy(d);
    composed_close(&c);
}
END_TEST

int main(void)
{
    const int count = sizeof kinds / sizeof kinds[0];
    Suite *suite = suite_create("dictionary");
    TCase *t = tcase_create("dictionary");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, every_architecture_learns_to_describe_its_rows, 0, count);
    tcase_add_loop_test(t, workers_change_no_bit, 0, count);
    tcase_add_test(t, a_step_sees_each_row_before_any_a_second_time);
    tcase_add_test(t, dead_features_come_back_to_life);
    tcase_add_test(t, rows_that_teach_nothing_are_refused);
    tcase_add_test(t, labelled_rows_choose_what_its_logit_reads);
    tcase_add_test(t, what_leaves_nothing_out_is_told_from_what_knows_nothing);
    tcase_add_test(t, a_reconstruction_is_worth_what_the_model_makes_of_it);
    tcase_add_test(t, a_fit_needs_a_label_where_there_is_nothing_else_to_learn);
    tcase_add_test(t, examples_are_the_rows_where_a_feature_is_largest_one_a_document);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
