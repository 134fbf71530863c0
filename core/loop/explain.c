#include "loop/explain.h"

#include <string.h>

/* The width of the column that holds `text`, given its width so far. */
static size_t wider(size_t width, const char *text)
{
    size_t size = strlen(text);

    return size > width ? size : width;
}

static void write_components(il_text *out, const il_explain *e)
{
    size_t label = 0, id = 0, version = 0;

    for (size_t i = 0; i < e->component_count; i++) {
        label = wider(label, e->components[i].label);
        id = wider(id, e->components[i].id);
        version = wider(version, e->components[i].version);
    }
    il_text_add(out, "\ncomponents\n");
    for (size_t i = 0; i < e->component_count; i++) {
        const il_explain_component *c = &e->components[i];

        il_text_add(out, "  ");
        il_text_pad(out, c->label, label + 2);
        il_text_pad(out, c->id, id + 2);
        il_text_pad(out, c->version, version + 2);
        il_text_addf(out, "sha256 %.12s\n", c->sha256);
    }
}

static void write_sites(il_text *out, const il_explain *e)
{
    size_t name = 0, shape = 0;

    if (e->site_count == 0) {
        return;
    }
    for (size_t i = 0; i < e->site_count; i++) {
        name = wider(name, e->sites[i].name);
        shape = wider(shape, e->sites[i].shape);
    }
    il_text_add(out, "\nsites that are read\n");
    for (size_t i = 0; i < e->site_count; i++) {
        il_text_add(out, "  ");
        il_text_pad(out, e->sites[i].name, name + 2);
        il_text_pad(out, e->sites[i].shape, shape + 2);
        il_text_addf(out, "by %s\n", e->sites[i].readers);
    }
}

void il_explain_parts_text(il_text *out, const il_explain *e)
{
    il_text_addf(out, "pipeline %s, numerics %s\n", e->pipeline, e->numerics);
    write_components(out, e);
    write_sites(out, e);
}

/* "must be closed: direct, credit (lowered by name)". */
static void write_demand(il_text *out, const il_explain_stage *s)
{
    const char *separator = "";

    il_text_add(out, "must be closed: ");
    for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
        if (s->demand & 1u << c) {
            il_text_addf(out, "%s%s", separator, il_demand_name(1u << c));
            separator = ", ";
        }
    }
    il_text_addf(out, "%s%s\n\n", separator[0] == '\0' ? "nothing" : "",
                 s->lowered ? " (lowered by name)" : "");
}

/* What falls short, in the words of the refusal that a run would end with. */
static void write_shortfall(il_text *out, const il_explain_stage *s)
{
    il_error err = {0};

    if (il_verdict_demand(s->verdict, s->demand, s->stage, &err) != IL_OK) {
        il_text_addf(out, "\nwould be refused: %s\n", err.message);
    }
}

static void write_edits(il_text *out, const il_explain_stage *s)
{
    for (size_t i = 0; i < s->edit_count; i++) {
        const il_explain_edit *e = &s->edits[i];

        il_text_addf(out, "%sedit %s: %s by %s at %s, tokens %s, strength %s\n",
                     i == 0 ? "\n" : "", e->name, e->what, e->detector, e->site,
                     e->tokens, e->strength);
    }
}

static void write_halts(il_text *out, const il_explain_stage *s)
{
    for (size_t i = 0; i < s->halt_count; i++) {
        const il_explain_halt *h = &s->halts[i];

        il_text_addf(out, "%s%s %s: %s%s%s", i == 0 ? "\n" : "",
                     h->deed != NULL ? "halt" : "data", h->name, h->line,
                     h->deed != NULL ? " → " : "", h->deed != NULL ? h->deed : "");
        if (h->ends > 1) {
            il_text_addf(out, " (one of %lld ends)", (long long)h->ends);
        }
        il_text_add(out, "\n");
    }
}

void il_explain_stage_text(il_text *out, const il_explain_stage *s)
{
    il_text_addf(out, "\nstage %s", s->stage);
    if (s->variant[0] != '\0') {
        il_text_addf(out, ", variant %s", s->variant);
    }
    if (s->from != NULL) {
        il_text_addf(out, ", from %s", s->from);
    }
    il_text_addf(out, ": %s\n", s->does);
    if (s->company != NULL) {
        il_text_addf(out, "%s\n", s->company);
    }
    if (s->row_count > 0) {
        il_text_add(out, "\n");
        il_matrix_text(out, s->bits, s->rows, s->row_count, s->groups, s->group_count);
    }
    write_edits(out, s);
    write_halts(out, s);
    if (s->verdict != NULL) {
        il_text_add(out, "\n");
        if (s->verdict->pair_count > 0) {
            write_demand(out, s);
        }
        il_verdict_text(out, s->verdict);
        write_shortfall(out, s);
    }
}

void il_explain_text(il_text *out, const il_explain *e)
{
    il_explain_parts_text(out, e);
    for (size_t i = 0; i < e->stage_count; i++) {
        il_explain_stage_text(out, &e->stages[i]);
    }
}
