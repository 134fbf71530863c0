/* An agent in two boxes. A GRU over observations and actions holds the beliefs, and a
 * head predicts from them, and from the action, what will be observed next. Policy and
 * value are heads of their own on the same state: the desires. Nothing is detached
 * here: which box a signal trains is for its route to say. */
#include <interloop/plugin.h>
#include <math.h>
#include <stdio.h>

/* One hidden layer: tanh(x w_in^T + b_in) w_out^T + b_out. */
typedef struct head {
    il_param w_in;
    il_param b_in;
    il_param w_out;
    il_param b_out;
} head;

typedef struct agent {
    int64_t hidden;      /* H */
    int64_t observation; /* W */
    int64_t classes;     /* the first so many of W are one choice */
    int64_t actions;     /* A */
    il_param w_input;    /* (3H,W+A) */
    il_param b_input;    /* (3H) */
    il_param w_hidden;   /* (3H,H) */
    il_param b_hidden;   /* (3H) */
    head prediction;     /* H+A -> W */
    head policy;         /* H -> A */
    head value;          /* H -> 1 */
    il_site obs;
    il_site action;
    il_site mean;
    il_site state;
} agent;

static const il_param_spec params[] = {
    IL_PARAM_INT("hidden", "32", 1, 65536, "channels", "width of the belief"),
    IL_PARAM_INT("prediction_hidden", "32", 1, 65536, "channels",
                 "hidden layer of the head that predicts the next observation"),
    IL_PARAM_INT("policy_hidden", "32", 1, 65536, "channels",
                 "hidden layer of the policy"),
    IL_PARAM_INT("value_hidden", "32", 1, 65536, "channels",
                 "hidden layer of the value")};

/* ---- create --------------------------------------------------------------------- */

/* Weights start uniform within 1/sqrt(inputs), those of the last layer `last` times
 * that; biases start at zero. */
static il_status head_declare(const il_setup *s, head *h, const char *prefix,
                              int64_t inputs, int64_t hidden, int64_t outputs,
                              double last, il_error *err)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%s.W_in", prefix);
    IL_TRY(il_setup_param(s, &h->w_in, name, IL_SHAPE(hidden, inputs),
                          IL_INIT_UNIFORM(1.0 / sqrt((double)inputs)), err));
    (void)snprintf(name, sizeof name, "%s.b_in", prefix);
    IL_TRY(il_setup_param(s, &h->b_in, name, IL_SHAPE(hidden), IL_INIT_ZERO, err));
    (void)snprintf(name, sizeof name, "%s.W_out", prefix);
    IL_TRY(il_setup_param(s, &h->w_out, name, IL_SHAPE(outputs, hidden),
                          IL_INIT_UNIFORM(last / sqrt((double)hidden)), err));
    (void)snprintf(name, sizeof name, "%s.b_out", prefix);
    return il_setup_param(s, &h->b_out, name, IL_SHAPE(outputs), IL_INIT_ZERO, err);
}

static il_status belief_declare(const il_setup *s, agent *a, il_error *err)
{
    const il_init init = IL_INIT_UNIFORM(1.0 / sqrt((double)a->hidden));
    const int64_t gates = 3 * a->hidden;

    IL_TRY(il_setup_param(s, &a->w_input, "gru.W_input",
                          IL_SHAPE(gates, a->observation + a->actions), init, err));
    IL_TRY(il_setup_param(s, &a->b_input, "gru.b_input", IL_SHAPE(gates), IL_INIT_ZERO,
                          err));
    IL_TRY(il_setup_param(s, &a->w_hidden, "gru.W_hidden", IL_SHAPE(gates, a->hidden),
                          init, err));
    return il_setup_param(s, &a->b_hidden, "gru.b_hidden", IL_SHAPE(gates),
                          IL_INIT_ZERO, err);
}

/* The sizes that the environment publishes. */
static il_status facts_read(const il_setup *s, agent *a, il_error *err)
{
    if (!il_setup_fact(s, "observation", &a->observation) || a->observation < 1 ||
        !il_setup_fact(s, "actions", &a->actions) || a->actions < 1) {
        return il_error_set(err, IL_ERR_INPUT, "belief_desire",
                            "nobody publishes the facts observation and actions; "
                            "expected an environment of steps");
    }
    if (!il_setup_fact(s, "observation_classes", &a->classes)) {
        a->classes = 0;
    }
    if (a->classes < 0 || a->classes > a->observation) {
        return il_error_set(err, IL_ERR_INPUT, "belief_desire",
                            "the environment publishes observation_classes %lld; "
                            "expected from 0 to observation, %lld",
                            (long long)a->classes, (long long)a->observation);
    }
    return IL_OK;
}

/* [setup] */
static il_status agent_create(const il_setup *s, void **self, il_error *err)
{
    agent *a = il_setup_new(s, sizeof *a);

    if (a == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "belief_desire", "out of memory");
    }
    a->hidden = il_setup_int(s, "hidden");
    IL_TRY(facts_read(s, a, err));
    il_setup_group(s, "belief");
    IL_TRY(belief_declare(s, a, err));
    il_setup_group(s, "prediction");
    IL_TRY(head_declare(s, &a->prediction, "prediction", a->hidden + a->actions,
                        il_setup_int(s, "prediction_hidden"), a->observation, 1.0,
                        err));
    il_setup_group(s, "desire");
    /* Small, so that a new policy is nearly even and a new value nearly 0. */
    IL_TRY(head_declare(s, &a->policy, "policy", a->hidden,
                        il_setup_int(s, "policy_hidden"), a->actions, 0.1, err));
    IL_TRY(head_declare(s, &a->value, "value", a->hidden,
                        il_setup_int(s, "value_hidden"), 1, 0.1, err));

    IL_TRY(il_setup_add_site(s, &a->obs, "input.obs", a->observation, err));
    IL_TRY(il_setup_add_site(s, &a->action, "input.action", a->actions, err));
    IL_TRY(il_setup_add_site(s, &a->mean, "belief.hook_mean", a->hidden, err));
    IL_TRY(il_setup_add_site(s, &a->state, "belief.hook_state", a->hidden, err));
    IL_TRY(il_setup_output(s, "policy", a->actions, err));
    IL_TRY(il_setup_output(s, "value", 1, err));
    IL_TRY(il_setup_loss(s, "prediction", "moves", err));
    *self = a;
    return IL_OK;
}

/* ---- what comes in -------------------------------------------------------------- */

/* A field of the batch, (B,L) or (B,L,W) with `width`, any L for a `length` of -1; NULL
 * and a stuck error when it is something else. */
static const il_tensor *field(il_pass *pass, const il_batch *batch, const char *name,
                              uint8_t code, int64_t length, int64_t width)
{
    const il_tensor *t = il_batch_find(batch, name);
    const int32_t ndim = width > 0 ? 3 : 2;

    if (t == NULL || t->ndim != ndim || t->dtype.code != code || t->dtype.bits != 32 ||
        (length >= 0 && t->shape[1] != length) || (width > 0 && t->shape[2] != width)) {
        char message[160];
        char sizes[64] = "";

        if (width > 0) {
            (void)snprintf(sizes, sizeof sizes, ",%lld", (long long)width);
        }
        (void)snprintf(message, sizeof message,
                       "belief_desire: expected the field %s, %s of shape (B,L%s) with "
                       "the L of obs",
                       name, code == IL_CODE_INT ? "i32" : "f32", sizes);
        il_pass_fail(pass, IL_ERR_SHAPE, message);
        return NULL;
    }
    return t;
}

/* One-hot rows (B,L,A) of actions (B,L), `shift` positions later; zeros where there is
 * none. */
static il_tensor *one_hot(il_pass *pass, const agent *a, const il_tensor *actions,
                          int64_t shift)
{
    const int64_t rows = actions->shape[0];
    const int64_t length = actions->shape[1];
    il_tensor *y = il_constant(pass, IL_SHAPE(rows, length, a->actions), NULL);
    float *out = il_f32(y);

    for (int64_t i = 0; out != NULL && i < rows * length; i++) {
        const int32_t action = il_i32(actions)[i];

        if (action >= a->actions) {
            char message[96];

            (void)snprintf(message, sizeof message,
                           "belief_desire: action %d, expected below %lld", (int)action,
                           (long long)a->actions);
            il_pass_fail(pass, IL_ERR_INPUT, message);
            return y;
        }
        if (action >= 0 && i % length + shift < length) {
            out[(i + shift) * a->actions + action] = 1.0f;
        }
    }
    return y;
}

/* (B,L,W+A): the observation of each position and the action before it. */
static il_tensor *input(il_pass *pass, const agent *a, const il_tensor *obs,
                        il_tensor *before)
{
    il_tensor *parts[2];

    parts[0] =
        il_hook(pass, a->obs, il_constant(pass, obs->ndim, obs->shape, il_f32(obs)));
    parts[1] = il_hook(pass, a->action, before);
    return il_concat(pass, 2, parts);
}

/* ---- beliefs -------------------------------------------------------------------- */

static il_tensor *recur(il_pass *pass, const agent *a, il_tensor *x, il_tensor *before)
{
    return il_gru(pass, x, il_use(pass, a->w_input), il_use(pass, a->b_input),
                  il_use(pass, a->w_hidden), il_use(pass, a->b_hidden), before);
}

/* The means that the samples before them lead to, every position by itself: a sample
 * stands between two positions, so nothing is differentiated through time. */
static il_tensor *means_after(il_pass *pass, const agent *a, il_tensor *x,
                              const il_tensor *sampled)
{
    il_tensor *before = il_constant(pass, 3, sampled->shape, NULL);
    const int64_t row = sampled->shape[1] * a->hidden;

    for (int64_t b = 0; il_f32(before) != NULL && b < sampled->shape[0]; b++) {
        memcpy(il_f32(before) + b * row + a->hidden, il_f32(sampled) + b * row,
               (size_t)(row - a->hidden) * sizeof(float));
    }
    return il_gru_cell(pass, x, before, il_use(pass, a->w_input),
                       il_use(pass, a->b_input), il_use(pass, a->w_hidden),
                       il_use(pass, a->b_hidden));
}

/* The sample as a constant that still says what its value came from. */
static il_tensor *sample_of(il_pass *pass, il_tensor *mean, const il_tensor *sampled)
{
    il_tensor *nothing = il_affine(pass, il_detach(pass, mean), 0.0f, 0.0f);

    return il_add(pass, il_constant(pass, 3, sampled->shape, il_f32(sampled)), nothing);
}

/* ---- heads ---------------------------------------------------------------------- */

static il_tensor *hidden_layer(il_pass *pass, const head *h, il_tensor *x)
{
    return il_linear_act(pass, x, il_use(pass, h->w_in), il_use(pass, h->b_in),
                         IL_ACT_TANH);
}

static void desires(il_pass *pass, const agent *a, il_tensor *state)
{
    il_output_linear(pass, "policy", hidden_layer(pass, &a->policy, state),
                     il_use(pass, a->policy.w_out), il_use(pass, a->policy.b_out));
    if (il_output_wanted(pass, "value")) {
        il_output_linear(pass, "value", hidden_layer(pass, &a->value, state),
                         il_use(pass, a->value.w_out), il_use(pass, a->value.b_out));
    }
}

/* What the next observation (B,L,W) is, as targets of its two parts: which of its
 * classes (B,L), and the numbers after them (B,L,W-classes). A last position has no
 * next; the weight of its row is 0. */
static void targets(il_pass *pass, const agent *a, const il_tensor *obs,
                    il_tensor **classes, il_tensor **binary)
{
    const int64_t rows = obs->shape[0];
    const int64_t length = obs->shape[1];
    const int64_t left = a->observation - a->classes;

    *classes = il_integers(pass, IL_SHAPE(rows, length), NULL);
    *binary = il_constant(pass, IL_SHAPE(rows, length, left), NULL);
    for (int64_t i = 0; !il_pass_failed(pass) && i < rows * length; i++) {
        const float *next = il_f32(obs) + (i + 1) * a->observation;
        int32_t most = 0;

        if (i % length == length - 1) {
            il_i32(*classes)[i] = -1;
            continue;
        }
        for (int32_t k = 1; k < a->classes; k++) {
            most = next[k] > next[most] ? k : most;
        }
        il_i32(*classes)[i] = most;
        for (int64_t k = 0; k < left; k++) {
            il_f32(*binary)[i * left + k] = next[a->classes + k];
        }
    }
}

/* One row a position: the cross-entropy of the next observation's class and of each of
 * its binary numbers, from the belief and the action taken. */
static void predict(il_pass *pass, const agent *a, il_tensor *belief,
                    const il_tensor *obs, const il_tensor *actions)
{
    const int64_t left = a->observation - a->classes;
    il_tensor *parts[2] = {belief, one_hot(pass, a, actions, 0)};
    il_tensor *h = hidden_layer(pass, &a->prediction, il_concat(pass, 2, parts));
    il_tensor *logits = il_linear(pass, h, il_use(pass, a->prediction.w_out),
                                  il_use(pass, a->prediction.b_out));
    il_tensor *rows = NULL;
    il_tensor *classes;
    il_tensor *binary;

    targets(pass, a, obs, &classes, &binary);
    if (a->classes > 0) {
        rows = il_cross_entropy(pass, il_slice(pass, logits, 0, a->classes), classes);
    }
    if (left > 0) {
        il_tensor *each =
            il_bce_logits(pass, il_slice(pass, logits, a->classes, left), binary);

        each = il_row_sum(pass, each);
        rows = rows != NULL ? il_add(pass, rows, each) : each;
    }
    il_loss(pass, "prediction", rows);
}

/* ---- forward -------------------------------------------------------------------- */

/* [work] */
static void agent_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const agent *a = self;
    const il_tensor *obs = field(pass, batch, "obs", IL_CODE_FLOAT, -1, a->observation);
    const il_tensor *actions = NULL;
    const il_tensor *sampled = NULL;
    il_tensor *x;
    il_tensor *mean;
    il_tensor *state;

    if (obs != NULL) {
        actions = field(pass, batch, "action", IL_CODE_INT, obs->shape[1], 0);
    }
    if (actions != NULL && il_batch_find(batch, "sampled") != NULL) {
        sampled =
            field(pass, batch, "sampled", IL_CODE_FLOAT, obs->shape[1], a->hidden);
    }
    if (il_pass_failed(pass)) {
        return;
    }
    x = input(pass, a, obs, one_hot(pass, a, actions, 1));
    mean = sampled != NULL ? means_after(pass, a, x, sampled) : recur(pass, a, x, NULL);
    mean = il_hook(pass, a->mean, mean);
    state = sampled != NULL ? sample_of(pass, mean, sampled) : mean;
    state = il_hook(pass, a->state, state);
    desires(pass, a, state);
    predict(pass, a, sampled != NULL ? mean : state, obs, actions);
}

/* ---- acting --------------------------------------------------------------------- */

/* [any] A row carries its belief. */
static int64_t agent_carry_width(const void *self, int64_t length)
{
    (void)length;
    return ((const agent *)self)->hidden;
}

/* [work] */
static void agent_step(const void *self, il_pass *pass, const il_batch *batch,
                       int64_t at, int64_t length, float *carry)
{
    const agent *a = self;
    const il_tensor *obs = field(pass, batch, "obs", IL_CODE_FLOAT, -1, a->observation);
    const il_tensor *before = NULL;
    const il_tensor *noise = NULL;
    il_tensor *kept;
    il_tensor *state;
    const float *last;

    (void)at; /* the carry says it all */
    (void)length;
    if (obs != NULL) {
        before = field(pass, batch, "previous", IL_CODE_INT, obs->shape[1], 0);
    }
    if (before != NULL && il_batch_find(batch, "noise") != NULL) {
        noise = field(pass, batch, "noise", IL_CODE_FLOAT, obs->shape[1], a->hidden);
        if (noise != NULL && obs->shape[1] != 1) {
            il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                         "belief_desire: noise is added one position at a time");
        }
    }
    if (il_pass_failed(pass)) {
        return;
    }
    /* The recurrence goes on with what stood before any edit, as it does in forward. */
    kept = recur(pass, a, input(pass, a, obs, one_hot(pass, a, before, 0)),
                 il_constant(pass, IL_SHAPE(obs->shape[0], a->hidden), carry));
    state = il_hook(pass, a->mean, kept);
    if (noise != NULL) {
        il_tensor *drawn = il_constant(pass, 3, noise->shape, il_f32(noise));
        il_tensor *sum = il_add(pass, state, drawn);

        kept = state == kept ? sum : il_add(pass, kept, drawn);
        state = sum;
    }
    desires(pass, a, il_hook(pass, a->state, state));
    last = il_f32(kept);
    for (int64_t b = 0; last != NULL && b < obs->shape[0]; b++) {
        memcpy(carry + b * a->hidden, last + ((b + 1) * obs->shape[1] - 1) * a->hidden,
               (size_t)a->hidden * sizeof *carry);
    }
}

static const il_model_api api = {.struct_size = sizeof(il_model_api),
                                 .create = agent_create,
                                 .forward = agent_forward,
                                 .carry_width = agent_carry_width,
                                 .step = agent_step};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "an agent whose beliefs and desires are boxes of their own",
          IL_MODEL("belief_desire", "GRU beliefs, prediction, policy and value heads",
                   &api, IL_PARAMS(params)))
