/* Drawn text and the audit of a world small enough to check by hand. */
#include "audit/audit.h"
#include "audit/behaviour.h"
#include "pipeline/batch.h"
#include "../detect/support.h"

static world w;
static const char *splits[] = {"test"};
static il_place places[1];
static il_audit_spec spec;
static bool whole; /* what audit_of asks for */
static il_log *notes;
static il_registry *registry; /* what ships, for fresh readers */

static void setup(void)
{
    world_open(&w, 1);
    spec = (il_audit_spec){.given = true, .splits = {1, splits, places}};
    splits[0] = "test";
    whole = false;
    notes = il_log_create();
    ck_assert_int_eq(il_registry_create(&registry, notes, &w.err), IL_OK);
}

static void registry_fill(void)
{
    char folder[512];

    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(folder, sizeof folder, "%s/plugins", getenv("IL_BUILD"));
    ck_assert_msg(il_registry_add_folder(registry, folder, true, &w.err) == IL_OK, "%s",
                  w.err.message);
}

static void teardown(void)
{
    il_registry_destroy(registry);
    il_log_destroy(notes);
    world_close(&w);
}

static il_behaviour *text_of(world *from, uint64_t seed)
{
    il_harvest h = harvest_of(from);
    il_behaviour *text = NULL;

    ck_assert_msg(il_behaviour_sample(&text, &h, seed, 0, &from->err) == IL_OK, "%s",
                  from->err.message);
    return text;
}

START_TEST(only_asked_positions_are_drawn_and_only_from_what_is_allowed)
{
    il_behaviour *text = text_of(&w, 1);
    il_batch *batch = NULL;
    const int32_t *given;
    int seen[VOCABULARY] = {0};

    ck_assert_int_eq(il_batch_create(&batch, &w.err), IL_OK);
    il_batch_reset(batch, 100);
    ck_assert_int_eq(toy_prompt(NULL, 0, 100, batch, &w.err), IL_OK);
    given = il_i32(il_batch_find(batch, "tokens"));
    for (int i = 0; i < 100 * LENGTH; i++) {
        if (i % LENGTH == 3) {
            seen[text->tokens[i]]++;
        } else {
            ck_assert_int_eq(text->tokens[i], given[i]);
        }
    }
    ck_assert_int_eq(seen[2] + seen[3] + seen[4], 100);
    ck_assert(seen[2] > 0 && seen[3] > 0 && seen[4] > 0);
    ck_assert(il_tally_value(&text->tally, "outside") == 0);
    il_batch_destroy(batch);
    il_behaviour_destroy(text);
}
END_TEST

START_TEST(two_workers_write_the_text_of_one)
{
    world two;
    il_behaviour *a = text_of(&w, 1);
    il_behaviour *b;
    il_behaviour *other = text_of(&w, 2);

    world_open(&two, 2);
    b = text_of(&two, 1);
    ck_assert_mem_eq(a->tokens, b->tokens, 100 * LENGTH * sizeof(int32_t));
    ck_assert(il_tally_value(&a->tally, "drawn") == il_tally_value(&b->tally, "drawn"));
    ck_assert_mem_ne(a->tokens, other->tokens, 100 * LENGTH * sizeof(int32_t));
    il_behaviour_destroy(a);
    il_behaviour_destroy(b);
    il_behaviour_destroy(other);
    world_close(&two);
}
END_TEST

/* Audits the fitted world; `then` are weights to compare with, or NULL. */
static il_status audit_of(world *from, const float *const *then, il_audit **out)
{
    il_audited judged = {.now = &from->detector, .then_values = then};
    il_audit_input in = {.registry = registry,
                         .spec = &spec,
                         .whole = whole,
                         .model = &from->model,
                         .values = from->values,
                         .data = &from->data,
                         .detectors = &judged,
                         .detector_count = 1,
                         .blas = from->blas,
                         .pool = from->pool,
                         .seed = 1};

    return il_audit_run(out, &in, &from->err);
}

static void fit_and_calibrate(world *from)
{
    il_acts *acts = acts_of_split(from, "calib");

    world_fit(from);
    ck_assert_int_eq(
        il_detector_calibrate(&from->detector, from->blas, acts, &from->err), IL_OK);
    il_acts_destroy(acts);
}

START_TEST(an_audit_reports_what_the_scores_say)
{
    il_audit *audit = NULL;
    il_acts *acts = acts_of_split(&w, "test");
    float logits[300];
    il_measured m;
    il_scores s;
    il_scores by;
    il_arena *arena;

    fit_and_calibrate(&w);
    ck_assert_int_eq(il_detector_logits(&w.detector, w.blas, acts, logits, &w.err),
                     IL_OK);
    s = (il_scores){.count = 300,
                    .logits = logits,
                    .labels = acts->rows.labels,
                    .documents = acts->rows.documents,
                    .has_threshold = true,
                    .threshold = w.detector.threshold};
    ck_assert_int_eq(il_scores_measure(&s, 0, 1, 0, &m, &w.err), IL_OK);
    ck_assert_msg(audit_of(&w, w.values, &audit) == IL_OK, "%s", w.err.message);
    ck_assert(il_audit_value(audit, "probe.auroc") == m.value[IL_MEASURE_AUROC]);
    ck_assert(il_audit_value(audit, "probe.tpr") == m.value[IL_MEASURE_TPR]);
    ck_assert(il_audit_value(audit, "probe.fpr") == m.value[IL_MEASURE_FPR]);
    ck_assert(il_audit_value(audit, "probe.mean") == m.value[IL_MEASURE_MEAN]);
    arena = il_arena_create(1 << 12);
    ck_assert_int_eq(il_scores_by_document(&s, arena, &by, &w.err), IL_OK);
    ck_assert_int_eq(by.count, 150);
    ck_assert_int_eq(il_scores_measure(&by, 0, 1, 0, &m, &w.err), IL_OK);
    ck_assert(il_audit_value(audit, "probe.document.auroc") ==
              m.value[IL_MEASURE_AUROC]);
    ck_assert(il_audit_value(audit, "probe.document.fpr") == m.value[IL_MEASURE_FPR]);
    il_arena_destroy(arena);
    ck_assert(isnan(il_audit_value(audit, "fresh.linear.auroc")));
    /* The weights are those of then, so both readings of the text agree. */
    ck_assert(il_audit_value(audit, "probe.flag_now") ==
              il_audit_value(audit, "probe.flag_then"));
    ck_assert(isfinite(il_audit_value(audit, "drawn")));
    il_audit_destroy(audit);
    il_acts_destroy(acts);
}
END_TEST

START_TEST(other_weights_change_what_is_flagged_now_and_not_then)
{
    il_audit *before = NULL;
    il_audit *after = NULL;
    float *table = w.model.store->values + w.model.store->items[0].offset;
    float then[VOCABULARY * WIDTH];
    const float *values[] = {then, w.values[1]};

    fit_and_calibrate(&w);
    memcpy(then, table, sizeof then);
    w.detector.threshold = 0;
    ck_assert_int_eq(audit_of(&w, values, &before), IL_OK);
    /* The detector's direction turned round: its AUROC mirrors, the text stays the
     * model's. */
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        table[i] = 2 * w.mean[0][i % WIDTH] - table[i];
    }
    ck_assert_int_eq(audit_of(&w, values, &after), IL_OK);
    ck_assert_double_lt(il_audit_value(after, "probe.auroc"), 0.5);
    ck_assert_double_gt(il_audit_value(before, "probe.auroc"), 0.5);
    ck_assert_double_gt(il_audit_value(after, "probe.shift_negative"), 0);
    ck_assert_double_lt(il_audit_value(after, "probe.shift_positive"), 0);
    ck_assert(il_audit_value(after, "probe.flag_now") !=
              il_audit_value(after, "probe.flag_then"));
    il_audit_destroy(before);
    il_audit_destroy(after);
}
END_TEST

/* The four cells of a whole audit, [text][weights]. */
static void cells_of(const il_audit *audit, double cell[2][2])
{
    cell[0][0] = il_audit_value(audit, "probe.cells.y0w0");
    cell[0][1] = il_audit_value(audit, "probe.cells.y0w1");
    cell[1][0] = il_audit_value(audit, "probe.cells.y1w0");
    cell[1][1] = il_audit_value(audit, "probe.cells.y1w1");
}

/* A fitted world at its threshold of 0, and the weights that it has then. */
static void fit_and_remember(float then[2][VOCABULARY * WIDTH], const float *values[2])
{
    fit_and_calibrate(&w);
    w.detector.threshold = 0;
    for (int i = 0; i < 2; i++) {
        memcpy(then[i], w.values[i], sizeof then[i]);
        values[i] = then[i];
    }
}

START_TEST(other_text_under_the_same_reading_moves_one_axis_of_the_cells)
{
    float *head = w.model.store->values + w.model.store->items[1].offset;
    float then[2][VOCABULARY * WIDTH];
    const float *values[2];
    il_audit *audit = NULL;
    double before;
    double cell[2][2];

    fit_and_remember(then, values);
    ck_assert_int_eq(audit_of(&w, values, &audit), IL_OK);
    before = il_audit_value(audit, "probe.flag_now");
    il_audit_destroy(audit);
    /* What the model says is turned round, what it keeps at the site is not. */
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        head[i] = -4 * head[i];
    }
    whole = true;
    ck_assert_int_eq(audit_of(&w, values, &audit), IL_OK);
    cells_of(audit, cell);
    ck_assert(cell[0][0] == before);
    ck_assert(cell[0][1] == cell[0][0]);
    ck_assert(cell[1][0] == cell[1][1]);
    ck_assert(cell[1][1] != cell[0][0]);
    ck_assert(cell[1][1] == il_audit_value(audit, "probe.flag_now"));
    il_audit_destroy(audit);
}
END_TEST

START_TEST(other_reading_of_the_same_text_moves_the_other_axis)
{
    float *table = w.model.store->values + w.model.store->items[0].offset;
    float *head = w.model.store->values + w.model.store->items[1].offset;
    float then[2][VOCABULARY * WIDTH];
    const float *values[2];
    il_audit *audit = NULL;
    double cell[2][2];

    fit_and_remember(then, values);
    /* Both signs turned: the same logits, so the same text, read the other way. */
    for (int i = 0; i < VOCABULARY * WIDTH; i++) {
        table[i] = -table[i];
        head[i] = -head[i];
    }
    whole = true;
    ck_assert_int_eq(audit_of(&w, values, &audit), IL_OK);
    cells_of(audit, cell);
    ck_assert(cell[1][0] == cell[0][0]);
    ck_assert(cell[0][1] == cell[1][1]);
    ck_assert(cell[1][1] != cell[0][0]);
    ck_assert(cell[1][0] == il_audit_value(audit, "probe.flag_then"));
    il_audit_destroy(audit);
}
END_TEST

START_TEST(the_cells_of_then_are_those_of_an_audit_made_then)
{
    float then[2][VOCABULARY * WIDTH];
    const float *values[2];
    il_audit *audit = NULL;
    double before;
    double cell[2][2];

    fit_and_remember(then, values);
    ck_assert_int_eq(audit_of(&w, w.values, &audit), IL_OK);
    before = il_audit_value(audit, "probe.flag_now");
    /* Only a whole audit has all four. */
    ck_assert(isnan(il_audit_value(audit, "probe.cells.y1w1")));
    il_audit_destroy(audit);
    whole = true;
    ck_assert_int_eq(audit_of(&w, w.values, &audit), IL_OK);
    cells_of(audit, cell);
    for (int i = 0; i < 4; i++) {
        ck_assert(cell[i / 2][i % 2] == before);
    }
    il_audit_destroy(audit);
    /* Without weights of then there is nothing to compare with. */
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_OK);
    ck_assert(isnan(il_audit_value(audit, "probe.cells.y0w0")));
    ck_assert(il_audit_value(audit, "probe.flag_now") == before);
    il_audit_destroy(audit);
}
END_TEST

START_TEST(a_zero_that_has_moved_is_that_of_now_alone)
{
    float then[2][VOCABULARY * WIDTH];
    const float *values[2];
    il_audit *audit = NULL;

    fit_and_remember(then, values);
    w.detector.offset = 1e6f; /* what it takes off every logit now */
    ck_assert_int_eq(audit_of(&w, values, &audit), IL_OK);
    ck_assert(il_audit_value(audit, "probe.flag_now") == 0);
    ck_assert_double_gt(il_audit_value(audit, "probe.flag_then"), 0);
    ck_assert_double_lt(il_audit_value(audit, "probe.shift_positive"), -9e5);
    il_audit_destroy(audit);
}
END_TEST

START_TEST(a_detector_that_was_refitted_is_compared_with_what_it_was_then)
{
    il_detector old;
    il_audited judged = {.now = &w.detector, .then = &old, .then_values = w.values};
    il_audit_input in = {.spec = &spec,
                         .model = &w.model,
                         .values = w.values,
                         .data = &w.data,
                         .detectors = &judged,
                         .detector_count = 1,
                         .blas = w.blas,
                         .pool = w.pool,
                         .seed = 1,
                         .whole = true};
    il_audit *audit = NULL;
    double cell[2][2];

    fit_and_calibrate(&w);
    w.detector.threshold = 0;
    old = w.detector;
    old.threshold = 1e6; /* flags nothing */
    ck_assert_int_eq(il_audit_run(&audit, &in, &w.err), IL_OK);
    cells_of(audit, cell);
    ck_assert(cell[0][0] == 0 && cell[1][0] == 0);
    ck_assert(cell[0][1] > 0 && cell[1][1] > 0);
    il_audit_destroy(audit);
}
END_TEST

static const char *all_readers[] = {"linear", "mlp", "attention"};
static il_place all_places[3];

/* Asks for fresh readers, the first `count` of those. */
static void want_fresh(size_t count)
{
    registry_fill();
    spec.fresh = (il_names_spec){count, all_readers, all_places};
}

/* A linear probe fitted by hand as the audit does, and judged on the test split. */
static double by_hand(void)
{
    il_problems problems = {.arena = il_arena_create(4096)};
    il_detector_spec own = w.spec;
    il_detector_input in = {.registry = registry,
                            .spec = &own,
                            .model = &w.model,
                            .data = &w.data,
                            .seed = 1};
    il_fit fit = {.blas = w.blas, .start = IL_FIT_FRESH, .seed = 1};
    il_acts *acts[2] = {acts_of_split(&w, "fit"), acts_of_split(&w, "test")};
    il_detector *d = NULL;
    float logits[300];
    il_scores s = {.count = 300,
                   .logits = logits,
                   .labels = acts[1]->rows.labels,
                   .documents = acts[1]->rows.documents};
    il_measured m;

    own.component = (il_component_spec){.use = "linear_probe", .range = ""};
    own.fit = (il_fit_spec){.label = "liar"};
    ck_assert_msg(il_detector_create(&d, &in, &problems, &w.err) == IL_OK, "%s",
                  w.err.message);
    ck_assert_int_eq(il_detector_fit(d, acts[0], &fit, &w.err), IL_OK);
    ck_assert_int_eq(il_detector_logits(d, w.blas, acts[1], logits, &w.err), IL_OK);
    ck_assert_int_eq(il_scores_measure(&s, 0, 1, 0, &m, &w.err), IL_OK);
    il_detector_destroy(d);
    il_acts_destroy(acts[0]);
    il_acts_destroy(acts[1]);
    il_arena_destroy(problems.arena);
    return m.value[IL_MEASURE_AUROC];
}

START_TEST(a_fresh_reader_is_a_detector_fitted_on_the_anchors)
{
    il_audit *audit = NULL;

    fit_and_calibrate(&w);
    want_fresh(3);
    ck_assert_msg(audit_of(&w, NULL, &audit) == IL_OK, "%s", w.err.message);
    ck_assert(il_audit_value(audit, "fresh.linear.auroc") == by_hand());
    ck_assert_double_gt(il_audit_value(audit, "fresh.linear.auroc"), 0.6);
    ck_assert_double_gt(il_audit_value(audit, "fresh.mlp.auroc"), 0.6);
    ck_assert_double_gt(il_audit_value(audit, "fresh.attention.auroc"), 0.6);
    /* Floors and further sites are for whole audits. */
    ck_assert(isnan(il_audit_value(audit, "floor.random.linear.auroc")));
    ck_assert(
        isnan(il_audit_value(audit, "fresh.linear@blocks.0.hook_resid_post.auroc")));
    il_audit_destroy(audit);
}
END_TEST

/* By the plugins of that name, on the toy's rows; where a site holds nothing but zeros
 * there is no direction and no covariance, which is said and ends nothing. */
START_TEST(fresh_readers_in_closed_form_say_where_there_is_nothing_to_fit)
{
    static const char *readers[] = {"mean_difference", "mahalanobis"};
    static const char top[] = "fresh.mahalanobis@blocks.0.hook_resid_post";
    const json_t *unread;
    il_audit *audit = NULL;
    char name[128];

    fit_and_calibrate(&w);
    registry_fill();
    spec.fresh = (il_names_spec){2, readers, all_places};
    spec.anchors = "fit";
    whole = true;
    ck_assert_msg(audit_of(&w, NULL, &audit) == IL_OK, "%s", w.err.message);
    ck_assert_double_gt(il_audit_value(audit, "fresh.mean_difference.auroc"), 0.6);
    ck_assert(isfinite(il_audit_value(audit, "fresh.mahalanobis.auroc")));
    ck_assert(isfinite(il_audit_value(audit, "floor.random.mahalanobis.auroc")));
    (void)snprintf(name, sizeof name, "%s.auroc", top);
    ck_assert(isnan(il_audit_value(audit, name)));
    unread = json_object_get(audit->json, "unread");
    ck_assert_uint_eq(json_object_size(unread), 2);
    ck_assert_ptr_nonnull(json_string_value(json_object_get(unread, top)));
    ck_assert_ptr_nonnull(
        strstr(json_string_value(json_object_get(unread, top)), "constant"));
    il_audit_destroy(audit);
}
END_TEST

START_TEST(a_random_models_floor_is_the_same_under_any_weights)
{
    float *table = w.model.store->values + w.model.store->items[0].offset;
    il_audit *a = NULL;
    il_audit *b = NULL;

    fit_and_calibrate(&w);
    want_fresh(1);
    whole = true;
    ck_assert_int_eq(audit_of(&w, NULL, &a), IL_OK);
    memset(table, 0, VOCABULARY * WIDTH * sizeof *table);
    ck_assert_int_eq(audit_of(&w, NULL, &b), IL_OK);
    ck_assert(il_audit_value(a, "floor.random.linear.auroc") ==
              il_audit_value(b, "floor.random.linear.auroc"));
    /* Where every token looks the same nothing is to be read, and a random table still
     * tells them apart. */
    ck_assert(isnan(il_audit_value(b, "fresh.linear.auroc"))); /* nothing to read */
    ck_assert_double_gt(il_audit_value(b, "floor.random.linear.auroc"), 0.52);
    il_audit_destroy(a);
    il_audit_destroy(b);
}
END_TEST

START_TEST(labels_dealt_anew_teach_a_reader_nothing)
{
    double sum = 0;

    fit_and_calibrate(&w);
    want_fresh(1);
    whole = true;
    /* Six deals: of one alone chance may be far from a half. */
    for (uint64_t seed = 1; seed <= 6; seed++) {
        il_audited judged = {.now = &w.detector};
        il_audit_input in = {.registry = registry,
                             .spec = &spec,
                             .whole = true,
                             .model = &w.model,
                             .values = w.values,
                             .data = &w.data,
                             .detectors = &judged,
                             .detector_count = 1,
                             .blas = w.blas,
                             .pool = w.pool,
                             .seed = seed};
        il_audit *audit = NULL;

        ck_assert_int_eq(il_audit_run(&audit, &in, &w.err), IL_OK);
        sum += il_audit_value(audit, "floor.shuffled.linear.auroc");
        ck_assert_double_gt(il_audit_value(audit, "fresh.linear.auroc"),
                            il_audit_value(audit, "floor.shuffled.linear.auroc"));
        il_audit_destroy(audit);
    }
    ck_assert_double_eq_tol(sum / 6, 0.5, 0.12);
}
END_TEST

START_TEST(a_whole_audit_reads_at_the_last_residual_stream_too)
{
    static const char top[] = "fresh.linear@blocks.0.hook_resid_post.auroc";
    static const char *embed[] = {"embed"};
    il_audit *audit = NULL;

    fit_and_calibrate(&w);
    want_fresh(1);
    whole = true;
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_OK);
    ck_assert_double_gt(il_audit_value(audit, "fresh.linear.auroc"), 0.6);
    ck_assert(isnan(il_audit_value(audit, top))); /* it holds zeros, which is said: */
    ck_assert_ptr_nonnull(strstr(
        json_string_value(json_object_get(json_object_get(audit->json, "unread"),
                                          "fresh.linear@blocks.0.hook_resid_post")),
        "constant"));
    il_audit_destroy(audit);
    /* No site but the first detector's own, which has the plain name. */
    spec.sites_given = true;
    spec.sites = (il_names_spec){1, embed, places};
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_OK);
    ck_assert(isnan(il_audit_value(audit, top)));
    ck_assert(isnan(il_audit_value(audit, "fresh.linear@embed.auroc")));
    ck_assert_double_gt(il_audit_value(audit, "fresh.linear.auroc"), 0.6);
    il_audit_destroy(audit);
}
END_TEST

START_TEST(anchors_cannot_judge)
{
    il_audit *audit = NULL;

    fit_and_calibrate(&w);
    want_fresh(1);
    spec.anchors = "test";
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(w.err.message, "one of their anchors"));
}
END_TEST

START_TEST(what_an_audit_names_is_checked_before_it_runs)
{
    static const char *wrong[] = {"tset"};
    static const char *reader[] = {"tarot"};
    static const char *site[] = {"embd"};
    il_problems problems = {.arena = il_arena_create(4096)};
    il_text said = {0};

    il_audit_check(&spec, &w.model, &w.data, &problems);
    ck_assert(!il_problems_any(&problems));
    spec.splits = (il_names_spec){1, wrong, places};
    spec.fresh = (il_names_spec){1, reader, places};
    spec.sites = (il_names_spec){1, site, places};
    spec.anchors = "fti";
    il_audit_check(&spec, &w.model, &w.data, &problems);
    ck_assert_uint_eq(problems.count, 4);
    il_problems_write(&problems, &said);
    ck_assert_ptr_nonnull(strstr(said.data, "no split 'tset', did you mean 'test'"));
    ck_assert_ptr_nonnull(strstr(said.data, "no split 'fti', did you mean 'fit'"));
    ck_assert_ptr_nonnull(strstr(said.data, "no site 'embd', did you mean 'embed'"));
    ck_assert_ptr_nonnull(strstr(said.data, "'tarot' is not offered"));
    il_text_free(&said);
    il_arena_destroy(problems.arena);
}
END_TEST

START_TEST(a_named_detector_is_scored_on_the_rows_of_the_others)
{
    il_detector ideal;
    il_detector_spec named = w.spec;
    il_audited judged[2] = {{.now = &w.detector}, {.now = &ideal}};
    il_audit_input in = {.spec = &spec,
                         .model = &w.model,
                         .values = w.values,
                         .data = &w.data,
                         .detectors = judged,
                         .detector_count = 2,
                         .blas = w.blas,
                         .pool = w.pool,
                         .seed = 1};
    il_audit *audit = NULL;
    float blind[WIDTH] = {0};
    const float *values[2];

    fit_and_calibrate(&w);
    named.name = "ideal";
    named.vault = true;
    ideal = w.detector;
    ideal.spec = &named;
    ideal.fields.tokens = "all"; /* of its own it scores other rows */
    spec.against = "ideal";
    ck_assert_msg(il_audit_run(&audit, &in, &w.err) == IL_OK, "%s", w.err.message);
    ck_assert(il_audit_value(audit, "ideal.auroc") !=
              il_audit_value(audit, "probe.auroc"));
    ck_assert(il_audit_value(audit, "probe.against.auroc") ==
              il_audit_value(audit, "probe.auroc"));
    ck_assert(il_audit_value(audit, "probe.against.tpr") ==
              il_audit_value(audit, "probe.tpr"));
    ck_assert(il_audit_value(audit, "probe.gap.auroc") == 0);
    ck_assert(isnan(il_audit_value(audit, "ideal.against.auroc")));
    ck_assert_int_eq(audit->looks, 2); /* once for itself, once beside probe */
    il_audit_destroy(audit);
    /* Another that tells nothing apart. */
    values[0] = blind;
    values[1] = w.probe_values[1];
    ideal.values = values;
    ck_assert_int_eq(il_audit_run(&audit, &in, &w.err), IL_OK);
    ck_assert(il_audit_value(audit, "probe.against.auroc") == 0.5);
    ck_assert(il_audit_value(audit, "probe.gap.auroc") ==
              il_audit_value(audit, "probe.auroc") - 0.5);
    il_audit_destroy(audit);
}
END_TEST

START_TEST(a_named_detector_that_is_not_there_is_refused)
{
    il_audit *audit = NULL;

    fit_and_calibrate(&w);
    spec.against = "ideal";
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(w.err.message, "'ideal'"));
    ck_assert_ptr_null(audit);
}
END_TEST

START_TEST(documents_that_were_fitted_on_cannot_judge)
{
    static const char *const spent[] = {"fit", "again", "calib"};

    fit_and_calibrate(&w);
    for (size_t i = 0; i < 3; i++) {
        il_audit *audit = NULL;

        splits[0] = spent[i];
        w.err = (il_error){0};
        ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_ERR_INPUT);
        ck_assert_ptr_nonnull(strstr(w.err.message, spent[i]));
        ck_assert_ptr_null(audit);
    }
}
END_TEST

START_TEST(a_look_at_a_vault_detector_is_counted)
{
    il_audit *audit = NULL;

    fit_and_calibrate(&w);
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_OK);
    ck_assert_int_eq(audit->looks, 0);
    il_audit_destroy(audit);
    w.spec.vault = true;
    ck_assert_int_eq(audit_of(&w, NULL, &audit), IL_OK);
    ck_assert_int_eq(audit->looks, 1);
    il_audit_destroy(audit);
}
END_TEST

START_TEST(two_workers_audit_to_the_bits_of_one)
{
    world two;
    il_audit *a = NULL;
    il_audit *b = NULL;

    world_open(&two, 2);
    fit_and_calibrate(&w);
    fit_and_calibrate(&two);
    want_fresh(3);
    whole = true;
    ck_assert_int_eq(audit_of(&w, w.values, &a), IL_OK);
    ck_assert_int_eq(audit_of(&two, two.values, &b), IL_OK);
    ck_assert(json_equal(a->json, b->json));
    il_audit_destroy(a);
    il_audit_destroy(b);
    world_close(&two);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *tc = tcase_create("audit");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, only_asked_positions_are_drawn_and_only_from_what_is_allowed);
    tcase_add_test(tc, two_workers_write_the_text_of_one);
    tcase_add_test(tc, an_audit_reports_what_the_scores_say);
    tcase_add_test(tc, other_weights_change_what_is_flagged_now_and_not_then);
    tcase_add_test(tc, other_text_under_the_same_reading_moves_one_axis_of_the_cells);
    tcase_add_test(tc, other_reading_of_the_same_text_moves_the_other_axis);
    tcase_add_test(tc, the_cells_of_then_are_those_of_an_audit_made_then);
    tcase_add_test(tc, a_zero_that_has_moved_is_that_of_now_alone);
    tcase_add_test(tc, a_detector_that_was_refitted_is_compared_with_what_it_was_then);
    tcase_add_test(tc, a_fresh_reader_is_a_detector_fitted_on_the_anchors);
    tcase_add_test(tc, fresh_readers_in_closed_form_say_where_there_is_nothing_to_fit);
    tcase_add_test(tc, a_random_models_floor_is_the_same_under_any_weights);
    tcase_add_test(tc, labels_dealt_anew_teach_a_reader_nothing);
    tcase_add_test(tc, a_whole_audit_reads_at_the_last_residual_stream_too);
    tcase_add_test(tc, anchors_cannot_judge);
    tcase_add_test(tc, what_an_audit_names_is_checked_before_it_runs);
    tcase_add_test(tc, a_named_detector_is_scored_on_the_rows_of_the_others);
    tcase_add_test(tc, a_named_detector_that_is_not_there_is_refused);
    tcase_add_test(tc, documents_that_were_fitted_on_cannot_judge);
    tcase_add_test(tc, a_look_at_a_vault_detector_is_counted);
    tcase_add_test(tc, two_workers_audit_to_the_bits_of_one);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
