/* The ledger's files: see ledger_file.h. */
#include "loop/ledger_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "loop/json.h"
#include "loop/record.h"

/* ---- lines ---------------------------------------------------------------------- */

static void add_number(il_text *out, double value)
{
    char text[32];

    if (!isfinite(value)) {
        il_text_add(out, "null");
        return;
    }
    il_format_real(value, text);
    il_text_add(out, text);
}

static void add_sum(il_text *out, const il_ledger_sum *s)
{
    il_text_add(out, "\"norm\": ");
    add_number(out, s->norm);
    il_text_add(out, ", \"cosine\": ");
    add_number(out, s->cosine);
    il_text_add(out, ", \"work\": ");
    add_number(out, s->work);
}

static void add_readers(const il_ledger *l, const il_ledger_entry *e, il_text *out)
{
    il_text_add(out, "\"readers\": {");
    for (size_t r = 0; r < l->reader_count; r++) {
        il_ledger_sum read = il_ledger_read(l, e, r);
        il_ledger_sum rest = il_ledger_rest(l, e, r);

        il_text_add(out, r > 0 ? ", " : "");
        il__json_add_string(out, l->readers[r].name);
        il_text_add(out, ": {\"read\": {");
        add_sum(out, &read);
        il_text_add(out, "}, \"rest\": {");
        add_sum(out, &rest);
        il_text_add(out, "}}");
    }
    il_text_add(out, "}");
}

static void add_tensors(const il_ledger *l, const il_ledger_entry *e, il_text *out)
{
    bool first = true;

    il_text_add(out, "\"tensors\": {");
    for (size_t p = 0; p < l->bits; p++) {
        il_ledger_sum s;

        if (!il_bits_has(e->updates, p)) {
            continue;
        }
        s = il_ledger_tensor(l, e, p);
        il_text_add(out, first ? "" : ", ");
        first = false;
        il__json_add_string(out, il_ledger_name(l, e, p));
        il_text_add(out, ": [");
        add_number(out, s.norm);
        il_text_add(out, ", ");
        add_number(out, s.cosine);
        il_text_add(out, ", ");
        add_number(out, s.work);
        il_text_add(out, "]");
    }
    il_text_add(out, "}");
}

void il_ledger_line(const il_ledger *l, il_text *out)
{
    il_text_addf(out, "{\"step\": %lld, \"grad_norm\": ", (long long)l->trainer->step);
    add_number(out, l->trainer->norm);
    il_text_add(out, ", \"signals\": {");
    for (size_t i = 0; i < l->count; i++) {
        const il_ledger_entry *e = &l->entries[i];
        il_ledger_sum all = il_ledger_all(l, e);

        il_text_add(out, i > 0 ? ", " : "");
        il__json_add_string(out, e->name);
        il_text_add(out, ": {");
        add_sum(out, &all);
        il_text_add(out, ", ");
        add_readers(l, e, out);
        il_text_add(out, ", ");
        add_tensors(l, e, out);
        il_text_add(out, "}");
    }
    il_text_add(out, "}}\n");
}

size_t il_ledger_metrics(const il_ledger *l, il_arena *arena, il_metric *out,
                         size_t room)
{
    static const char *const whats[] = {"read", "rest", "cosine", "work"};
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++) {
        const il_ledger_entry *e = &l->entries[i];
        int r = il_ledger_reader_of(l, e);
        il_ledger_sum all = il_ledger_all(l, e);
        double values[4] = {0, all.norm, all.cosine, all.work};

        if (e->term == NULL) {
            continue;
        }
        if (r >= 0) {
            values[0] = il_ledger_read(l, e, (size_t)r).norm;
            values[1] = il_ledger_rest(l, e, (size_t)r).norm;
        }
        for (size_t k = 0; k < 4 && n < room; k++) {
            out[n].name = il_arena_printf(arena, "ledger.%s.%s", e->name, whats[k]);
            out[n].value = values[k];
            n += out[n].name != NULL;
        }
    }
    return n;
}

/* ---- totals --------------------------------------------------------------------- */

/* What is summed of one signal as a whole, of one part of it, or of one tensor. */
typedef struct total {
    double squares; /* of norms, over samples */
    double cosines;
    int64_t with_cosine;
    double exact; /* work of the sampled steps */
    double whole; /* and of all up to the last sample */
    double last;  /* work of the last sample */
} total;

typedef struct signal_total {
    total all;
    total *read; /* [reader] */
    total *rest;
    total *tensors; /* [parameter] */
} signal_total;

typedef struct totals {
    const il_ledger *l;
    signal_total *signals; /* [entry] */
    int64_t samples;
    int64_t last; /* its step; 0 before the first */
} totals;

static void add_sample(const totals *t, total *to, int64_t step, const json_t *norm,
                       const json_t *cosine, const json_t *work)
{
    double value = json_number_value(work);
    double between = t->samples > 0 ? (double)(step - t->last - 1) : 0.0;

    to->squares += json_number_value(norm) * json_number_value(norm);
    if (json_is_number(cosine)) {
        to->cosines += json_number_value(cosine);
        to->with_cosine++;
    }
    to->exact += value;
    to->whole += value + between * 0.5 * (to->last + value);
    to->last = value;
}

static void add_object(const totals *t, total *to, int64_t step, const json_t *o)
{
    add_sample(t, to, step, json_object_get(o, "norm"), json_object_get(o, "cosine"),
               json_object_get(o, "work"));
}

static il_status take_line(void *user, int64_t step, const json_t *line, il_error *err)
{
    totals *t = user;
    const json_t *signals = json_object_get(line, "signals");

    for (size_t i = 0; i < t->l->count; i++) {
        const il_ledger_entry *e = &t->l->entries[i];
        const json_t *s = json_object_get(signals, e->name);
        const json_t *tensors = json_object_get(s, "tensors");
        signal_total *to = &t->signals[i];

        if (!json_is_object(s)) {
            return il_error_set(err, IL_ERR_INPUT, "ledger.jsonl",
                                "step %lld: expected the signal '%s'", (long long)step,
                                e->name);
        }
        add_object(t, &to->all, step, s);
        for (size_t r = 0; r < t->l->reader_count; r++) {
            const json_t *parts =
                json_object_get(json_object_get(s, "readers"), t->l->readers[r].name);

            add_object(t, &to->read[r], step, json_object_get(parts, "read"));
            add_object(t, &to->rest[r], step, json_object_get(parts, "rest"));
        }
        for (size_t p = 0; p < t->l->bits; p++) {
            const json_t *x = il_bits_has(e->updates, p)
                                  ? json_object_get(tensors, il_ledger_name(t->l, e, p))
                                  : NULL;

            if (x != NULL) {
                add_sample(t, &to->tensors[p], step, json_array_get(x, 0),
                           json_array_get(x, 1), json_array_get(x, 2));
            }
        }
    }
    t->samples++;
    t->last = step;
    return IL_OK;
}

static json_t *total_json(const totals *t, const total *x, int64_t steps)
{
    double n = t->samples > 0 ? (double)t->samples : 1.0;
    json_t *out = json_pack("{s:f, s:f, s:f}", "norm", sqrt(x->squares / n), "work",
                            x->whole + (double)(steps - t->last) * x->last,
                            "sampled_work", x->exact);

    json_object_set_new(out, "cosine",
                        x->with_cosine > 0
                            ? json_real(x->cosines / (double)x->with_cosine)
                            : json_null());
    return out;
}

/* Which detectors enter a signal and how, and through whose changes the others reach
 * it. */
static void add_taint(const il_ledger *l, const il_ledger_entry *e, json_t *out)
{
    const il_flow *flow = &l->plan->flow;
    json_t *entered = json_object();
    json_t *relayed = json_array();

    for (size_t s = 0; e->facts != NULL && s < flow->source_count; s++) {
        const char *name = flow->sources[s].name;
        unsigned how = e->facts->enters != NULL ? e->facts->enters[s] : 0;

        if (how != IL_ENTERS_NOT) {
            json_object_set_new(entered, name,
                                json_pack("{s:b, s:b, s:b}", "score",
                                          (how & IL_ENTERS_SCORE) != 0, "constant",
                                          (how & IL_ENTERS_CONSTANT) != 0, "edit",
                                          (how & IL_ENTERS_EDIT) != 0));
        } else if (il_bits_meet(e->facts->v, l->plan->verdict->pressed[s],
                                il_bits_words(flow->bits))) {
            json_array_append_new(relayed, json_string(name));
        }
    }
    json_object_set_new(out, "entered_by", entered);
    json_object_set_new(out, "relays", relayed);
}

/* The signals that no detector enters, and those among them whose loss depends on what
 * pressure has changed. */
static void add_untainted(const il_ledger *l, const il_ledger_entry *e, json_t *out)
{
    const il_flow *flow = &l->plan->flow;
    const il_terms *terms = l->trainer->terms;
    json_t *names = json_array();
    json_t *relayed = json_array();
    size_t n = 0;

    for (int k = 0; k < IL_PASS_KINDS; k++) {
        for (size_t i = 0; i < terms->count; i++) {
            const il_flow_signal *s = &flow->signals[n];
            bool here = k == e->kind && l->runs[i][k];

            n += l->runs[i][k];
            for (size_t j = 0; here && j < l->count; j++) {
                here = l->entries[j].facts != s;
            }
            if (!here) {
                continue;
            }
            json_array_append_new(names, json_string(terms->items[i].spec->name));
            for (size_t d = 0; d < flow->source_count; d++) {
                if (il_bits_meet(s->v, l->plan->verdict->pressed[d],
                                 il_bits_words(flow->bits))) {
                    json_array_append_new(relayed,
                                          json_pack("{s:s, s:s}", "signal",
                                                    terms->items[i].spec->name, "of",
                                                    flow->sources[d].name));
                }
            }
        }
    }
    json_object_set_new(out, "signals", names);
    json_object_set_new(out, "relays", relayed);
}

static json_t *signal_json(const totals *t, size_t i, int64_t steps)
{
    const il_ledger *l = t->l;
    const il_ledger_entry *e = &l->entries[i];
    const signal_total *x = &t->signals[i];
    json_t *out = total_json(t, &x->all, steps);
    json_t *readers = json_object();
    json_t *tensors = json_object();
    int reader = il_ledger_reader_of(l, e);

    if (e->term != NULL) {
        json_object_set_new(out, "signal", json_string(e->term->spec->name));
        json_object_set_new(out, "channel",
                            json_string(il_channel_name(e->term->channel)));
        add_taint(l, e, out);
    } else {
        add_untainted(l, e, out);
    }
    json_object_set_new(out, "own", json_boolean(e->own));
    json_object_set_new(out, "reader",
                        reader >= 0 ? json_string(l->readers[reader].name)
                                    : json_null());
    for (size_t r = 0; r < l->reader_count; r++) {
        json_object_set_new(readers, l->readers[r].name,
                            json_pack("{s:o, s:o}", "read",
                                      total_json(t, &x->read[r], steps), "rest",
                                      total_json(t, &x->rest[r], steps)));
    }
    for (size_t p = 0; p < l->bits; p++) {
        if (il_bits_has(e->updates, p)) {
            json_object_set_new(tensors, il_ledger_name(l, e, p),
                                total_json(t, &x->tensors[p], steps));
        }
    }
    json_object_set_new(out, "readers", readers);
    json_object_set_new(out, "tensors", tensors);
    return out;
}

/* What each reader reads, by name. */
static json_t *readers_json(const il_ledger *l)
{
    json_t *out = json_object();

    for (size_t r = 0; r < l->reader_count; r++) {
        json_t *names = json_array();

        for (size_t p = 0; p < l->bits; p++) {
            if (il_bits_has(l->readers[r].reads, p)) {
                json_array_append_new(names, json_string(l->plan->flow.names[p]));
            }
        }
        json_object_set_new(out, l->readers[r].name, names);
    }
    return out;
}

static il_status totals_open(totals *t, il_arena *arena, il_error *err)
{
    t->signals = il_arena_calloc(arena, t->l->count + 1, sizeof *t->signals);
    for (size_t i = 0; t->signals != NULL && i < t->l->count; i++) {
        signal_total *s = &t->signals[i];

        s->read = il_arena_calloc(arena, t->l->reader_count + 1, sizeof *s->read);
        s->rest = il_arena_calloc(arena, t->l->reader_count + 1, sizeof *s->rest);
        s->tensors = il_arena_calloc(arena, t->l->bits + 1, sizeof *s->tensors);
        if (s->read == NULL || s->rest == NULL || s->tensors == NULL) {
            t->signals = NULL;
        }
    }
    return t->signals != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "ledger", "out of memory");
}

il_status il_ledger_totals(const il_ledger *l, const char *path, int64_t steps,
                           json_t **out, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 14);
    totals t = {.l = l};
    json_t *signals = json_object();
    il_status status = arena != NULL && signals != NULL
                           ? totals_open(&t, arena, err)
                           : il_error_set(err, IL_ERR_MEMORY, path, "out of memory");

    if (status == IL_OK) {
        status = il_record_read(path, take_line, &t, err);
    }
    for (size_t i = 0; status == IL_OK && i < l->count; i++) {
        json_object_set_new(signals, l->entries[i].name, signal_json(&t, i, steps));
    }
    if (status == IL_OK) {
        *out = json_pack(
            "{s:I, s:b, s:I, s:I, s:s, s:o, s:O}", "every", (json_int_t)l->every,
            "by_default", l->chosen, "steps", (json_int_t)steps, "samples",
            (json_int_t)t.samples, "between_samples",
            "work in a straight line from one sampled step to the next, held after the "
            "last",
            "readers", readers_json(l), "signals", signals);
        if (*out == NULL) {
            status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        }
    }
    json_decref(signals);
    il_arena_destroy(arena);
    return status;
}
