/* What was let pass of detectors from files. */
#include "report/html.h"
#include "report/tables.h"

/* Whether an earlier row, or entry of this one, says the same. */
static bool said_before(const il__results *r, size_t row, size_t entry)
{
    const json_t *same = json_array_get(r->rows[row].accepted, entry);

    for (size_t i = 0; i <= row; i++) {
        const json_t *all = r->rows[i].accepted;

        for (size_t k = 0; k < json_array_size(all) && (i < row || k < entry); k++) {
            if (json_equal(json_array_get(all, k), same)) {
                return true;
            }
        }
    }
    return false;
}

/* Detectors from files whose contracts differ from what they are used for. */
void il__accepted(const il__results *r, il_text *html)
{
    static const struct {
        const char *before, *key;
    } parts[] = {{"<li>detector ", "detector"},
                 {" was made for another ", "what"},
                 {": here ", "expected"},
                 {", in its contract ", "got"},
                 {". Taken all the same: ", "why"}};
    size_t shown = 0;

    for (size_t i = 0; i < r->row_count; i++) {
        for (size_t k = 0; k < json_array_size(r->rows[i].accepted); k++) {
            const json_t *entry = json_array_get(r->rows[i].accepted, k);

            if (said_before(r, i, k)) {
                continue;
            }
            il_text_add(html, shown++ == 0
                                  ? "<p><b class=\"lowered\">Contracts that do not "
                                    "match:</b></p><ul>"
                                  : "");
            for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
                il_text_add(html, parts[p].before);
                il__html_text(html,
                              json_string_value(json_object_get(entry, parts[p].key)));
            }
            il_text_add(html, "</li>");
        }
    }
    il_text_add(html, shown > 0 ? "</ul>\n" : "");
}
