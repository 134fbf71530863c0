#include "plugin/version.h"

#include <string.h>

/* One to three numbers joined by dots from *text on; how many, 0 when there are none or
 * one is too large. *text is left behind them. */
static int numbers(const char **text, int parts[3])
{
    int count = 0;

    memset(parts, 0, 3 * sizeof parts[0]);
    for (;;) {
        int digits = 0;

        for (; **text >= '0' && **text <= '9' && digits < 8; (*text)++, digits++) {
            parts[count] = parts[count] * 10 + (**text - '0');
        }
        if (digits == 0 || (**text >= '0' && **text <= '9')) {
            return 0;
        }
        count++;
        if (**text != '.' || count == 3) {
            return count;
        }
        (*text)++;
    }
}

bool il_version_parse(const char *text, int parts[3])
{
    return numbers(&text, parts) == 3 &&
           (*text == '\0' || ((*text == '-' || *text == '+') && text[1] != '\0'));
}

static int compare(const int a[3], const int b[3])
{
    for (int i = 0; i < 3; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

bool il_version_older(const char *a, const char *b)
{
    int x[3];
    int y[3];

    return il_version_parse(a, x) && il_version_parse(b, y) && compare(x, y) < 0;
}

bool il_version_in(const char *version, const char *range, bool *known)
{
    int have[3];
    int want[3];
    char sign = range[0] == '^' || range[0] == '~' ? range[0] : '=';
    const char *rest = range;
    int given;

    *known = true;
    if (range[0] == '\0') {
        return true;
    }
    if (strncmp(range, ">=", 2) == 0) {
        sign = '>';
        rest += 2;
    } else if (sign != '=') {
        rest++;
    }
    given = numbers(&rest, want);
    *known = given > 0 && *rest == '\0' && (sign != '=' || given == 3);
    if (!*known || !il_version_parse(version, have)) {
        return false;
    }
    if (sign == '=') {
        return compare(have, want) == 0;
    }
    if (compare(have, want) < 0) {
        return false;
    }
    /* "~1" and "^0" leave the minor open, there being none to hold on to. */
    if (sign == '>') {
        return true;
    }
    if (have[0] != want[0]) {
        return false;
    }
    return given == 1 || (sign == '^' && want[0] > 0) || have[1] == want[1];
}
