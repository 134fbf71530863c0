/* Judges one pair at a time. A channel that is open is given a path with one parameter
 * of each set in it: a reader of the verdict wants an example, and the sets are in the
 * plan. The example is the earliest change, outside of R where there is one, since
 * `language → embed [changed by probe] → embed` explains nothing. */
#include "loop/firewall.h"

#include <stdarg.h>
#include <stdio.h>

#define NO_BIT SIZE_MAX

typedef struct judge {
    il_arena *arena;
    const il_flow *flow;
    size_t words;
    il_word *stepped; /* what any signal updates */
    il_word *shared;  /* for passing use */
    bool failed;      /* memory is out */
    /* of the source that is being judged */
    size_t source;
    il_word *pressed; /* P(T) */
    il_word *early;   /* what it holds before it spreads */
} judge;

static il_word *new_bits(judge *j)
{
    il_word *bits = il_arena_calloc(j->arena, j->words + 1, sizeof *bits);

    j->failed |= bits == NULL;
    return bits;
}

static unsigned enters(const judge *j, const il_flow_signal *signal)
{
    return signal->enters != NULL ? signal->enters[j->source] : IL_ENTERS_NOT;
}

/* Fills P(T). Each round can only add, so it ends. */
static void spread(judge *j)
{
    const il_flow *f = j->flow;
    const il_word *inherited = f->sources[j->source].inherited;
    bool grown = true;

    if (inherited != NULL) {
        il_bits_or(j->early, inherited, j->words);
    }
    for (size_t s = 0; s < f->signal_count; s++) {
        if (enters(j, &f->signals[s])) {
            il_bits_or(j->early, f->signals[s].updates, j->words);
        }
    }
    il_bits_copy(j->pressed, j->early, j->words);
    while (grown) {
        grown = false;
        for (size_t s = 0; s < f->signal_count; s++) {
            const il_flow_signal *signal = &f->signals[s];

            if (!il_bits_meet(signal->v, j->pressed, j->words)) {
                continue;
            }
            il_bits_copy(j->shared, j->pressed, j->words);
            il_bits_or(j->pressed, signal->updates, j->words);
            grown |= !il_bits_equal(j->shared, j->pressed, j->words);
        }
    }
}

/* The parameter of `within` that best shows T's pressure on it: one that was changed
 * early and that is no part of R, else as much of that as there is. */
static size_t changed_in(const judge *j, const il_word *within, const il_word *reads)
{
    size_t best = NO_BIT;
    int best_rank = 0;

    for (size_t i = 0; i < j->flow->bits; i++) {
        if (il_bits_has(within, i) && il_bits_has(j->pressed, i)) {
            int rank = 1 + 2 * il_bits_has(j->early, i) + !il_bits_has(reads, i);

            if (rank > best_rank) {
                best = i;
                best_rank = rank;
            }
        }
    }
    return best;
}

/* The last parameter of both sets, which is the one nearest to the site. */
static size_t last_of_both(const judge *j, const il_word *a, const il_word *b)
{
    for (size_t i = j->flow->bits; i-- > 0;) {
        if (il_bits_has(a, i) && il_bits_has(b, i)) {
            return i;
        }
    }
    return NO_BIT;
}

static const char *say(judge *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *say(judge *j, const char *fmt, ...)
{
    char *text = NULL;
    va_list args, again;
    int size;

    va_start(args, fmt);
    va_copy(again, args);
    size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (size >= 0) {
        text = il_arena_alloc(j->arena, (size_t)size + 1);
    }
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)size + 1, fmt, again);
    }
    va_end(again);
    j->failed |= text == NULL;
    return text;
}

static void open_with(il_verdict_cell *cell, const char *path, const char *remedy)
{
    cell->opening = IL_OPEN;
    cell->path = path;
    cell->remedy = remedy;
}

static const char *bit_name(const judge *j, size_t bit)
{
    return j->flow->names[bit];
}

/* A route that spares R can be written for a reader that a route can name. */
static const char *spare(judge *j, const char *signal, const il_flow_reader *reader,
                         const char *or_else)
{
    if (reader->audit_only || reader->reads_sampled) {
        return NULL;
    }
    return say(j, "signals.%s.route: {downstream: %s}%s%s", signal, reader->name,
               or_else, or_else[0] != '\0' ? reader->name : "");
}

static void judge_direct(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const char *source = j->flow->sources[j->source].name;

    for (size_t s = 0; s < j->flow->signal_count; s++) {
        const il_flow_signal *signal = &j->flow->signals[s];
        size_t hit;

        if (!(enters(j, signal) & IL_ENTERS_SCORE)) {
            continue;
        }
        il_bits_copy(j->shared, signal->updates, j->words);
        il_bits_and(j->shared, signal->score_g[j->source], j->words);
        hit = last_of_both(j, j->shared, reader->reads);
        if (hit != NO_BIT) {
            open_with(cell,
                      say(j, "%s → score of %s, differentiated → %s, read by %s",
                          signal->name, source, bit_name(j, hit), reader->name),
                      spare(j, signal->name, reader, ""));
            return;
        }
    }
}

static void judge_credit(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const char *source = j->flow->sources[j->source].name;

    for (size_t s = 0; s < j->flow->signal_count; s++) {
        const il_flow_signal *signal = &j->flow->signals[s];
        size_t hit = last_of_both(j, signal->updates, reader->reads);

        if ((enters(j, signal) & IL_ENTERS_CONSTANT) && hit != NO_BIT) {
            open_with(cell,
                      say(j, "%s → scaled by the score of %s → %s, read by %s",
                          signal->name, source, bit_name(j, hit), reader->name),
                      spare(j, signal->name, reader, ""));
            return;
        }
    }
}

/* The signal that meets what T changes first is named before one that only meets what
 * spreads from it. */
static void judge_relay(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow *f = j->flow;
    const il_word *const layers[] = {j->early, j->pressed};

    for (size_t layer = 0; layer < 2; layer++) {
        for (size_t s = 0; s < f->signal_count; s++) {
            const il_flow_signal *signal = &f->signals[s];
            size_t hit = last_of_both(j, signal->updates, reader->reads);

            if (hit == NO_BIT || !il_bits_meet(signal->v, layers[layer], j->words)) {
                continue;
            }
            open_with(cell,
                      say(j, "%s → %s [changed by %s] → %s, read by %s", signal->name,
                          bit_name(j, changed_in(j, signal->v, reader->reads)),
                          f->sources[j->source].name, bit_name(j, hit), reader->name),
                      spare(j, signal->name, reader, ", or train.shadow: "));
            return;
        }
    }
}

/* Lists the groups that have members in the clip group and that R meets, or that it
 * does not meet. False when there are none. */
static bool list_groups(const judge *j, const il_flow_clip *clip, const il_word *reads,
                        bool read, il_text *out)
{
    const char *separator = "";

    for (size_t g = 0; g < j->flow->group_count; g++) {
        const il_matrix_group *group = &j->flow->groups[g];

        if (il_bits_meet(group->members, clip->members, j->words) &&
            il_bits_meet(group->members, reads, j->words) == read) {
            il_text_addf(out, "%s%s", separator, group->name);
            separator = ", ";
        }
    }
    return separator[0] != '\0';
}

/* The two clip groups to write in place of one, or NULL where that would not help:
 * where what shares a group with R is pressed too. */
static const char *split(judge *j, const il_flow_clip *clip, const il_word *reads)
{
    il_text text = {0};
    char norm[32];
    const char *remedy = NULL;
    bool whole;

    for (size_t g = 0; g < j->flow->group_count; g++) {
        const il_word *members = j->flow->groups[g].members;

        il_bits_copy(j->shared, members, j->words);
        il_bits_and(j->shared, clip->members, j->words);
        il_bits_and(j->shared, j->stepped, j->words);
        if (il_bits_meet(members, reads, j->words) &&
            il_bits_meet(j->shared, j->pressed, j->words)) {
            return NULL;
        }
    }
    il_format_real(clip->norm, norm);
    il_text_add(&text, "train.clip: [{groups: [");
    whole = list_groups(j, clip, reads, true, &text);
    il_text_addf(&text, "], norm: %s}, {groups: [", norm);
    whole &= list_groups(j, clip, reads, false, &text);
    il_text_addf(&text, "], norm: %s}]", norm);
    if (text.failed) {
        j->failed = true;
    } else if (whole) {
        remedy = say(j, "%s in place of the clip group %s", text.data, clip->name);
    }
    il_text_free(&text);
    return remedy;
}

static void judge_state(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow *f = j->flow;
    const il_flow_source *source = &f->sources[j->source];
    size_t hit;

    for (size_t c = 0; c < f->clip_count; c++) {
        size_t changed;

        il_bits_copy(j->shared, f->clips[c].members, j->words);
        il_bits_and(j->shared, j->stepped, j->words);
        changed = changed_in(j, j->shared, reader->reads);
        hit = last_of_both(j, j->shared, reader->reads);
        if (changed != NO_BIT && hit != NO_BIT) {
            open_with(cell,
                      say(j, "clip group %s → %s [changed by %s] → %s, read by %s",
                          f->clips[c].name, bit_name(j, changed), source->name,
                          bit_name(j, hit), reader->name),
                      split(j, &f->clips[c], reader->reads));
            return;
        }
    }
    if (!f->moments_continue || source->inherited == NULL) {
        return;
    }
    il_bits_copy(j->shared, source->inherited, j->words);
    il_bits_and(j->shared, j->stepped, j->words);
    hit = last_of_both(j, j->shared, reader->reads);
    if (hit != NO_BIT) {
        open_with(cell,
                  say(j, "moments of an earlier stage [changed by %s] → %s, read by %s",
                      source->name, bit_name(j, hit), reader->name),
                  "train.optimizer_state: fresh");
    }
}

static void judge_data(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow *f = j->flow;

    if (!f->rollouts) {
        cell->opening = IL_NOT_APPLICABLE;
        return;
    }
    for (size_t s = 0; s < f->signal_count; s++) {
        const il_flow_signal *signal = &f->signals[s];
        size_t hit = last_of_both(j, signal->updates, reader->reads);

        if (hit != NO_BIT && signal->chosen_by != NULL &&
            il_bits_meet(signal->chosen_by, j->pressed, j->words)) {
            size_t changed = changed_in(j, signal->chosen_by, reader->reads);

            open_with(cell,
                      say(j, "%s → rows chosen by %s [changed by %s] → %s, read by %s",
                          signal->name, bit_name(j, changed),
                          f->sources[j->source].name, bit_name(j, hit), reader->name),
                      NULL);
            return;
        }
    }
}

static void judge_reader(judge *j, const il_flow_reader *reader, il_verdict_cell *cells)
{
    const il_flow_source *source = &j->flow->sources[j->source];
    size_t changed = changed_in(j, j->pressed, reader->reads);
    size_t hit = last_of_both(j, j->pressed, reader->reads);

    if (reader->reads_sampled && changed != NO_BIT) {
        open_with(&cells[IL_FLOW_INPUT],
                  say(j, "%s [changed by %s] → text that the model writes, read by %s",
                      bit_name(j, changed), source->name, reader->name),
                  NULL);
    }
    if (reader->moves && hit != NO_BIT) {
        open_with(&cells[IL_FLOW_READER],
                  say(j, "%s [changed by %s] → activations that %s is refitted on",
                      bit_name(j, hit), source->name, reader->name),
                  reader->audit_only || reader->reads_sampled
                      ? NULL
                      : say(j, "detectors.%s.refit: frozen", reader->name));
    }
    if (source->required != NULL) {
        open_with(&cells[IL_FLOW_SELECTION],
                  say(j,
                      "require %s → the states that are kept, counted in log2 of the "
                      "alternatives",
                      source->required),
                  NULL);
    }
}

static void judge_pair(judge *j, size_t reader_index, il_verdict_pair *pair)
{
    const il_flow_reader *reader = &j->flow->readers[reader_index];

    pair->source = j->source;
    pair->reader = reader_index;
    judge_direct(j, reader, &pair->cells[IL_FLOW_DIRECT]);
    judge_credit(j, reader, &pair->cells[IL_FLOW_CREDIT]);
    judge_relay(j, reader, &pair->cells[IL_FLOW_RELAY]);
    judge_state(j, reader, &pair->cells[IL_FLOW_STATE]);
    judge_data(j, reader, &pair->cells[IL_FLOW_DATA]);
    judge_reader(j, reader, pair->cells);
}

const il_verdict *il_firewall_judge(il_arena *arena, const il_flow *flow)
{
    judge j = {.arena = arena, .flow = flow, .words = il_bits_words(flow->bits)};
    size_t most = flow->source_count * flow->reader_count;
    il_verdict *v = il_arena_calloc(arena, 1, sizeof *v);
    il_word **pressed = il_arena_calloc(arena, flow->source_count + 1, sizeof *pressed);
    il_verdict_pair *pairs = il_arena_calloc(arena, most + 1, sizeof *pairs);

    j.stepped = new_bits(&j);
    j.shared = new_bits(&j);
    if (v == NULL || pressed == NULL || pairs == NULL || j.failed) {
        return NULL;
    }
    *v = (il_verdict){.flow = flow, .pairs = pairs, .pressed = pressed};
    for (size_t s = 0; s < flow->signal_count; s++) {
        il_bits_or(j.stepped, flow->signals[s].updates, j.words);
    }
    for (j.source = 0; j.source < flow->source_count; j.source++) {
        j.pressed = pressed[j.source] = new_bits(&j);
        j.early = new_bits(&j);
        if (j.failed) {
            return NULL;
        }
        spread(&j);
        if (!flow->sources[j.source].presses && !il_bits_any(j.pressed, j.words)) {
            continue;
        }
        for (size_t r = 0; r < flow->reader_count; r++) {
            judge_pair(&j, r, &v->pairs[v->pair_count++]);
        }
    }
    return j.failed ? NULL : v;
}
