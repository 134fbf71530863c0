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
    il_word *moved;   /* and what learned from rows that it chose */
    size_t *since;    /* by parameter: the round that brought it there */
    size_t round;
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

/* Whether the source, by an edit, has a hand in the rows of a signal. */
static bool plays_for(const judge *j, const il_flow_signal *signal)
{
    return signal->chosen_by != NULL && j->flow->sources[j->source].plays;
}

/* Adds to `set` what every signal updates that computes with it or, with `rows`, that
 * learns from rows it chose. Each round can only add, so it ends; which round brought a
 * parameter tells how directly it was changed. */
static void close_over(judge *j, il_word *set, bool rows)
{
    const il_flow *f = j->flow;
    bool grown = true;

    while (grown) {
        il_bits_copy(j->shared, set, j->words);
        for (size_t s = 0; s < f->signal_count; s++) {
            const il_flow_signal *signal = &f->signals[s];

            if (il_bits_meet(signal->v, set, j->words) ||
                (rows && (plays_for(j, signal) ||
                          (signal->chosen_by != NULL &&
                           il_bits_meet(signal->chosen_by, set, j->words))))) {
                il_bits_or(j->shared, signal->updates, j->words);
            }
        }
        grown = !il_bits_equal(j->shared, set, j->words);
        j->round++;
        for (size_t i = 0; grown && i < f->bits; i++) {
            if (il_bits_has(j->shared, i) && !il_bits_has(set, i)) {
                j->since[i] = j->round;
            }
        }
        il_bits_copy(set, j->shared, j->words);
    }
}

/* Fills P(T) and what it moved. */
static void spread(judge *j)
{
    const il_flow *f = j->flow;
    const il_word *inherited = f->sources[j->source].inherited;

    if (inherited != NULL) {
        il_bits_or(j->early, inherited, j->words);
    }
    for (size_t s = 0; s < f->signal_count; s++) {
        if (enters(j, &f->signals[s])) {
            il_bits_or(j->early, f->signals[s].updates, j->words);
        }
    }
    j->round = 0;
    for (size_t i = 0; i < f->bits; i++) {
        j->since[i] = 0;
    }
    il_bits_copy(j->pressed, j->early, j->words);
    close_over(j, j->pressed, false);
    il_bits_copy(j->moved, j->pressed, j->words);
    if (f->sources[j->source].taught != NULL) {
        il_bits_or(j->moved, f->sources[j->source].taught, j->words);
    }
    close_over(j, j->moved, true);
}

/* The parameter of `within` that best shows T's pressure on it: the one that was
 * changed the most directly, outside of R where there is one as good. */
static size_t changed_in(const judge *j, const il_word *within, const il_word *reads)
{
    size_t best = NO_BIT;
    size_t best_rank = SIZE_MAX;

    for (size_t i = 0; i < j->flow->bits; i++) {
        if (il_bits_has(within, i) && il_bits_has(j->moved, i)) {
            size_t rank = 2 * j->since[i] + il_bits_has(reads, i);

            if (rank < best_rank) {
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

/* "desire.policy.W [changed by probe]". */
static const char *changed_name(judge *j, size_t bit)
{
    return say(j, "%s [%s %s]", bit_name(j, bit),
               il_bits_has(j->pressed, bit) ? "changed by" : "taught on rows chosen by",
               j->flow->sources[j->source].name);
}

/* A route that spares R can be written for a reader that a route can name. What the
 * algorithm adds follows the routes of the rewards, so one of those is named. */
static const char *spare(judge *j, const il_flow_signal *signal,
                         const il_flow_reader *reader, bool shadow)
{
    const il_flow *f = j->flow;
    const char *name = signal->name;

    if (reader->audit_only) {
        return NULL;
    }
    if (signal->implicit) {
        name = NULL;
        for (size_t s = 0; s < f->signal_count && name == NULL; s++) {
            if (f->signals[s].reward && !f->signals[s].implicit &&
                il_bits_meet(f->signals[s].updates, reader->reads, j->words)) {
                name = f->signals[s].name;
            }
        }
    }
    if (name == NULL) {
        return NULL;
    }
    shadow = shadow && !f->rollouts; /* where it is offered */
    return say(j, "signals.%s.route: {downstream: %s}%s%s", name, reader->name,
               shadow ? ", or train.shadow: " : "", shadow ? reader->name : "");
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
                      say(j, "%s → %s of %s, differentiated → %s, read by %s",
                          signal->name,
                          enters(j, signal) & IL_ENTERS_EDIT ? "edit" : "score", source,
                          bit_name(j, hit), reader->name),
                      spare(j, signal, reader, false));
            return;
        }
    }
}

static const char *shared_by(const judge *j, const il_flow_signal *signal)
{
    return signal->shared != NULL ? signal->shared[j->source] : NULL;
}

/* A signal that the score enters by itself is named before one that shares something
 * with it. */
static void judge_credit(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const char *source = j->flow->sources[j->source].name;

    for (int layer = 0; layer < 2; layer++) {
        for (size_t s = 0; s < j->flow->signal_count; s++) {
            const il_flow_signal *signal = &j->flow->signals[s];
            size_t hit = last_of_both(j, signal->updates, reader->reads);
            const char *shared = shared_by(j, signal);

            if (!(enters(j, signal) & IL_ENTERS_CONSTANT) || hit == NO_BIT ||
                (shared != NULL) != (layer == 1)) {
                continue;
            }
            open_with(cell,
                      say(j, "%s → %s of %s%s%s → %s, read by %s", signal->name,
                          enters(j, signal) & IL_ENTERS_FREEZE ? "frozen by the health"
                          : enters(j, signal) & IL_ENTERS_DATA
                              ? "its examples weighed by the score"
                          : enters(j, signal) & IL_ENTERS_EDIT
                              ? "computed under the edit"
                              : "scaled by the score",
                          source, shared != NULL ? ", in " : "",
                          shared != NULL ? shared : "", bit_name(j, hit), reader->name),
                      spare(j, signal, reader, false));
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
                      say(j, "%s → %s → %s, read by %s", signal->name,
                          changed_name(j, changed_in(j, signal->v, reader->reads)),
                          bit_name(j, hit), reader->name),
                      spare(j, signal, reader, true));
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
        il_bits_copy(j->shared, f->clips[c].members, j->words);
        il_bits_and(j->shared, j->stepped, j->words);
        hit = last_of_both(j, j->shared, reader->reads);
        if (hit != NO_BIT && il_bits_meet(j->shared, j->pressed, j->words)) {
            size_t changed = changed_in(j, j->shared, reader->reads);

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

/* What to write so that a signal learns from rows that no policy of the model chose. */
static const char *learn_offline(judge *j, const il_flow_signal *signal,
                                 const il_flow_reader *reader)
{
    const il_flow *f = j->flow;

    if (f->offline == NULL || signal->reward || signal->implicit ||
        reader->audit_only) {
        return NULL;
    }
    return say(j, "%s%ssignals.%s.on: [%s]",
               f->declare_offline != NULL ? f->declare_offline : "",
               f->declare_offline != NULL ? ", and " : "", signal->name, f->offline);
}

/* Whether the source chooses among the examples of a batch. */
static bool sifts(const judge *j)
{
    for (size_t s = 0; s < j->flow->signal_count; s++) {
        if (enters(j, &j->flow->signals[s]) & IL_ENTERS_DATA) {
            return true;
        }
    }
    return false;
}

/* R learns from rows that P(T) chose, or computes with what did. */
static void judge_data(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow *f = j->flow;

    if (!f->rollouts && f->sources[j->source].taught == NULL && !sifts(j)) {
        cell->opening = IL_NOT_APPLICABLE;
        return;
    }
    for (size_t s = 0; s < f->signal_count; s++) {
        const il_flow_signal *signal = &f->signals[s];
        size_t hit = last_of_both(j, signal->updates, reader->reads);

        if (hit == NO_BIT) {
            continue;
        }
        if (enters(j, signal) & IL_ENTERS_DATA) {
            open_with(cell,
                      say(j, "%s → examples chosen by the score of %s → %s, read by %s",
                          signal->name, f->sources[j->source].name, bit_name(j, hit),
                          reader->name),
                      spare(j, signal, reader, false));
            return;
        }
        if (plays_for(j, signal)) {
            open_with(cell,
                      say(j, "%s → rows chosen under the edit of %s → %s, read by %s",
                          signal->name, f->sources[j->source].name, bit_name(j, hit),
                          reader->name),
                      learn_offline(j, signal, reader));
            return;
        }
        if (signal->chosen_by != NULL &&
            il_bits_meet(signal->chosen_by, j->moved, j->words)) {
            size_t changed = changed_in(j, signal->chosen_by, reader->reads);

            open_with(cell,
                      say(j, "%s → rows chosen by %s → %s, read by %s", signal->name,
                          changed_name(j, changed), bit_name(j, hit), reader->name),
                      learn_offline(j, signal, reader));
            return;
        }
        if (il_bits_meet(signal->v, j->moved, j->words) &&
            !il_bits_meet(signal->v, j->pressed, j->words)) {
            open_with(cell,
                      say(j, "%s → %s → %s, read by %s", signal->name,
                          changed_name(j, changed_in(j, signal->v, reader->reads)),
                          bit_name(j, hit), reader->name),
                      NULL);
            return;
        }
    }
}

static void judge_input(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow_source *source = &j->flow->sources[j->source];

    /* The audit plays without the edits of the training. */
    if (reader->inputs.by != NULL && source->plays && !reader->audit_only) {
        open_with(cell,
                  say(j, "edit of %s → %s, read by %s", source->name,
                      reader->inputs.what, reader->name),
                  NULL);
        return;
    }
    if (reader->inputs.by != NULL &&
        il_bits_meet(reader->inputs.by, j->moved, j->words)) {
        open_with(cell,
                  say(j, "%s → %s, read by %s",
                      changed_name(j, changed_in(j, reader->inputs.by, reader->reads)),
                      reader->inputs.what, reader->name),
                  NULL);
    }
}

/* Whether a reader was fitted on activations that an earlier stage's pressure, or what
 * learned from rows that it chose, had changed. */
static bool judge_fit(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const il_flow_source *source = &j->flow->sources[j->source];
    const il_word *const before[] = {source->inherited, source->taught};

    if (reader->fitted_after == NULL || !reader->fitted_after[j->source]) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t hit =
            before[i] != NULL ? last_of_both(j, before[i], reader->reads) : NO_BIT;

        if (hit != NO_BIT) {
            open_with(cell,
                      say(j, "%s → activations that %s was fitted on",
                          changed_name(j, hit), reader->name),
                      NULL);
            return true;
        }
    }
    return false;
}

/* A reader that moves follows the model that it reads, and the rows that it is moved
 * by. */
static void judge_reader(judge *j, const il_flow_reader *reader, il_verdict_cell *cell)
{
    const char *how = reader->rezeroed ? "re-zeroed" : "refitted";
    size_t hit = last_of_both(j, j->pressed, reader->reads);
    const char *path = NULL;

    if (judge_fit(j, reader, cell) || !reader->moves) {
        return;
    }
    if (hit == NO_BIT) {
        hit = last_of_both(j, j->moved, reader->reads);
    }
    if (hit != NO_BIT) {
        path = say(j, "%s → activations that %s is %s on", changed_name(j, hit),
                   reader->name, how);
    } else if (reader->anchors.by != NULL &&
               il_bits_meet(reader->anchors.by, j->moved, j->words)) {
        size_t changed = changed_in(j, reader->anchors.by, reader->reads);

        path = say(j, "%s → %s, that %s is %s on", changed_name(j, changed),
                   reader->anchors.what, reader->name, how);
    }
    if (path != NULL) {
        open_with(cell, path,
                  reader->audit_only || reader->rezeroed
                      ? NULL
                      : say(j, "detectors.%s.refit: frozen", reader->name));
    }
}

static void judge_selection(judge *j, il_verdict_cell *cell)
{
    const il_flow_source *source = &j->flow->sources[j->source];

    if (source->halted != NULL) {
        open_with(cell,
                  say(j, "%s, counted in log2 of the alternatives", source->halted),
                  NULL);
    } else if (source->required != NULL) {
        open_with(cell,
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
    judge_input(j, reader, &pair->cells[IL_FLOW_INPUT]);
    judge_reader(j, reader, &pair->cells[IL_FLOW_READER]);
    judge_selection(j, &pair->cells[IL_FLOW_SELECTION]);
}

const il_verdict *il_firewall_judge(il_arena *arena, const il_flow *flow)
{
    judge j = {.arena = arena, .flow = flow, .words = il_bits_words(flow->bits)};
    size_t most = flow->source_count * flow->reader_count;
    il_verdict *v = il_arena_calloc(arena, 1, sizeof *v);
    il_word **pressed = il_arena_calloc(arena, flow->source_count + 1, sizeof *pressed);
    il_word **moved = il_arena_calloc(arena, flow->source_count + 1, sizeof *moved);
    il_verdict_pair *pairs = il_arena_calloc(arena, most + 1, sizeof *pairs);

    j.stepped = new_bits(&j);
    j.shared = new_bits(&j);
    j.since = il_arena_calloc(arena, flow->bits + 1, sizeof *j.since);
    if (j.since == NULL || v == NULL || pressed == NULL || moved == NULL ||
        pairs == NULL || j.failed) {
        return NULL;
    }
    *v = (il_verdict){.flow = flow, .pairs = pairs, .pressed = pressed, .moved = moved};
    for (size_t s = 0; s < flow->signal_count; s++) {
        il_bits_or(j.stepped, flow->signals[s].updates, j.words);
    }
    for (j.source = 0; j.source < flow->source_count; j.source++) {
        j.pressed = pressed[j.source] = new_bits(&j);
        j.early = new_bits(&j);
        j.moved = moved[j.source] = new_bits(&j);
        if (j.failed) {
            return NULL;
        }
        spread(&j);
        if (!flow->sources[j.source].presses &&
            flow->sources[j.source].halted == NULL &&
            !il_bits_any(j.pressed, j.words)) {
            continue;
        }
        for (size_t r = 0; r < flow->reader_count; r++) {
            judge_pair(&j, r, &v->pairs[v->pair_count++]);
        }
    }
    return j.failed ? NULL : v;
}
