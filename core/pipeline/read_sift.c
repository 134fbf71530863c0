/* Signals on channel data: which examples are kept, or what they weigh. */
#include <string.h>
#include "pipeline/read.h"

il_sift_spec il__read_sift(const il_node *signal)
{
    static const struct {
        const char *key;
        il_sift_kind kind;
    } kinds[] = {{"below", IL_SIFT_BELOW},
                 {"above", IL_SIFT_ABOVE},
                 {"lowest", IL_SIFT_LOWEST},
                 {"highest", IL_SIFT_HIGHEST}};
    const il_node *keep = il_node_get(signal, "keep");
    const il_node *weigh = il_node_get(signal, "reweight");
    il_sift_spec s = {0};

    if (keep != NULL && keep->kind == IL_NODE_MAP) {
        s.given = true;
        s.place = keep->place;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            if (il_node_get(keep, kinds[i].key) != NULL) {
                s.kind = kinds[i].kind;
                s.value = il__read_real(keep, kinds[i].key, 0);
            }
        }
    } else if (weigh != NULL) {
        s.given = true;
        s.place = weigh->place;
        s.kind = weigh->kind == IL_NODE_MAP ? IL_SIFT_EXPONENTIAL : IL_SIFT_COMPLEMENT;
        s.value = il__read_real(weigh, "exponential", 1);
    }
    return s;
}

void il__check_sift(il__reader *r, const il_signal_spec *s, const il_node *node)
{
    static const char *const foreign[] = {"route",  "gate",  "trigger", "credit",
                                          "weight", "scale", "tokens"};
    const il_node *keep = il_node_get(node, "keep");

    if (s->channel != IL_CHANNEL_DATA) {
        if (s->sift.given && s->channel != IL_CHANNEL_MONITOR &&
            s->channel != IL_CHANNEL_HALT) {
            il_problem_add(r->problems, s->sift.place,
                           "examples are kept and weighed on channel data, and this "
                           "signal is on %s",
                           il_channel_name(s->channel));
        }
        return;
    }
    if (!s->sift.given || (keep != NULL && keep->kind == IL_NODE_SCALAR)) {
        il_problem_add(
            r->problems, s->place,
            "signal '%s' on channel data needs `keep`, such as {below: 0.5}, "
            "or `reweight`",
            s->name);
    } else if (keep != NULL && il_node_get(node, "reweight") != NULL) {
        il_problem_add(r->problems, il__read_place(node, "reweight"),
                       "signal '%s' keeps examples and weighs them: make it two",
                       s->name);
    }
    if (s->source.kind != IL_SOURCE_DETECTOR) {
        il_problem_add(r->problems, s->source.place,
                       "only a detector scores examples: expected one as `source`");
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (il_node_get(node, foreign[i]) != NULL) {
            il_problem_add(
                r->problems, il__read_place(node, foreign[i]),
                "channel data takes no `%s`: what is trained on the examples "
                "says itself what it updates, and how strongly",
                foreign[i]);
        }
    }
}
