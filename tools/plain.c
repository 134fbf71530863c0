#include "plain.h"

#include <stdbool.h>

/* How many bytes of a control character begin a text: those of ASCII, and in UTF-8 those
 * of the second set, which some terminals obey as well; 0 for none. */
static int control(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
        return 2;
    }
    return p[0] < 0x20 || p[0] == 0x7f;
}

void il_put_plain(FILE *to, const char *text)
{
    for (const char *p = text; p != NULL && *p != '\0'; p++) {
        bool kept = *p == '\n' || *p == '\t';
        int size = kept ? 0 : control(p);

        (void)putc(size > 0 ? '?' : *p, to); /* what cannot be said cannot be told */
        p += size > 1;
    }
}

const char *il_plain(const char *text)
{
    for (const char *p = text; p != NULL && *p != '\0'; p++) {
        if (control(p) > 0) {
            return "(not printable)";
        }
    }
    return text != NULL ? text : "";
}

void il_put_error(const il_error *err)
{
    il_put_plain(stderr, err->where);
    fputs(err->where[0] != '\0' ? ": error: " : "error: ", stderr);
    il_put_plain(stderr, err->message);
    (void)putc('\n', stderr);
}
