#include "report/figure.h"

#include "report/html.h"

void il__figure_panel(il__figure *f, il__plot *p)
{
    f->small = p->width == IL__PANEL_SMALL;
    il__plot_end(p, &f->panels);
}

static void key_words(il__figure *f, const char *words)
{
    il_text_add(&f->key, " ");
    il__html_text(&f->key, words);
    il_text_add(&f->key, "</span> ");
}

void il__figure_key(il__figure *f, il__shape shape, il__hue hue, const char *words)
{
    il_text_add(&f->key, "<span>");
    il__plot_sample(&f->key, shape, hue);
    key_words(f, words);
}

void il__figure_key_line(il__figure *f, il__hue hue, il__dash dash, const char *words)
{
    il_text_add(&f->key, "<span>");
    il__plot_sample_line(&f->key, hue, dash);
    key_words(f, words);
}

void il__figure_columns(il__figure *f, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        il__csv_text(&f->csv, names[i]);
    }
    il__csv_end(&f->csv);
}

void il__figure_end(il__figure *f, const char *caption, il_text *html)
{
    if (f->panels.size > 0) {
        il_text_addf(html, "<figure id=\"%s\">", f->id);
        if (f->heading != NULL) {
            il_text_addf(html, "<h3>%s</h3>", f->heading);
        }
        il_text_addf(html, "<div class=\"panels%s\">\n", f->small ? " small" : "");
        il_text_add_bytes(html, f->panels.data, f->panels.size);
        il_text_add(html, "</div><figcaption><span class=\"keys\">");
        il_text_add(html, f->key.data != NULL ? f->key.data : "");
        il_text_add(html, "</span>");
        il_text_add(html, caption != NULL ? caption : "");
        if (f->csv.size > 0) {
            il_text_add(html, " ");
            il__csv_link(html, f->id, &f->csv);
        }
        il_text_add(html, "</figcaption></figure>\n");
    }
    html->failed = html->failed || f->panels.failed || f->key.failed || f->csv.failed;
    il_text_free(&f->panels);
    il_text_free(&f->key);
    il_text_free(&f->csv);
}
