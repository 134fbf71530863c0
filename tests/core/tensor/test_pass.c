#include "base/arena.h"
#include "base/threads.h"
#include "core/tensor/check_grad.h"

/* A model of two layers, (N,3) -> (N,4) -> (N,2), with a site of each layer's output.
 */
enum { W1, B1, W2, B2, PARAMS };
enum { N = 6, IN = 3, MID = 4, OUT = 2 };

typedef struct net {
    il_pass *pass;
    il_store *store;
    const float *values[PARAMS];
    float x[N * IN];
    float seed[N * OUT];
    float *grads[PARAMS];
    il_scope scope;
    il_tensor *mid;
    il_tensor *mid_hooked;
    il_tensor *out;
} net;

static void net_open(net *n, int64_t first_bit, size_t bits)
{
    static const char *const names[] = {"w1", "b1", "w2", "b2"};
    static const int64_t shapes[][2] = {{MID, IN}, {MID, 0}, {OUT, MID}, {OUT, 0}};

    memset(n, 0, sizeof *n);
    ck_assert_int_eq(il_store_create(&n->store, NULL), IL_OK);
    for (int i = 0; i < PARAMS; i++) {
        ck_assert_int_eq(il_store_add(n->store, names[i], i < W2 ? "low" : "high",
                                      shapes[i][1] > 0 ? 2 : 1, shapes[i],
                                      IL_INIT_NORMAL(0.7), NULL),
                         IL_OK);
    }
    ck_assert_int_eq(il_store_fill(n->store, 3, NULL), IL_OK);
    for (int i = 0; i < PARAMS; i++) {
        n->values[i] = n->store->values + n->store->items[i].offset;
        n->grads[i] = calloc(16, sizeof(float));
    }
    n->scope = (il_scope){"model", n->store, n->values, first_bit};
    grad_draw(n->x, N * IN, 5, 0.0f, false);
    grad_draw(n->seed, N * OUT, 6, 0.0f, false);
    ck_assert_int_eq(il_pass_create(&n->pass, grad_blas(), bits, NULL), IL_OK);
}

static void net_close(net *n)
{
    for (int i = 0; i < PARAMS; i++) {
        free(n->grads[i]);
    }
    il_pass_destroy(n->pass);
    il_store_destroy(n->store);
}

static void net_forward(net *n)
{
    il_pass *p = n->pass;
    il_tensor *x;

    il_pass_begin(p);
    il_pass_enter(p, &n->scope);
    x = il_constant(p, IL_SHAPE(N, IN), n->x);
    n->mid = il_linear_act(p, x, il_use(p, (il_param){W1}), il_use(p, (il_param){B1}),
                           IL_ACT_GELU);
    n->mid_hooked = il_hook(p, (il_site){0}, n->mid);
    n->out = il_linear(p, n->mid_hooked, il_use(p, (il_param){W2}),
                       il_use(p, (il_param){B2}));
    n->out = il_hook(p, (il_site){1}, n->out);
    il_output(p, "logits", n->out);
    il_loss(p, "rows", il_row_sum(p, n->out));
    il_pass_leave(p);
}

static void net_backward(net *n, il_word route, float *const *grads)
{
    il_error err = {0};

    ck_assert_msg(il_pass_backward(n->pass, 1, &n->out, (const float *[]){n->seed},
                                   &route, grads, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
}

/* ---- routes ---- */

START_TEST(what_lies_outside_the_route_keeps_its_bits)
{
    for (il_word route = 0; route < 16; route++) {
        net n;
        float before[16];

        net_open(&n, 0, PARAMS);
        for (int i = 0; i < 16; i++) {
            before[i] =
                i % 2 ? -0.0f : 1e-42f; /* bits that any addition would change */
        }
        for (int i = 0; i < PARAMS; i++) {
            memcpy(n.grads[i], before, sizeof before);
        }
        net_forward(&n);
        net_backward(&n, route, n.grads);
        for (int i = 0; i < PARAMS; i++) {
            bool same = memcmp(n.grads[i], before, sizeof before) == 0;

            ck_assert_int_eq(same, !(route >> i & 1));
        }
        net_close(&n);
    }
}
END_TEST

START_TEST(a_route_gives_the_bits_that_the_whole_backward_gives)
{
    net n;
    float whole[PARAMS][16] = {{0}};
    float *grads[PARAMS];

    net_open(&n, 0, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        grads[i] = whole[i];
    }
    net_forward(&n);
    net_backward(&n, 15, grads);
    for (int i = 0; i < PARAMS; i++) {
        float *one[PARAMS] = {0};

        one[i] = n.grads[i];
        net_backward(&n, (il_word)1 << i, one);
        ck_assert_int_eq(memcmp(n.grads[i], whole[i], sizeof whole[i]), 0);
    }
    net_close(&n);
}
END_TEST

START_TEST(backwards_on_one_tape_are_independent_and_repeatable)
{
    net n;
    float first[PARAMS][16] = {{0}};
    float again[PARAMS][16] = {{0}};
    float *a[PARAMS];
    float *b[PARAMS];
    size_t peak;

    net_open(&n, 0, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        a[i] = first[i];
        b[i] = again[i];
    }
    net_forward(&n);
    net_backward(&n, 15, a);
    peak = il_pass_peak(n.pass);
    net_backward(&n, 3, n.grads);
    net_backward(&n, 12, n.grads);
    net_backward(&n, 15, b);
    ck_assert_int_eq(memcmp(first, again, sizeof first), 0);
    ck_assert_uint_eq(il_pass_peak(n.pass), peak);
    net_close(&n);
}
END_TEST

START_TEST(roots_add_up_and_may_be_parameters_and_views)
{
    net n;
    float seed[MID] = {1, 2, 3, 4};
    il_tensor *roots[3];
    const float *seeds[3] = {seed, seed, seed};
    il_word route = 1 << B1;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    il_pass_enter(n.pass, &n.scope);
    roots[0] = il_use(n.pass, (il_param){B1});
    roots[1] = il_reshape(n.pass, roots[0], IL_SHAPE(2, 2));
    roots[2] = il_affine(n.pass, roots[0], 2.0f, 0.0f);
    ck_assert_int_eq(il_pass_backward(n.pass, 3, roots, seeds, &route, n.grads, NULL),
                     IL_OK);
    for (int i = 0; i < MID; i++) {
        ck_assert(n.grads[B1][i] == 4.0f * seed[i]);
    }
    net_close(&n);
}
END_TEST

/* ---- ancestries ---- */

START_TEST(ancestries_are_the_or_of_the_inputs)
{
    net n;

    net_open(&n, 70, 74); /* bits 70 to 73: the second word */
    net_forward(&n);
    ck_assert_uint_eq(il_pass_words(n.pass), 2);
    ck_assert_uint_eq(il_tensor_g(n.mid)[0], 0);
    ck_assert_uint_eq(il_tensor_g(n.mid)[1], (il_word)3 << 6);
    ck_assert_uint_eq(il_tensor_v(n.mid)[1], (il_word)3 << 6);
    ck_assert_uint_eq(il_tensor_g(n.out)[1], (il_word)15 << 6);
    ck_assert_uint_eq(il_tensor_v(n.out)[1], (il_word)15 << 6);
    net_close(&n);
}
END_TEST

START_TEST(detaching_clears_g_and_keeps_v)
{
    net n;
    il_tensor *d;
    il_tensor *y;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    d = il_detach(n.pass, n.out);
    ck_assert_ptr_eq(d->data, n.out->data);
    ck_assert_uint_eq(il_tensor_g(d)[0], 0);
    ck_assert_uint_eq(il_tensor_v(d)[0], 15);
    il_pass_enter(n.pass, &n.scope);
    y = il_mul(n.pass, d, il_use(n.pass, (il_param){B2}));
    ck_assert_uint_eq(il_tensor_g(y)[0], 1 << B2);
    ck_assert_uint_eq(il_tensor_v(y)[0], 15);
    net_close(&n);
}
END_TEST

START_TEST(a_leaf_remembers_what_it_depends_on)
{
    net n;
    il_word v = 5;
    float data[2] = {1, 2};
    il_tensor *leaf;
    il_tensor *none;

    net_open(&n, 0, PARAMS);
    il_pass_begin(n.pass);
    leaf = il_pass_leaf(n.pass, IL_SHAPE(2), data, &v);
    none = il_pass_leaf(n.pass, IL_SHAPE(2), data, NULL);
    data[0] = 9;
    v = 0;
    ck_assert(il_f32(leaf)[0] == 1.0f);
    ck_assert_uint_eq(il_tensor_v(leaf)[0], 5);
    ck_assert_uint_eq(il_tensor_g(leaf)[0], 0);
    ck_assert_uint_eq(il_tensor_v(none)[0], 0);
    ck_assert_uint_eq(il_tensor_v(il_add(n.pass, none, leaf))[0], 5);
    net_close(&n);
}
END_TEST

START_TEST(targets_give_their_v_but_take_no_gradient)
{
    net n;
    float x[MID] = {0.5f, -1, 2, 0};
    il_tensor *y;

    net_open(&n, 0, PARAMS);
    il_pass_enter(n.pass, &n.scope);
    y = il_bce_logits(
        n.pass, il_use(n.pass, (il_param){B1}),
        il_sigmoid(n.pass, il_mul(n.pass, il_pass_borrow(n.pass, IL_SHAPE(MID), x),
                                  il_sum(n.pass, il_use(n.pass, (il_param){B2})))));
    ck_assert_int_eq(il_pass_status(n.pass, NULL), IL_OK);
    ck_assert_uint_eq(il_tensor_g(y)[0], 1 << B1);
    ck_assert_uint_eq(il_tensor_v(y)[0], 1 << B1 | 1 << B2);
    net_close(&n);
}
END_TEST

/* ---- scopes ---- */

START_TEST(a_parameter_has_one_leaf_in_a_pass)
{
    net n;
    const float *shadow[PARAMS];
    float other[MID] = {9, 9, 9, 9};
    il_scope inner;
    il_scope plain;
    il_tensor *leaf;
    il_tensor *shadowed;

    net_open(&n, 0, 2 * PARAMS);
    memcpy(shadow, n.values, sizeof shadow);
    shadow[B1] = other;
    inner = (il_scope){"shadow", n.store, shadow, PARAMS};
    plain = (il_scope){"constant", n.store, n.values, -1};
    il_pass_enter(n.pass, &n.scope);
    leaf = il_use(n.pass, (il_param){B1});
    il_pass_enter(n.pass, &inner);
    shadowed = il_use(n.pass, (il_param){B1});
    il_pass_leave(n.pass);
    ck_assert_ptr_eq(il_use(n.pass, (il_param){B1}), leaf);
    il_pass_leave(n.pass);
    il_pass_enter(n.pass, &n.scope); /* a second visit finds the leaf of the first */
    ck_assert_ptr_eq(il_use(n.pass, (il_param){B1}), leaf);
    il_pass_enter(n.pass, &plain);
    ck_assert_uint_eq(il_tensor_v(il_use(n.pass, (il_param){B1}))[0], 0);
    ck_assert_ptr_eq(leaf->data, n.values[B1]);
    ck_assert_ptr_eq(shadowed->data, other);
    ck_assert_uint_eq(il_tensor_g(leaf)[0], 1 << B1);
    ck_assert_uint_eq(il_tensor_g(shadowed)[0], 1 << (PARAMS + B1));
    net_close(&n);
}
END_TEST

START_TEST(using_a_parameter_that_is_not_there_is_an_error)
{
    net n;
    il_error err = {0};

    net_open(&n, 0, PARAMS);
    ck_assert_int_eq(il_count(il_use(n.pass, (il_param){W1})), 0);
    ck_assert_int_eq(il_pass_status(n.pass, &err), IL_ERR_INPUT);
    il_pass_begin(n.pass);
    il_pass_enter(n.pass, &n.scope);
    ck_assert_int_eq(il_count(il_use(n.pass, (il_param){PARAMS})), 0);
    ck_assert_int_eq(il_pass_status(n.pass, NULL), IL_ERR_INPUT);
    net_close(&n);
}
END_TEST

/* ---- sites, outputs, losses ---- */

/* What is kept of parameters that stand still holds until they move, and no longer. */
START_TEST(parameters_that_stand_still_are_multiplied_alike)
{
    net n;
    float out[2][N * OUT];

    net_open(&n, 0, PARAMS);
    for (int moved = 0; moved < 2; moved++) {
        net_forward(&n);
        memcpy(out[moved], n.out->data, sizeof out[moved]);
        il_pass_still(n.pass, true);
        for (int again = 0; again < 2; again++) {
            net_forward(&n);
            for (int i = 0; i < N * OUT; i++) {
                ck_assert_float_eq_tol(il_f32(n.out)[i], out[moved][i], 1e-5f);
            }
        }
        il_pass_still(n.pass, false);
        n.store->values[n.store->items[W1].offset] += 1.0f;
        n.store->values[n.store->items[W2].offset] += 1.0f;
    }
    ck_assert_int_ne(memcmp(out[0], out[1], sizeof out[0]), 0);
    net_close(&n);
}
END_TEST

START_TEST(only_the_output_that_is_read_is_wanted)
{
    net n;

    net_open(&n, 0, PARAMS);
    ck_assert(il_output_wanted(n.pass, "value") && il_output_wanted(n.pass, "policy"));
    il_pass_only(n.pass, "policy");
    il_pass_begin(n.pass);
    ck_assert(!il_output_wanted(n.pass, "value") && il_output_wanted(n.pass, "policy"));
    il_pass_only(n.pass, NULL);
    ck_assert(il_output_wanted(n.pass, "value"));
    net_close(&n);
}
END_TEST

/* A lent arena holds what a backward makes, and is as it was afterwards. */
START_TEST(a_backward_on_lent_memory_has_the_same_bits)
{
    net n;
    float grads[PARAMS][16] = {{0}};
    float *lent[PARAMS];
    il_arena *arena = il_arena_create(256);
    il_arena_mark before;

    net_open(&n, 0, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        lent[i] = grads[i];
    }
    net_forward(&n);
    net_backward(&n, 15, n.grads);
    ck_assert_ptr_nonnull(il_arena_alloc(arena, 64));
    before = il_arena_save(arena);
    il_pass_lend(n.pass, arena);
    net_backward(&n, 15, lent);
    ck_assert(il_arena_peak(arena) > 64);
    ck_assert_int_eq((int)il_arena_save(arena).used, (int)before.used);
    for (int i = 0; i < PARAMS; i++) {
        ck_assert_int_eq(memcmp(grads[i], n.grads[i], sizeof grads[i]), 0);
    }
    net_close(&n);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(reading_a_site_changes_no_bit)
{
    net n;
    float out[N * OUT];
    float grads[PARAMS][16] = {{0}};
    float *quiet[PARAMS];

    net_open(&n, 0, PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        quiet[i] = grads[i];
    }
    net_forward(&n);
    ck_assert(!il_hook_wanted(n.pass, (il_site){0}));
    ck_assert_ptr_null(il_pass_site(n.pass, 0));
    memcpy(out, n.out->data, sizeof out);
    net_backward(&n, 15, quiet);
    ck_assert_int_eq(il_pass_site_flag(n.pass, 0, IL_SITE_READ, NULL), IL_OK);
    ck_assert_int_eq(il_pass_site_flag(n.pass, 1, IL_SITE_READ, NULL), IL_OK);
    net_forward(&n);
    net_backward(&n, 15, n.grads);
    ck_assert(il_hook_wanted(n.pass, (il_site){0}));
    ck_assert_ptr_eq(n.mid_hooked, n.mid);
    ck_assert_ptr_eq(il_pass_site(n.pass, 0), n.mid);
    ck_assert_ptr_eq(il_pass_site(n.pass, 1), n.out);
    ck_assert_int_eq(memcmp(out, n.out->data, sizeof out), 0);
    for (int i = 0; i < PARAMS; i++) {
        ck_assert_int_eq(memcmp(grads[i], n.grads[i], sizeof grads[i]), 0);
    }
    il_pass_sites_clear(n.pass);
    net_forward(&n);
    ck_assert_ptr_null(il_pass_site(n.pass, 0));
    net_close(&n);
}
END_TEST

START_TEST(a_stopped_site_lets_no_gradient_through)
{
    net n;

    net_open(&n, 0, PARAMS);
    ck_assert_int_eq(il_pass_site_flag(n.pass, 0, IL_SITE_STOP | IL_SITE_READ, NULL),
                     IL_OK);
    net_forward(&n);
    net_backward(&n, 15, n.grads);
    ck_assert_uint_eq(il_tensor_g(n.out)[0], 1 << W2 | 1 << B2);
    ck_assert_uint_eq(il_tensor_v(n.out)[0], 15);
    ck_assert_ptr_ne(n.mid_hooked, n.mid);
    ck_assert_ptr_eq(il_pass_site(n.pass, 0), n.mid_hooked);
    for (int i = 0; i < 16; i++) {
        ck_assert(n.grads[W1][i] == 0.0f && n.grads[B1][i] == 0.0f);
    }
    ck_assert(n.grads[W2][0] != 0.0f && n.grads[B2][0] != 0.0f);
    net_close(&n);
}
END_TEST

START_TEST(outputs_and_losses_are_found_by_name)
{
    net n;
    il_tensor *h;
    il_tensor *w;
    il_tensor *b;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    ck_assert_ptr_eq(il_pass_output(n.pass, "logits"), n.out);
    ck_assert_ptr_null(il_pass_output(n.pass, "rows"));
    ck_assert_int_eq(il_count(il_pass_loss(n.pass, "rows")), N);
    ck_assert_ptr_null(il_pass_loss(n.pass, "logits"));
    ck_assert(!il_pass_output_head(n.pass, "logits", &h, &w, &b));
    il_pass_begin(n.pass);
    ck_assert_ptr_null(il_pass_output(n.pass, "logits"));
    ck_assert_ptr_null(il_pass_loss(n.pass, "rows"));
    net_close(&n);
}
END_TEST

START_TEST(a_linear_output_is_multiplied_out_once_and_when_asked)
{
    net n;
    il_tensor *h = NULL;
    il_tensor *w = NULL;
    il_tensor *b = NULL;
    il_tensor *y;
    size_t nodes;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    il_pass_enter(n.pass, &n.scope);
    il_output_linear(n.pass, "head", n.mid, il_use(n.pass, (il_param){W2}),
                     il_use(n.pass, (il_param){B2}));
    il_pass_leave(n.pass);
    nodes = il_pass_nodes(n.pass);
    ck_assert(il_pass_output_head(n.pass, "head", &h, &w, &b));
    ck_assert_ptr_eq(h, n.mid);
    ck_assert_ptr_eq(w->data, n.values[W2]);
    ck_assert_ptr_eq(b->data, n.values[B2]);
    ck_assert_uint_eq(il_pass_nodes(n.pass), nodes);
    y = il_pass_output(n.pass, "head");
    ck_assert_uint_eq(il_pass_nodes(n.pass), nodes + 1);
    ck_assert_ptr_eq(il_pass_output(n.pass, "head"), y);
    ck_assert_int_eq(memcmp(y->data, n.out->data, sizeof(float) * N * OUT), 0);
    ck_assert_uint_eq(il_tensor_g(y)[0], 15);
    net_close(&n);
}
END_TEST

/* ---- errors and memory ---- */

START_TEST(the_first_error_sticks_with_instance_op_and_shapes)
{
    net n;
    il_error err = {0};
    il_tensor *x;
    il_tensor *y;
    il_word route = 15;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    il_pass_enter(n.pass, &n.scope);
    x = il_constant(n.pass, IL_SHAPE(2, 5), NULL);
    y = il_linear(n.pass, x, il_use(n.pass, (il_param){W1}), NULL);
    ck_assert_ptr_null(y->data);
    ck_assert(il_pass_failed(n.pass));
    y = il_add(n.pass, il_relu(n.pass, y), x);
    ck_assert_ptr_null(y->data);
    ck_assert_int_eq(il_pass_status(n.pass, &err), IL_ERR_SHAPE);
    ck_assert_str_eq(err.where, "model");
    ck_assert_str_eq(err.message, "linear: expected x (...,I), w (O,I), b (O) or none; "
                                  "got (2,5), (4,3), none");
    ck_assert_int_eq(il_pass_backward(n.pass, 1, &n.out, (const float *[]){n.seed},
                                      &route, n.grads, NULL),
                     IL_ERR_SHAPE);
    il_pass_begin(n.pass);
    ck_assert_int_eq(il_pass_status(n.pass, NULL), IL_OK);
    il_pass_fail(n.pass, IL_ERR_INPUT, "the batch has no tokens");
    err = (il_error){0};
    ck_assert_int_eq(il_pass_status(n.pass, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "the batch has no tokens"));
    net_close(&n);
}
END_TEST

/* One wrong call of each op, and what the error must name. */
static il_tensor *wrong(il_pass *p, int which, il_tensor *a, const char **op)
{
    static const int32_t outside[] = {4, 0};
    static float half[] = {0.5f, 1.5f};
    il_tensor ids = {
        (void *)(uintptr_t)outside, IL_DEVICE_CPU, 0, {IL_CODE_INT, 32, 1}, 1, {2}};
    il_tensor *row = il_constant(p, IL_SHAPE(3), NULL);
    il_tensor *two = il_constant(p, IL_SHAPE(2), half);
    il_tensor *scalar = il_row_sum(p, row);
    static const il_custom bare = {sizeof bare, "bare", NULL, NULL};

    switch (which) {
    case 0:
        return *op = "matmul", il_matmul(p, a, row, false);
    case 1:
        return *op = "activate", il_activate(p, a, (il_act)99);
    case 2:
        return *op = "add", il_add(p, row, two);
    case 3:
        return *op = "sub", il_sub(p, two, a);
    case 4:
        return *op = "mul", il_mul(p, row, a);
    case 5:
        return *op = "softmax", il_softmax(p, scalar);
    case 6:
        return *op = "log_softmax", il_log_softmax(p, scalar);
    case 7:
        return *op = "layer_norm", il_layer_norm(p, a, row, NULL, 1e-5f);
    case 8:
        return *op = "rms_norm", il_rms_norm(p, a, row, 1e-5f);
    case 9:
        return *op = "causal_attention", il_causal_attention(p, a, 2, NULL);
    case 10:
        return *op = "embedding", il_embedding(p, a, &ids);
    case 11:
        return *op = "cross_entropy",
               il_cross_entropy(p, il_reshape(p, a, IL_SHAPE(2, 4)), &ids);
    case 12:
        return *op = "cross_entropy_linear",
               il_cross_entropy_linear(p, il_reshape(p, a, IL_SHAPE(2, 4)), a, NULL,
                                       &ids);
    case 13:
        return *op = "bce_logits", il_bce_logits(p, two, two);
    case 14:
        return *op = "gather_rows", il_gather_rows(p, a, 2, outside);
    case 15:
        return *op = "concat", il_concat(p, 2, (il_tensor *[]){a, row});
    case 16:
        return *op = "slice", il_slice(p, a, 3, 2);
    case 17:
        return *op = "reshape", il_reshape(p, a, IL_SHAPE(3, 3));
    case 18:
        return *op = "row_sum", il_row_sum(p, scalar);
    case 19:
        return *op = "sum", il_sum(p, NULL);
    case 20:
        return *op = "constant", il_constant(p, IL_SHAPE(1 << 20, 1 << 20), NULL);
    case 21:
        return *op = "custom", il_custom_op(p, &bare, NULL, 0, NULL, IL_SHAPE(1));
    case 22:
        return *op = "embedding", il_embedding(p, a, a);
    case 23:
        return *op = "causal_attention",
               il_causal_attention(p, il_reshape(p, a, IL_SHAPE(1, 2, 4)), 0, NULL);
    case 24:
        return *op = "linear", il_linear(p, &ids, a, NULL);
    case 25:
        return *op = "entropy_rows", il_entropy_rows(p, scalar);
    case 26:
        return *op = "kl_rows", il_kl_rows(p, a, row);
    case 27:
        return *op = "gru", il_gru(p, a, a, row, a, row, NULL);
    case 28:
        return *op = "gru_cell", il_gru_cell(p, a, row, a, row, a, row);
    case 29:
        return *op = "cached_attention", il_cached_attention(p, a, 2, 0, 1, half, 2);
    case 30:
        return *op = "integers", il_integers(p, IL_SHAPE(1 << 20, 1 << 20), NULL);
    case 31:
        return *op = "add", il_add(p, il_integers(p, IL_SHAPE(2), outside), two);
    case 32:
        il_cached_positions(p, a, 2, 0, 1, half, 2);
        return *op = "cached_positions", il_add(p, a, a);
    default:
        return NULL;
    }
}

START_TEST(every_op_refuses_what_does_not_fit_and_names_itself)
{
    net n;
    il_error err = {0};
    const char *op = NULL;
    float a[8] = {0};

    net_open(&n, 0, PARAMS);
    ck_assert_ptr_null(
        wrong(n.pass, _i, il_constant(n.pass, IL_SHAPE(4, 2), a), &op)->data);
    ck_assert_int_ne(il_pass_status(n.pass, &err), IL_OK);
    ck_assert_msg(strncmp(err.message, op, strlen(op)) == 0 &&
                      err.message[strlen(op)] == ':',
                  "%s: %s", op, err.message);
    net_close(&n);
}
END_TEST

START_TEST(a_backward_from_an_empty_tensor_is_an_error)
{
    net n;
    il_tensor *none = NULL;
    il_word route = 15;
    il_error err = {0};

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    ck_assert_int_eq(il_pass_backward(n.pass, 1, &none, (const float *[]){n.seed},
                                      &route, n.grads, &err),
                     IL_ERR_INPUT);
    net_close(&n);
}
END_TEST

START_TEST(memory_does_not_grow_from_pass_to_pass)
{
    net n;
    size_t peak;

    net_open(&n, 0, PARAMS);
    net_forward(&n);
    net_backward(&n, 15, n.grads);
    peak = il_pass_peak(n.pass);
    for (int i = 0; i < 50; i++) {
        net_forward(&n);
        net_backward(&n, 15, n.grads);
        net_backward(&n, 5, n.grads);
    }
    ck_assert_uint_eq(il_pass_peak(n.pass), peak);
    net_close(&n);
}
END_TEST

/* Checks nothing, as only the first thread may: nets are compared when all are done. */
static void run_net(void *user, int task, int worker)
{
    net *n = (net *)user + task;
    il_word route = 15;

    (void)worker;
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < PARAMS; j++) {
            memset(n->grads[j], 0, 16 * sizeof(float));
        }
        net_forward(n);
        (void)il_pass_backward(n->pass, 1, &n->out, (const float *[]){n->seed}, &route,
                               n->grads, NULL);
    }
}

START_TEST(passes_side_by_side_give_the_bits_of_one_alone)
{
    enum { TASKS = 8 };
    net nets[TASKS + 1];
    il_pool *pool = NULL;

    for (int i = 0; i <= TASKS; i++) {
        net_open(&nets[i], 0, PARAMS);
    }
    ck_assert_int_eq(il_pool_create(&pool, 2, NULL), IL_OK);
    il_pool_run(pool, TASKS, run_net, nets);
    il_pool_destroy(pool);
    run_net(nets, TASKS, 0);
    ck_assert(nets[TASKS].grads[W1][0] != 0.0f);
    for (int i = 0; i <= TASKS; i++) {
        ck_assert_int_eq(il_pass_status(nets[i].pass, NULL), IL_OK);
        for (int j = 0; j < PARAMS; j++) {
            ck_assert_mem_eq(nets[i].grads[j], nets[TASKS].grads[j],
                             16 * sizeof(float));
        }
    }
    for (int i = 0; i <= TASKS; i++) {
        net_close(&nets[i]);
    }
}
END_TEST

START_TEST(integers_are_copied_and_serve_as_targets)
{
    net n;
    int32_t at[2] = {1, -1};
    float logits[4] = {0.0f, 2.0f, 0.0f, 2.0f};
    il_tensor *x;
    il_tensor *t;
    il_tensor *y;

    net_open(&n, -1, 0);
    t = il_integers(n.pass, IL_SHAPE(2), at);
    at[0] = 7;
    x = il_constant(n.pass, IL_SHAPE(2, 2), logits);
    y = il_cross_entropy(n.pass, x, t);
    ck_assert(fabsf(il_f32(y)[0] - log1pf(expf(-2.0f))) < 1e-6f);
    ck_assert_float_eq(il_f32(y)[1], 0.0f);
    t = il_integers(n.pass, IL_SHAPE(2), NULL);
    ck_assert_int_eq(t->dtype.code, IL_CODE_INT);
    ck_assert(il_i32(t)[0] == 0 && il_i32(t)[1] == 0);
    ck_assert_int_eq(il_pass_status(n.pass, NULL), IL_OK);
    net_close(&n);
}
END_TEST

START_TEST(constants_leave_no_nodes)
{
    net n;

    net_open(&n, -1, 0);
    net_forward(&n);
    ck_assert_uint_eq(il_pass_nodes(n.pass), 0);
    ck_assert_int_eq(il_pass_status(n.pass, NULL), IL_OK);
    net_close(&n);
}
END_TEST

int main(void)
{
    static const TTest *const *const tests[] = {
        &what_lies_outside_the_route_keeps_its_bits,
        &a_route_gives_the_bits_that_the_whole_backward_gives,
        &backwards_on_one_tape_are_independent_and_repeatable,
        &roots_add_up_and_may_be_parameters_and_views,
        &ancestries_are_the_or_of_the_inputs,
        &detaching_clears_g_and_keeps_v,
        &a_leaf_remembers_what_it_depends_on,
        &targets_give_their_v_but_take_no_gradient,
        &a_parameter_has_one_leaf_in_a_pass,
        &using_a_parameter_that_is_not_there_is_an_error,
        &parameters_that_stand_still_are_multiplied_alike,
        &only_the_output_that_is_read_is_wanted,
        &a_backward_on_lent_memory_has_the_same_bits,
        &reading_a_site_changes_no_bit,
        &a_stopped_site_lets_no_gradient_through,
        &outputs_and_losses_are_found_by_name,
        &a_linear_output_is_multiplied_out_once_and_when_asked,
        &the_first_error_sticks_with_instance_op_and_shapes,
        &a_backward_from_an_empty_tensor_is_an_error,
        &memory_does_not_grow_from_pass_to_pass,
        &integers_are_copied_and_serve_as_targets,
        &constants_leave_no_nodes,
        &passes_side_by_side_give_the_bits_of_one_alone,
    };
    Suite *suite = suite_create("pass");
    TCase *tcase = tcase_create("pass");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        tcase_add_test(tcase, *tests[i]);
    }
    tcase_add_loop_test(tcase, every_op_refuses_what_does_not_fit_and_names_itself, 0,
                        33);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
