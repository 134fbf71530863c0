/* Where a score can travel: the worst of every channel over all readers, arm by arm. */
#include <string.h>
#include "report/channels.h"
#include "report/html.h"
#include "report/verdict.h"

static void add_certificate(const il__results *r, const il__result_arm *arm,
                            il_text *html)
{
    const json_t *c;
    int held = il__certified(r, arm, &c);
    const json_t *steps = json_object_get(c, held == 1 ? "steps" : "step");

    if (held < 0) {
        il_text_add(html, "<td class=\"words none\">not certified</td>");
        return;
    }
    il_text_addf(html, "<td class=\"words %s\">%s", held ? "closed" : "open",
                 held ? "&#10003; held" : "&#10007; differed");
    if (json_is_integer(steps)) {
        il_text_addf(html, held ? ", %lld steps" : " at step %lld",
                     (long long)json_integer_value(steps));
    }
    il_text_add(html, "</td>");
}

static void add_path(const il__channels_worst *worst, il_text *html)
{
    const json_t *pair = worst->first >= 0 ? worst->pair[worst->first] : NULL;
    const char *name = worst->first >= 0 ? il__channel_names[worst->first] : NULL;
    const char *path = json_string_value(json_object_get(
        json_object_get(json_object_get(pair, "channels"), name), "path"));

    il_text_add(html, "<td class=\"words path\">");
    if (name == NULL) {
        il_text_add(html, "none is open</td>");
        return;
    }
    il_text_addf(html, "<b>%s</b>: <code>", name);
    il__html_text(html, path != NULL ? path : "no path on record");
    il_text_add(html, "</code></td>");
}

static void add_row(const il__results *r, const il__result_arm *arm, il_text *html)
{
    static const char *const cells[] = {
        "<td class=\"none\">&ndash;</td>", "<td class=\"closed\">closed</td>",
        "<td class=\"none\">fresh only</td>", "<td class=\"open\">open</td>"};
    il__channels_worst worst = il__channels_worst_of(arm->plan);

    il_text_add(html, "<tr><th scope=\"row\">");
    il__html_text(html, arm->label);
    if (json_is_true(json_object_get(arm->plan, "lowered"))) {
        il_text_add(html, "<small class=\"lowered\">demand lowered</small>");
    }
    il_text_add(html, "</th>");
    for (int c = 0; c < IL__CHANNELS; c++) {
        il_text_add(html, cells[1 + worst.state[c]]);
    }
    add_certificate(r, arm, html);
    add_path(&worst, html);
    il_text_add(html, "</tr>\n");
}

void il__verdict_channels(const il__results *r, const il__focus *f, il_text *html)
{
    il_text_add(html,
                "<section class=\"across\"><h3>Where its score can travel</h3>\n");
    if (json_array_size(r->plans) == 0) {
        il_text_add(html, "<p class=\"missing\">No plan is on record for this "
                          "run.</p></section>\n");
        return;
    }
    if (f->subject_count == 0) {
        il_text_add(html, "<p>Nowhere: no detector presses.</p></section>\n");
        return;
    }
    il__table_begin(html, "channels", "Worst channels");
    il_text_add(html, "<th scope=\"col\">arm</th>");
    for (int c = 0; c < IL__CHANNELS; c++) {
        il_text_addf(html, "<th scope=\"col\">%s</th>", il__channel_names[c]);
    }
    il_text_add(html, "<th scope=\"col\" class=\"words\">certificate</th><th "
                      "scope=\"col\" class=\"words\">worst path</th></tr></thead>"
                      "<tbody>\n");
    for (size_t i = 0; i < f->subject_count; i++) {
        add_row(r, f->subjects[i], html);
    }
    il__table_end(html);
    il_text_add(html,
                "<p class=\"hint\">The worst over all "
                "declared detectors, computed from the tape. <em>Fresh only</em>: "
                "open for the audit&rsquo;s own readers alone, whom no demand "
                "protects. <a href=\"#channels\">Every pair</a> stands below. "
                "Closed says nothing of health.</p></section>\n");
}
