/* Signals on channel halt: the line that is watched, and what is done. */
#include <string.h>
#include "pipeline/read.h"

il_halt_spec il__read_halt(il__reader *r, const il_node *signal)
{
    static const char *const actions[] = {"stop", "alarm", NULL};
    static const char *const keeps[] = {"last", "before", "best", NULL};
    const il_node *when = il_node_get(signal, "when");
    const il_node *action = il_node_get(signal, "do");
    const il_node *keep = il_node_get(signal, "keep");
    il_halt_spec h = {.patience = 1};

    h.given = when != NULL || action != NULL ||
              (keep != NULL && keep->kind == IL_NODE_SCALAR);
    h.place = il__read_place(signal, when != NULL ? "when" : "do");
    if (when != NULL && when->kind == IL_NODE_MAP) {
        h.metric = il__read_text(when, "metric", NULL);
        h.minus = il__read_text(when, "minus", NULL);
        h.below = il_node_get(when, "below") != NULL;
        h.bound = il__read_real(when, h.below ? "below" : "above", 0);
        h.until = il__read_real(when, "until", h.bound);
        h.patience = il__read_int(when, "for", 1);
    }
    if (action != NULL && action->kind == IL_NODE_MAP) {
        h.action = IL_HALT_FREEZE;
        h.freeze = il__read_names(r, il_node_get(action, "freeze"));
    } else {
        h.action = (il_halt_action)il__read_choice(signal, "do", actions, 0);
    }
    h.keep = (il_halt_keep)il__read_choice(signal, "keep", keeps, 0);
    return h;
}

static bool begins_with(const char *metric, const char *name)
{
    size_t n = strlen(name);

    return strncmp(metric, name, n) == 0 && metric[n] == '.';
}

/* Whether the audits on the way can measure a metric, as far as a name tells. */
static void check_metric(il__reader *r, const il_stage_spec *stage, const char *metric,
                         il_place place)
{
    const il_audit_spec *a = &stage->audit;
    bool known = metric == NULL || strchr(metric, '.') == NULL;

    for (size_t d = 0; !known && d < r->pipeline->detector_count; d++) {
        const il_detector_spec *spec = &r->pipeline->detectors[d];

        if (begins_with(metric, spec->name)) {
            known = true;
            if (spec->vault) {
                il_problem_add(r->problems, place,
                               "detector '%s' is in the vault: nothing of a training "
                               "may hang on it; take another detector",
                               spec->name);
            }
        }
    }
    for (size_t i = 0; !known && i < a->fresh.count; i++) {
        known = begins_with(metric, "fresh") &&
                begins_with(metric + strlen("fresh."), a->fresh.items[i]);
    }
    if (!known) {
        il_problem_add(r->problems, place,
                       "no audit on the way measures '%.80s': expected a detector's "
                       "metric such as %s.tpr, a reader's that `fresh` names such as "
                       "fresh.linear.auroc, or one of the behaviour's",
                       metric,
                       r->pipeline->detector_count > 0 ? r->pipeline->detectors[0].name
                                                       : "probe");
    }
}

static void check_line(il__reader *r, const il_signal_spec *s, const il_node *when)
{
    const il_halt_spec *h = &s->halt;

    if (h->below ? h->until < h->bound : h->until > h->bound) {
        il_problem_add(r->problems, il__read_place(when, "until"),
                       "`until` lies on the ill side of the line: expected a number %s "
                       "`%s`",
                       h->below ? "of at least" : "of at most",
                       h->below ? "below" : "above");
    }
}

void il__check_halt(il__reader *r, const il_stage_spec *stage, const il_signal_spec *s,
                    const il_node *node)
{
    static const char *const foreign[] = {"route",  "gate",  "trigger", "credit",
                                          "weight", "scale", "tokens",  "on"};
    const il_node *when = il_node_get(node, "when");

    if (s->channel != IL_CHANNEL_HALT) {
        if (s->halt.given && s->channel != IL_CHANNEL_MONITOR) {
            il_problem_add(r->problems, s->halt.place,
                           "`when`, `do` and `keep` are for channel halt, and this "
                           "signal is on %s",
                           il_channel_name(s->channel));
        }
        return;
    }
    if (when == NULL) {
        il_problem_add(r->problems, s->place,
                       "signal '%s' on channel halt needs `when`: the line that an "
                       "audit's metric may cross",
                       s->name);
    } else if (when->kind == IL_NODE_MAP) {
        check_metric(r, stage, s->halt.metric, il__read_place(when, "metric"));
        check_metric(r, stage, s->halt.minus, il__read_place(when, "minus"));
        check_line(r, s, when);
    }
    if (s->source.kind != IL_SOURCE_DETECTOR) {
        il_problem_add(r->problems, s->source.place,
                       "only a detector halts: expected the one whose health is "
                       "watched as `source`");
    }
    if (stage->audit.every == 0) {
        il_problem_add(r->problems, s->place,
                       "signal '%s' is judged at the audits on the way: the stage's "
                       "`audit` needs `every`",
                       s->name);
    }
    if (il_node_get(node, "keep") != NULL &&
        il_node_get(node, "keep")->kind == IL_NODE_MAP) {
        il_problem_add(r->problems, il__read_place(node, "keep"),
                       "examples are kept on channel data; here a state is: expected "
                       "last, before or best");
    }
    if (s->halt.keep != IL_HALT_KEEP_LAST && s->halt.action != IL_HALT_STOP) {
        il_problem_add(r->problems, il__read_place(node, "keep"),
                       "`keep` is for `do: stop`: nothing else goes back to an "
                       "earlier state");
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (il_node_get(node, foreign[i]) != NULL) {
            il_problem_add(r->problems, il__read_place(node, foreign[i]),
                           "channel halt takes no `%s`: it presses on nothing and is "
                           "told what to do by `do`",
                           foreign[i]);
        }
    }
}
