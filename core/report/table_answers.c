/* What the models wrote: answers to the same prompts with the same luck, side by side
 * for every stage, variant and edit, so that before and after can be read. */
#include "report/tables.h"

#include <string.h>
#include "report/html.h"

enum { VOICES_MAX = 64, SHOWN = 4 };

/* Who answers: an arm, or an arm under an edit. */
typedef struct voice {
    const il__result_arm *arm;
    const char *edit;      /* NULL: none */
    const json_t *answers; /* by kind of prompt */
} voice;

static size_t find_voices(const il__results *r, voice *voices)
{
    size_t count = 0;

    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        const json_t *audit = arm->row_count > 0 ? arm->rows[0]->audit : NULL;
        const json_t *plain = json_object_get(audit, "answers");
        const char *edit;
        json_t *under;

        if (plain != NULL && count < VOICES_MAX) {
            voices[count++] = (voice){.arm = arm, .answers = plain};
        }
        json_object_foreach(json_object_get(audit, "answers_under"), edit, under)
        {
            if (count < VOICES_MAX) {
                voices[count++] = (voice){.arm = arm, .edit = edit, .answers = under};
            }
        }
    }
    return count;
}

/* A voice's answer to a prompt; NULL where it was asked something else. */
static const json_t *answer_of(const voice *v, const char *kind, size_t at,
                               const char *prompt)
{
    const json_t *one = json_array_get(json_object_get(v->answers, kind), at);
    const char *asked = json_string_value(json_object_get(one, "prompt"));

    return asked != NULL && strcmp(asked, prompt) == 0 ? one : NULL;
}

static bool same_answer(const json_t *a, const json_t *b)
{
    return a != NULL && b != NULL &&
           json_equal(json_object_get(a, "answer"), json_object_get(b, "answer"));
}

static void add_name(const voice *v, il_text *html)
{
    il__html_text(html, v->arm->label);
    if (v->edit != NULL) {
        il_text_add(html, " under ");
        il__html_text(html, v->edit);
    }
}

/* Its labels that hold, as marks. */
static void add_labels(const json_t *answer, il_text *html)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(answer, "labels"), name, value)
    {
        if (json_integer_value(value) == 1) {
            il_text_add(html, " <span class=\"label\">");
            il__html_text(html, name);
            il_text_add(html, "</span>");
        }
    }
}

/* One prompt: each answer once, with all who gave it. */
static void add_prompt(const voice *voices, size_t count, const char *kind, size_t at,
                       const char *prompt, il_text *html)
{
    bool done[VOICES_MAX] = {false};

    il_text_add(html, "<pre class=\"said\">");
    il__html_text(html, prompt);
    il_text_add(html, "</pre><dl class=\"list answers\">\n");
    for (size_t i = 0; i < count; i++) {
        const json_t *mine = answer_of(&voices[i], kind, at, prompt);

        if (mine == NULL || done[i]) {
            continue;
        }
        il_text_add(html, "<dt>");
        add_name(&voices[i], html);
        for (size_t k = i + 1; k < count; k++) {
            if (same_answer(mine, answer_of(&voices[k], kind, at, prompt))) {
                done[k] = true;
                il_text_add(html, ", ");
                add_name(&voices[k], html);
            }
        }
        il_text_add(html, "</dt><dd><code class=\"said\">");
        il__html_text(html, json_string_value(json_object_get(mine, "answer")));
        il_text_add(html, "</code>");
        add_labels(mine, html);
        il_text_add(html, "</dd>\n");
    }
    il_text_add(html, "</dl>\n");
}

static void add_kind(const voice *voices, size_t count, const char *kind,
                     const json_t *asked, il_text *html)
{
    const size_t prompts = json_array_size(asked);

    il_text_add(html, "<h4>Prompts of the kind ");
    il__html_text(html, kind);
    il_text_add(html, "</h4>\n");
    for (size_t i = 0; i < prompts; i++) {
        const char *prompt =
            json_string_value(json_object_get(json_array_get(asked, i), "prompt"));

        if (i == SHOWN) {
            il_text_add(html, "<details><summary>More of them</summary>\n");
        }
        if (prompt != NULL) {
            add_prompt(voices, count, kind, i, prompt, html);
        }
    }
    il_text_add(html, prompts > SHOWN ? "</details>\n" : "");
}

void il__table_answers(const il__results *r, il_text *html)
{
    voice voices[VOICES_MAX];
    size_t count = find_voices(r, voices);
    const char *kind;
    json_t *asked;

    if (count == 0) {
        return;
    }
    il_text_add(html, "<h3 id=\"answers\">What it wrote</h3>\n<p>The first answers of "
                      "the first seed at each stage's end, to the same prompts with "
                      "the same luck: what differs is the model.</p>\n");
    json_object_foreach((json_t *)(uintptr_t)voices[0].answers, kind, asked)
    {
        add_kind(voices, count, kind, asked, html);
    }
}
