/* Reading what a run is compared with, and the question that it answers. */
#include "pipeline/read.h"

#include <string.h>

/* In the order of il_scramble; then what is none. */
static const char *const scrambles[] = {"auto", "rows", "constant", "noise", NULL};

il_scramble il__read_scramble(const il_node *node, const char *key)
{
    return (il_scramble)il__read_choice(node, key, scrambles, IL_SCRAMBLE_NONE);
}

il_twins_spec il__read_twins(const il_node *own, const il_node *all)
{
    il_twins_spec t = {.twin = true, .placebo = true};
    const il_node *node = own != NULL ? own : all;

    if (node == NULL) {
        return t;
    }
    t.place = node->place;
    if (node->kind == IL_NODE_SCALAR) { /* none */
        t.twin = false;
        t.placebo = false;
        return t;
    }
    t.twin = il__read_flag(node, "twin", true);
    t.placebo = strcmp(il__read_text(node, "placebo", "auto"), "none") != 0;
    t.scramble = il__read_scramble(node, "placebo");
    return t;
}

void il__read_endpoint(il__reader *r, il_endpoint_spec *e, const il_node *node)
{
    static const char *const against[] = {"twin", "placebo", NULL};
    const il_node *stage = il_node_get(node, "stage");
    const char *name;
    const char *keys[64];
    size_t count = 0;

    if (node == NULL || node->kind != IL_NODE_MAP) {
        return;
    }
    e->declared = true;
    e->place = node->place;
    e->metric = il__read_text(node, "metric", NULL);
    il__read_stage_name(r, stage, &e->stage, &name);
    e->variant = il__read_text(node, "variant", NULL);
    e->placebo = il__read_choice(node, "versus", against, 0) == 1;
    e->margin = il__read_real(node, "margin", IL_ENDPOINT_MARGIN);
    e->behaviour = il__read_text(node, "behaviour", NULL);
    e->tax = il__read_names(r, il_node_get(node, "tax"));
    if (e->variant != NULL && e->stage != NULL) {
        const il_node *variants =
            il_node_get(il_node_get(r->stages_known, e->stage), "variants");

        for (; variants != NULL && count < variants->count && count < 64; count++) {
            keys[count] = variants->items[count].key;
        }
        if (il_node_get(variants, e->variant) == NULL) {
            il_problem_add_nearest(
                r->problems, il__read_place(node, "variant"), e->variant, keys, count,
                "no variant '%.60s' of stage '%s'", e->variant, e->stage);
        }
    }
}

bool il_signal_presses(const il_signal_spec *s)
{
    return il_signal_acts(s) &&
           ((s->source.kind == IL_SOURCE_DETECTOR && s->scramble == IL_SCRAMBLE_NONE) ||
            (s->gate.kind == IL_GATE_DETECTOR && s->gate.scramble == IL_SCRAMBLE_NONE));
}
