/* One number of an attention pattern as a detector: how spread a query's attention is,
 * or how much of it lies on some position, over one head or all of them. Nothing is
 * fitted. */
#include "../patterns.h"

/* The share is held this far from 0 and 1, where its log odds would be infinite. */
#define MONITOR_MARGIN 1e-3f

typedef struct monitor {
    int64_t heads[PATTERNS_SITES];
    int64_t total;   /* of all sites */
    unsigned score;  /* a bit */
    int64_t head;    /* -1: all */
    bool largest;    /* of all the largest, not the mean */
    float direction; /* 1, or -1 where little alarms */
} monitor;

static const char *const over_names[] = {"mean", "max", NULL};
static const char *const side_names[] = {"high", "low", NULL};

static const il_param_spec params[] = {
    IL_PARAM_CHOICE(
        "score", "entropy", patterns_names,
        "what is asked of the pattern: entropy, or the weight of a position"),
    IL_PARAM_INT("head", "-1", -1, 65535, "head",
                 "which head, the sites' one after another; -1 for all"),
    IL_PARAM_CHOICE("over", "mean", over_names, "of all heads the mean or the largest"),
    IL_PARAM_CHOICE("side", "high", side_names, "which end of the score alarms")};

/* [setup] */
static il_status monitor_create(const il_setup *s, void **self, il_error *err)
{
    monitor *m = il_setup_new(s, sizeof *m);
    const char *score;

    if (m == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "attention_monitor", "out of memory");
    }
    IL_TRY(patterns_heads(s, "attention_monitor", m->heads, &m->total, err));
    score = il_setup_text(s, "score");
    for (unsigned k = 0; patterns_names[k] != NULL; k++) {
        m->score |= strcmp(score, patterns_names[k]) == 0 ? 1u << k : 0u;
    }
    m->head = il_setup_int(s, "head");
    m->largest = strcmp(il_setup_text(s, "over"), "max") == 0;
    m->direction = strcmp(il_setup_text(s, "side"), "low") == 0 ? -1.0f : 1.0f;
    if (m->head >= m->total) {
        return il_error_set(err, IL_ERR_INPUT, "attention_monitor",
                            "its sites have %lld heads, numbered from 0, and none is "
                            "number %lld",
                            (long long)m->total, (long long)m->head);
    }
    *self = m;
    return IL_OK;
}

/* The heads that a row's score is taken from; returns how many. */
static int64_t chosen(const monitor *m, const float *scores, int64_t *first)
{
    *first = m->head >= 0 ? m->head : 0;
    if (m->head < 0 && m->largest) {
        for (int64_t h = 1; h < m->total; h++) {
            /* What is no number is the largest, so that it shows. */
            *first = scores[h] > scores[*first] || scores[h] != scores[h] ? h : *first;
        }
    }
    return m->head < 0 && !m->largest ? m->total : 1;
}

static float share_of(const float *scores, int64_t first, int64_t count)
{
    float sum = 0.0f;

    for (int64_t h = first; h < first + count; h++) {
        sum += scores[h] / (float)count;
    }
    return sum < 0.0f ? 0.0f : sum > 1.0f ? 1.0f : sum;
}

/* (N,heads) -> (N,1): the log odds of the share. */
static void odds_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const monitor *m = *(const monitor *const *)state;

    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        const float *scores = il_f32(in[0]) + i * m->total;
        int64_t first;
        int64_t count = chosen(m, scores, &first);
        float share = share_of(scores, first, count);

        il_f32(out)[i] = m->direction * (logf(share + MONITOR_MARGIN) -
                                         logf(1.0f - share + MONITOR_MARGIN));
    }
}

static void odds_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const monitor *m = *(const monitor *const *)state;

    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(in[0]); i++) {
        const float *scores = il_f32(in[0]) + i * m->total;
        int64_t first;
        int64_t count = chosen(m, scores, &first);
        float share = share_of(scores, first, count);
        float slope = m->direction * (1.0f / (share + MONITOR_MARGIN) +
                                      1.0f / (1.0f - share + MONITOR_MARGIN));

        for (int64_t h = first; h < first + count; h++) {
            din[0][i * m->total + h] += dout[i] * slope / (float)count;
        }
    }
}

static const il_custom odds_op = {sizeof(il_custom), "attention_monitor.odds",
                                  odds_forward, odds_backward};

/* (N,heads*keys) of every site -> (N,1) logits. [work] */
static il_tensor *monitor_score(const void *self, il_pass *pass, const il_reading *r)
{
    const monitor *m = self;
    il_tensor *scores = patterns_measure(pass, r, m->heads, m->score);
    const monitor **state = il_pass_alloc(pass, sizeof(const monitor *));

    if (scores == NULL || state == NULL) {
        return NULL;
    }
    *state = m;
    return il_custom_op(pass, &odds_op, state, 1, &scores,
                        IL_SHAPE(il_rows(scores), 1));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = monitor_create,
                                    .score = monitor_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "entropy and mass of attention patterns",
          IL_DETECTOR("attention_monitor", "how attention is spread, or where it lies",
                      &api, IL_PARAMS(params)))
