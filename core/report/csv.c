#include "report/csv.h"

#include <math.h>
#include <string.h>
#include "report/html.h"

/* Before a cell that is not the first of its line. */
static void separate(il_text *csv)
{
    if (csv->size > 0 && csv->data[csv->size - 1] != '\n') {
        il_text_add(csv, ",");
    }
}

/* An empty first cell is written with its quotes, so that the next one is separated. */
void il__csv_text(il_text *csv, const char *cell)
{
    const char *text = cell != NULL ? cell : "";
    bool quoted = *text == '\0' || strpbrk(text, ",\"\r\n") != NULL;

    separate(csv);
    il_text_add(csv, quoted ? "\"" : "");
    il_text_add(csv, *text != '\0' && strchr("=+-@\t", *text) != NULL ? "'" : "");
    for (const char *c = text; *c != '\0'; c++) {
        il_text_add_bytes(csv, c, 1);
        il_text_add(csv, *c == '"' ? "\"" : "");
    }
    il_text_add(csv, quoted ? "\"" : "");
}

void il__csv_number(il_text *csv, double value)
{
    char text[32];

    if (!isfinite(value)) {
        il__csv_text(csv, NULL);
        return;
    }
    separate(csv);
    il_format_real(value, text);
    il_text_add(csv, text);
}

void il__csv_integer(il_text *csv, int64_t value)
{
    separate(csv);
    il_text_addf(csv, "%lld", (long long)value);
}

void il__csv_end(il_text *csv)
{
    il_text_add(csv, "\n");
}

void il__csv_link(il_text *html, const char *name, const il_text *csv)
{
    static const char plain[] = "-_.~,@:/'()*!$;=?";
    size_t lines = 0;

    il_text_add(html, "<a class=\"csv\" download=\"");
    il__html_text(html, name);
    il_text_add(html, ".csv\" href=\"data:text/csv;charset=utf-8,");
    for (size_t i = 0; i < csv->size; i++) {
        unsigned char c = (unsigned char)csv->data[i];
        bool kept = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                    (c >= 'A' && c <= 'Z') || strchr(plain, c) != NULL;

        lines += c == '\n';
        if (c == '\'') {
            il_text_add(html, "&#39;");
        } else if (kept && c != '\0') {
            il_text_add_bytes(html, csv->data + i, 1);
        } else {
            il_text_addf(html, "%%%02X", c);
        }
    }
    il_text_addf(html, "\">CSV<span class=\"hush\"> of ");
    il__html_text(html, name);
    il_text_addf(html, "</span>, %zu lines</a>", lines > 0 ? lines - 1 : 0);
    html->failed = html->failed || csv->failed;
}
