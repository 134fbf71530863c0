/* What recall was lost, and how: with the twin (the model moved on), hidden (a refit
 * still reads it), or gone. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/html.h"
#include "report/verdict.h"

/* The entry of an arm that is about `of`, or NULL. */
static const json_t *lost_of(const json_t *entry, const char *of)
{
    const json_t *lost = json_object_get(entry, "lost");

    for (size_t i = 0; i < json_array_size(lost); i++) {
        const char *name =
            json_string_value(json_object_get(json_array_get(lost, i), "of"));

        if (name != NULL && strcmp(name, of) == 0) {
            return json_array_get(lost, i);
        }
    }
    return NULL;
}

/* A mean with its seeds below. */
static void add_list(const json_t *list, il_text *html)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_is_number(json_array_get(list, i))) {
            sum += json_number_value(json_array_get(list, i));
            n++;
        }
    }
    if (n == 0) {
        il_text_add(html, "<td class=\"none\">&ndash;</td>");
        return;
    }
    il_text_add(html, "<td>");
    il__number_text(html, sum / (double)n, 3);
    il_text_add(html, "<small>");
    for (size_t i = 0; i < json_array_size(list); i++) {
        il_text_add(html, i > 0 ? " " : "");
        if (json_is_number(json_array_get(list, i))) {
            il__number_text(html, json_number_value(json_array_get(list, i)), 2);
        } else {
            il_text_add(html, "&middot;");
        }
    }
    il_text_add(html, "</small></td>");
}

void il__verdict_lost(const il__results *r, const il__focus *f, il_text *html)
{
    static const char *const parts[] = {"lost", "stale", "hidden", "gone"};
    static const char *const heads[] = {"recall lost", "stale", "hidden", "gone"};
    size_t size = strlen(f->recall);
    char of[IL__FOCUS_NAME];
    size_t shown = 0;

    /* "suffering.ref" of "suffering.ref.tpr" */
    (void)snprintf(of, sizeof of, "%.*s", size > 4 ? (int)(size - 4) : 0, f->recall);
    for (size_t i = 0; i < f->subject_count; i++) {
        const json_t *lost = lost_of(il__conclusion_of(r, f->subjects[i]), of);

        if (lost == NULL) {
            continue;
        }
        if (shown++ == 0) {
            il_text_add(html,
                        "<details><summary>What recall was lost, and how</summary>\n");
            il__table_begin(html, "numbers", "What was lost");
            il_text_add(html, "<th scope=\"col\" class=\"words\">arm</th>");
            for (size_t k = 0; k < 4; k++) {
                il_text_addf(html, "<th scope=\"col\">%s</th>", heads[k]);
            }
            il_text_add(html, "</tr></thead><tbody>\n");
        }
        il_text_add(html, "<tr><th scope=\"row\">");
        il__html_text(html, f->subjects[i]->label);
        il_text_add(html, "</th>");
        for (size_t k = 0; k < 4; k++) {
            add_list(json_object_get(lost, parts[k]), html);
        }
        il_text_add(html, "</tr>\n");
    }
    if (shown > 0) {
        il__table_end(html);
        il_text_add(html, "<p class=\"hint\"><em>Stale</em>: its twin lost it too, the "
                          "model moved on. <em>Hidden</em>: the same recipe, fitted "
                          "again, still reads it. <em>Gone</em>: nothing reads "
                          "it.</p></details>\n");
    }
}
