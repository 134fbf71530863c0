/* What is done with a verdict: it is asked for, demanded, written and shown. */
#include "loop/firewall.h"

#include <string.h>

const il_verdict_pair *il_verdict_find(const il_verdict *v, const char *source,
                                       const char *reader)
{
    for (size_t i = 0; i < v->pair_count; i++) {
        const il_verdict_pair *pair = &v->pairs[i];

        if (strcmp(v->flow->sources[pair->source].name, source) == 0 &&
            strcmp(v->flow->readers[pair->reader].name, reader) == 0) {
            return pair;
        }
    }
    return NULL;
}

unsigned il_verdict_open(const il_verdict_pair *pair)
{
    unsigned open = 0;

    for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
        if (pair->cells[c].opening == IL_OPEN) {
            open |= 1u << c;
        }
    }
    return open;
}

/* The demand that would be met, as it is written. */
static void write_demand(il_text *out, unsigned closed)
{
    const char *separator = "[";

    if (closed == 0) {
        il_text_add(out, "firewall: open");
        return;
    }
    il_text_add(out, "firewall: ");
    for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
        if (closed & 1u << c) {
            il_text_addf(out, "%s%s", separator, il_demand_name(1u << c));
            separator = ", ";
        }
    }
    il_text_add(out, "]");
}

static il_status refuse(const il_verdict *v, const il_verdict_pair *pair,
                        unsigned closed, unsigned open, const char *where,
                        il_error *err)
{
    const il_verdict_cell *cell;
    il_text lower = {0};
    il_status status;
    unsigned c = 0;

    while (!(closed & il_verdict_open(pair) & 1u << c)) {
        c++;
    }
    cell = &pair->cells[c];
    write_demand(&lower, closed & ~open);
    if (lower.failed) {
        il_text_free(&lower);
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    status = il_error_set(
        err, IL_ERR_FIREWALL, where,
        "%s is open from %s to %s and must be closed: %s; %s%s%sto leave it open, "
        "write `%s`",
        il_demand_name(1u << c), v->flow->sources[pair->source].name,
        v->flow->readers[pair->reader].name, cell->path,
        cell->remedy != NULL ? "to close it, write `" : "",
        cell->remedy != NULL ? cell->remedy : "", cell->remedy != NULL ? "`; " : "",
        lower.data);
    il_text_free(&lower);
    return status;
}

il_status il_verdict_demand(const il_verdict *v, unsigned closed, const char *where,
                            il_error *err)
{
    const il_verdict_pair *first = NULL;
    unsigned open = 0;

    for (size_t i = 0; i < v->pair_count; i++) {
        const il_verdict_pair *pair = &v->pairs[i];

        if (v->flow->readers[pair->reader].audit_only) {
            continue;
        }
        open |= il_verdict_open(pair);
        if (first == NULL && (il_verdict_open(pair) & closed)) {
            first = pair;
        }
    }
    return first == NULL ? IL_OK : refuse(v, first, closed, open, where, err);
}

static json_t *cell_json(const il_verdict_cell *cell)
{
    json_t *path = cell->path != NULL ? json_string(cell->path) : json_null();

    return json_pack("{s:b, s:b, s:o}", "open", cell->opening == IL_OPEN, "applicable",
                     cell->opening != IL_NOT_APPLICABLE, "path", path);
}

static json_t *pair_json(const il_verdict *v, const il_verdict_pair *pair)
{
    json_t *channels = json_object();

    for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
        if (json_object_set_new(channels, il_demand_name(1u << c),
                                cell_json(&pair->cells[c])) != 0) {
            json_decref(channels);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:o}", "source", v->flow->sources[pair->source].name,
                     "reader", v->flow->readers[pair->reader].name, "channels",
                     channels);
}

static json_t *pressed_json(const il_verdict *v, size_t source)
{
    json_t *names = json_array();

    for (size_t i = 0; i < v->flow->bits; i++) {
        if (il_bits_has(v->pressed[source], i) &&
            json_array_append_new(names, json_string(v->flow->names[i])) != 0) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

json_t *il_verdict_json(const il_verdict *v)
{
    json_t *pairs = json_array();
    json_t *pressed = json_object();
    bool failed = pairs == NULL || pressed == NULL;

    for (size_t i = 0; i < v->pair_count && !failed; i++) {
        failed = json_array_append_new(pairs, pair_json(v, &v->pairs[i])) != 0;
    }
    for (size_t s = 0; s < v->flow->source_count && !failed; s++) {
        failed = json_object_set_new(pressed, v->flow->sources[s].name,
                                     pressed_json(v, s)) != 0;
    }
    if (failed) {
        json_decref(pairs);
        json_decref(pressed);
        return NULL;
    }
    return json_pack("{s:o, s:o}", "pairs", pairs, "pressed", pressed);
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

void il_text_pad(il_text *out, const char *text, size_t width)
{
    il_text_add(out, text);
    for (size_t n = width_of(text); n < width; n++) {
        il_text_add(out, " ");
    }
}

/* Takes the spaces that end the last line away and ends it. */
static void end_line(il_text *out)
{
    while (out->size > 0 && out->data[out->size - 1] == ' ') {
        out->data[--out->size] = '\0';
    }
    il_text_add(out, "\n");
}

static const char *reader_note(const il_flow_reader *reader)
{
    if (reader->vault) {
        return " (vault)";
    }
    return reader->audit_only ? " (the audit's own)" : "";
}

/* "probe → auditor (vault)" into `line`, which is emptied first. */
static const char *pair_name(const il_verdict *v, const il_verdict_pair *pair,
                             il_text *line)
{
    const il_flow_reader *reader = &v->flow->readers[pair->reader];

    line->size = 0;
    il_text_addf(line, "%s → %s%s", v->flow->sources[pair->source].name, reader->name,
                 reader_note(reader));
    return line->failed ? "" : line->data;
}

static void write_paths(il_text *out, const il_verdict *v, il_text *line)
{
    for (size_t i = 0; i < v->pair_count; i++) {
        const il_verdict_pair *pair = &v->pairs[i];

        if (il_verdict_open(pair) == 0) {
            continue;
        }
        il_text_addf(out, "\n%s\n", pair_name(v, pair, line));
        for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
            if (pair->cells[c].opening == IL_OPEN) {
                il_text_add(out, "  ");
                il_text_pad(out, il_demand_name(1u << c), 11);
                il_text_addf(out, "%s\n", pair->cells[c].path);
            }
        }
    }
}

void il_verdict_text(il_text *out, const il_verdict *v)
{
    static const char *const marks[] = {"·", "●", "–"};
    il_text line = {0};
    size_t name_width = width_of("source → reader");

    if (v->pair_count == 0) {
        il_text_add(out, "no detector presses on what is trained\n");
        return;
    }
    for (size_t i = 0; i < v->pair_count; i++) {
        size_t width = width_of(pair_name(v, &v->pairs[i], &line));

        name_width = width > name_width ? width : name_width;
    }
    il_text_pad(out, "source → reader", name_width + 2);
    for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
        il_text_pad(out, il_demand_name(1u << c), 0);
        il_text_add(out, c + 1 < IL_FLOW_CHANNELS ? "  " : "\n");
    }
    for (size_t i = 0; i < v->pair_count; i++) {
        il_text_pad(out, pair_name(v, &v->pairs[i], &line), name_width + 2);
        for (unsigned c = 0; c < IL_FLOW_CHANNELS; c++) {
            il_text_pad(out, marks[v->pairs[i].cells[c].opening],
                        width_of(il_demand_name(1u << c)) + 2);
        }
        end_line(out);
    }
    write_paths(out, v, &line);
    il_text_add(out,
                "\n● open   · closed   – not applicable. Where pressure can go, and "
                "not whether a reader still tells the truth.\n");
    out->failed |= line.failed;
    il_text_free(&line);
}

/* How much of a group a signal updates. */
static void mark_group(il_text *cell, size_t bits, const il_word *updates,
                       const il_word *members)
{
    size_t all = il_bits_count(members, il_bits_words(bits));
    size_t some = 0;

    for (size_t i = 0; updates != NULL && i < bits; i++) {
        some += il_bits_has(updates, i) && il_bits_has(members, i);
    }
    cell->size = 0;
    if (some == 0) {
        il_text_add(cell, "·");
    } else if (some == all) {
        il_text_add(cell, "●");
    } else {
        il_text_addf(cell, "%zu/%zu", some, all);
    }
}

void il_matrix_text(il_text *out, size_t bits, const il_matrix_row *rows,
                    size_t row_count, const il_matrix_group *groups, size_t group_count)
{
    il_text cell = {0};
    size_t name_width = width_of("signal");
    size_t channel_width = width_of("channel");

    for (size_t r = 0; r < row_count; r++) {
        size_t name = width_of(rows[r].name), channel = width_of(rows[r].channel);

        name_width = name > name_width ? name : name_width;
        channel_width = channel > channel_width ? channel : channel_width;
    }
    il_text_pad(out, "signal", name_width + 2);
    il_text_pad(out, "channel", channel_width + 2);
    for (size_t g = 0; g < group_count; g++) {
        size_t width = width_of(groups[g].name);

        il_text_pad(out, groups[g].name, (width < 5 ? 5 : width) + 2);
    }
    end_line(out);
    for (size_t r = 0; r < row_count; r++) {
        il_text_pad(out, rows[r].name, name_width + 2);
        il_text_pad(out, rows[r].channel, channel_width + 2);
        for (size_t g = 0; g < group_count; g++) {
            size_t width = width_of(groups[g].name);

            mark_group(&cell, bits, rows[r].updates, groups[g].members);
            il_text_pad(out, cell.failed ? "" : cell.data, (width < 5 ? 5 : width) + 2);
        }
        end_line(out);
    }
    out->failed |= cell.failed;
    il_text_free(&cell);
}
