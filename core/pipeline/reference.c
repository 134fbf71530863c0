/* From the grammar's table to Markdown: see reference.h. Maps are told once, under the
 * name by which the grammar calls them, in the order in which they are met. */
#include "pipeline/reference.h"

#include <string.h>
#include "pipeline/schema.h"

enum { SECTIONS = 128 };

typedef struct reference {
    il_text *out;
    const il_schema *sections[SECTIONS];
    size_t count;
} reference;

static bool has_section(const il_schema *s)
{
    return s->kind == IL_SCHEMA_MAP || s->kind == IL_SCHEMA_USE ||
           s->kind == IL_SCHEMA_CASES;
}

/* Notes what a type leads to, so that it gets a section. */
static void meet(reference *r, const il_schema *s)
{
    if (s == NULL || r->count == SECTIONS) {
        return;
    }
    if (s->kind == IL_SCHEMA_NAMED || s->kind == IL_SCHEMA_LIST) {
        meet(r, s->element);
    }
    for (size_t i = 0; s->kind == IL_SCHEMA_EITHER && s->options[i] != NULL; i++) {
        meet(r, s->options[i]);
    }
    if (!has_section(s)) {
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (strcmp(r->sections[i]->what, s->what) == 0) {
            return;
        }
    }
    r->sections[r->count++] = s;
}

/* "a detector" as a heading and a link: "detector". */
static const char *plain(const char *what)
{
    return strncmp(what, "a ", 2) == 0    ? what + 2
           : strncmp(what, "an ", 3) == 0 ? what + 3
                                          : what;
}

static void add_link(il_text *out, const char *what)
{
    il_text_addf(out, "[%s](#", what);
    for (const char *p = plain(what); *p != '\0'; p++) {
        if (*p == ' ') {
            il_text_add(out, "-");
        } else if (*p != ',' && *p != '.' && *p != '\'') {
            il_text_addf(out, "%c", *p);
        }
    }
    il_text_add(out, ")");
}

static void add_type(il_text *out, const il_schema *s)
{
    if (s->kind == IL_SCHEMA_CHOICE) {
        for (size_t i = 0; s->choices[i] != NULL; i++) {
            il_text_addf(out, "%s`%s`", i > 0 ? ", " : "", s->choices[i]);
        }
    } else if (has_section(s)) {
        add_link(out, s->what);
    } else if (s->kind == IL_SCHEMA_NAMED && has_section(s->element)) {
        il_text_add(out, "names, each with ");
        add_link(out, s->element->what);
    } else if (s->kind == IL_SCHEMA_LIST && has_section(s->element)) {
        il_text_add(out, "a list, each of it ");
        add_link(out, s->element->what);
    } else if (s->kind == IL_SCHEMA_EITHER) {
        for (size_t i = 0; s->options[i] != NULL; i++) {
            il_text_add(out, i > 0 ? " or " : "");
            add_type(out, s->options[i]);
        }
    } else {
        il_text_add(out, s->what);
    }
}

static void add_fields(reference *r, const il_schema_field *fields, size_t count,
                       const char *use)
{
    il_text_add(r->out, "| key | takes | |\n|---|---|---|\n");
    if (use != NULL) {
        il_text_addf(r->out, "| `use` | `%s` | |\n", use);
    }
    for (size_t i = 0; i < count; i++) {
        il_text_addf(r->out, "| `%s` | ", fields[i].key);
        add_type(r->out, fields[i].type);
        il_text_addf(r->out, " | %s%s%s |\n",
                     fields[i].flags & IL_FIELD_REQUIRED ? "**needed.** "
                     : fields[i].flags & IL_FIELD_ONE    ? "**one of these.** "
                                                         : "",
                     fields[i].help,
                     fields[i].flags & IL_FIELD_WHOLE ? "; replaced whole" : "");
        meet(r, fields[i].type);
    }
    il_text_add(r->out, "\n");
}

static void add_section(reference *r, const il_schema *s)
{
    il_text_addf(r->out, "## %s\n\n", plain(s->what));
    if (s->kind == IL_SCHEMA_MAP) {
        add_fields(r, s->fields, s->field_count, NULL);
        return;
    }
    il_text_addf(r->out, "One of %zu, told by %s; replaced whole, never merged.\n\n",
                 s->case_count,
                 s->kind == IL_SCHEMA_USE ? "what `use` says" : "which key is there");
    for (size_t i = 0; i < s->case_count; i++) {
        add_fields(r, s->cases[i].fields, s->cases[i].field_count,
                   s->kind == IL_SCHEMA_USE ? s->cases[i].name : NULL);
    }
}

void il_schema_reference(il_text *out)
{
    reference r = {.out = out};

    il_text_add(out,
                "# The pipeline file: every key\n\n"
                "Written by `interloop config reference` from the table that checks "
                "pipelines. A value may always be\n"
                "`${var:NAME}`, `${env:NAME}` or `${env:NAME:-default}`; keys at the "
                "top that begin with `x-` are notes.\n"
                "[Pipelines](../pipelines.md) shows the grammar by example.\n\n");
    meet(&r, &il_schema_pipeline);
    for (size_t i = 0; i < r.count; i++) {
        add_section(&r, r.sections[i]);
    }
}
