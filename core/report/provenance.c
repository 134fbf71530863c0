#include "report/provenance.h"

#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/version.h"
#include "report/html.h"

enum { LIMIT = 4 << 20 };

/* A file of the run folder as text; NULL where it is not there or cannot be read. */
static char *read_text(const il__results *r, const char *name, size_t *size)
{
    char *path = il_path_join(r->folder, name);
    char *data = NULL;

    if (path == NULL || il_file_read(path, LIMIT, &data, size, NULL) != IL_OK) {
        data = NULL; /* the page says that it is missing */
    }
    free(path);
    return data;
}

static void add_hash(il_text *html, const char *hash)
{
    il_text_add(html, "<code>");
    il__html_text(html, hash != NULL ? hash : "none on record");
    il_text_add(html, "</code>");
}

static void add_plugins(const il__results *r, il_text *html)
{
    static const char *const keys[] = {"id", "version", "abi", "sha256"};
    size_t size = 0;
    char *text = read_text(r, "plugins.lock", &size);
    char *line = text;

    il_text_add(html, "<h3>Plugins</h3>\n");
    if (text == NULL) {
        il_text_add(html, "<p class=\"missing\">No plugins.lock is in the run "
                          "folder.</p>\n");
        return;
    }
    il__table_begin(html, "", "Plugins");
    il_text_add(html,
                "<th scope=\"col\" class=\"words\">plugin</th><th "
                "scope=\"col\">version</th><th scope=\"col\">ABI</th><th scope=\"col\" "
                "class=\"words\">sha256</th></tr></thead><tbody>\n");
    while (line != NULL && *line != '\0') {
        char *end = strchr(line, '\n');
        json_t *plugin = json_loadb(
            line, end != NULL ? (size_t)(end - line) : strlen(line), 0, NULL);

        for (size_t k = 0; plugin != NULL && k < sizeof keys / sizeof keys[0]; k++) {
            const char *value = json_string_value(json_object_get(plugin, keys[k]));

            il_text_add(html, k == 0   ? "<tr><th scope=\"row\">"
                              : k == 3 ? "<td class=\"words\">"
                                       : "<td>");
            if (k == 3) {
                add_hash(html, value);
            } else {
                il__html_text(html, value);
            }
            il_text_add(html, k == 0 ? "</th>" : k == 3 ? "</td></tr>\n" : "</td>");
        }
        json_decref(plugin);
        line = end != NULL ? end + 1 : NULL;
    }
    il__table_end(html);
    free(text);
}

static void add_states(const il__results *r, il_text *html)
{
    il_text_add(html, "<details><summary>States, stage by stage</summary>\n");
    il__table_begin(html, "", "States");
    il_text_add(
        html, "<th scope=\"col\" class=\"words\">stage</th><th scope=\"col\" "
              "class=\"words\">variant</th><th scope=\"col\">seed</th><th "
              "scope=\"col\" class=\"words\">state, and what it started from</th></tr>"
              "</thead><tbody>\n");
    for (size_t i = 0; i < r->row_count; i++) {
        const il__result_row *row = &r->rows[i];

        il_text_add(html, "<tr><th scope=\"row\">");
        il__html_text(html, row->stage);
        il_text_add(html, "</th><td class=\"words\">");
        il__html_text(html, row->variant);
        il_text_addf(html, "</td><td>%lld</td><td class=\"words\">",
                     (long long)row->seed);
        add_hash(html, row->state);
        if (row->parent != NULL) {
            il_text_add(html, "<br>from ");
            add_hash(html, row->parent);
        }
        il_text_add(html, "</td></tr>\n");
    }
    il__table_end(html);
    il_text_add(html, "</details>\n");
}

static void add_fact(il_text *html, const char *name, const char *value)
{
    if (value != NULL) {
        il_text_addf(html, "<dt>%s</dt><dd>", name);
        il__html_text(html, value);
        il_text_add(html, "</dd>\n");
    }
}

void il__provenance(const il__results *r, il_text *html)
{
    size_t size = 0;
    char *pipeline = read_text(r, "pipeline.yaml", &size);

    il_text_add(html, "<section aria-labelledby=\"provenance\"><h2 id=\"provenance\">"
                      "Provenance</h2>\n<dl class=\"list\">\n");
    add_fact(html, "run", r->name);
    add_fact(html, "page made by", "Interloop " IL_VERSION);
    il_text_add(html, "<dt>seeds</dt><dd>");
    for (size_t i = 0; i < json_array_size(r->seeds); i++) {
        il_text_addf(html, "%s%lld", i > 0 ? ", " : "",
                     (long long)json_integer_value(json_array_get(r->seeds, i)));
    }
    il_text_add(html, "</dd>\n");
    add_fact(html, "numerics", r->numerics);
    add_fact(html, "matrix kernel", r->kernel);
    add_fact(html, "threads and processes",
             "change no bit of a result, and are not kept");
    il_text_add(html, "</dl>\n");
    add_plugins(r, html);
    add_states(r, html);
    if (pipeline != NULL) {
        il_text_add(html, "<details><summary>The pipeline, resolved: running it again "
                          "gives the same bits</summary>\n<div class=\"wide\" "
                          "tabindex=\"0\" role=\"region\" aria-label=\"Pipeline\"><pre>"
                          "<code>");
        il__html_text(html, pipeline);
        il_text_add(html, "</code></pre></div></details>\n");
    } else {
        il_text_add(html, "<p class=\"missing\">No pipeline.yaml is in the run "
                          "folder.</p>\n");
    }
    il_text_add(html, "</section>\n");
    free(pipeline);
}
