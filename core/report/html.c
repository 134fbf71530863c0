#include "report/html.h"

#include <math.h>

void il__html_text(il_text *out, const char *text)
{
    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        switch (*c) {
        case '&':
            il_text_add(out, "&amp;");
            break;
        case '<':
            il_text_add(out, "&lt;");
            break;
        case '>':
            il_text_add(out, "&gt;");
            break;
        case '"':
            il_text_add(out, "&quot;");
            break;
        case '\'':
            il_text_add(out, "&#39;");
            break;
        default:
            if ((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t') {
                il_text_add_bytes(out, c, 1);
            }
        }
    }
}

void il__number_text(il_text *out, double value, int decimals)
{
    static const int64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    int64_t power = powers[decimals];
    double scaled = fabs(value) * (double)power;

    if (!isfinite(value) || scaled > 9e15) {
        char text[32];

        il_format_real(value, text);
        il_text_add(out, text);
        return;
    }
    int64_t digits = (int64_t)llround(scaled);
    il_text_addf(out, "%s%lld", value < 0 && digits > 0 ? "-" : "",
                 (long long)(digits / power));
    if (decimals > 0) {
        il_text_addf(out, ".%0*lld", decimals, (long long)(digits % power));
    }
}

void il__table_begin(il_text *html, const char *class, const char *name)
{
    il_text_addf(html,
                 "<div class=\"wide\" tabindex=\"0\" role=\"region\" "
                 "aria-label=\"%s\"><table class=\"%s\"><thead><tr>",
                 name, class);
}

void il__table_end(il_text *html)
{
    il_text_add(html, "</tbody></table></div>\n");
}
