#include "base/text.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `size` more bytes and a NUL; false, with `failed` set, when memory is out.
 */
static bool text_grow(il_text *t, size_t size)
{
    size_t room = t->room < 32 ? 32 : t->room;
    char *grown;

    if (t->failed || size > SIZE_MAX / 2 - t->size) {
        t->failed = true;
        return false;
    }
    if (t->data != NULL && t->size + size < t->room) {
        return true;
    }
    while (room <= t->size + size) {
        room *= 2;
    }
    grown = realloc(t->data, room);
    if (grown == NULL) {
        t->failed = true;
        return false;
    }
    t->data = grown;
    t->room = room;
    return true;
}

void il_text_add_bytes(il_text *t, const char *piece, size_t size)
{
    if (!text_grow(t, size)) {
        return;
    }
    if (size > 0) {
        memcpy(t->data + t->size, piece, size);
    }
    t->size += size;
    t->data[t->size] = '\0';
}

void il_text_add(il_text *t, const char *piece)
{
    il_text_add_bytes(t, piece, strlen(piece));
}

void il_text_addf(il_text *t, const char *fmt, ...)
{
    va_list args;
    int size;

    va_start(args, fmt);
    size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (size < 0) {
        t->failed = true;
        return;
    }
    if (!text_grow(t, (size_t)size)) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(t->data + t->size, (size_t)size + 1, fmt, args);
    va_end(args);
    t->size += (size_t)size;
}

void il_text_free(il_text *t)
{
    free(t->data);
    *t = (il_text){0};
}

/* The C library's parsers skip blanks and take a plus sign; ours take neither. */
static bool starts_number(const char *text)
{
    const char *p = text[0] == '-' ? text + 1 : text;

    return (p[0] >= '0' && p[0] <= '9') || (p[0] == '.' && p[1] >= '0' && p[1] <= '9');
}

bool il_parse_int(const char *text, int64_t *value)
{
    char *end;
    long long v;

    if (!starts_number(text)) {
        return false;
    }
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *value = v;
    return true;
}

bool il_parse_uint(const char *text, uint64_t *value)
{
    char *end;
    unsigned long long v;

    if (text[0] == '-' || !starts_number(text)) {
        return false;
    }
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0') {
        return false;
    }
    *value = v;
    return true;
}

/* Decimal digits, one point, one exponent: no hexadecimal, no infinity, no locale. */
static bool real_is_plain(const char *text)
{
    const char *p = text[0] == '-' ? text + 1 : text;
    size_t digits = strspn(p, "0123456789");

    p += digits;
    if (*p == '.') {
        size_t more = strspn(p + 1, "0123456789");

        p += 1 + more;
        digits += more;
    }
    if (digits == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        digits = strspn(p, "0123456789");
        p += digits;
        if (digits == 0) {
            return false;
        }
    }
    return *p == '\0';
}

/* strtod and printf write the decimal point of the locale that the host program chose.
 * That point, which may be several bytes, is put in and taken out here; asking for it
 * is cheaper and simpler than a locale object of our own, which would need an owner. */
static const char *locale_point(void)
{
    const char *point = localeconv()->decimal_point;

    return point != NULL && point[0] != '\0' ? point : ".";
}

/* The text with its '.' replaced by the locale's point, parsed. The text is plain. */
static double real_read(const char *text)
{
    const char *point = locale_point();
    const char *dot = strchr(text, '.');
    il_text local = {0};
    double v;

    if (dot == NULL || strcmp(point, ".") == 0) {
        return strtod(text, NULL);
    }
    il_text_add_bytes(&local, text, (size_t)(dot - text));
    il_text_add(&local, point);
    il_text_add(&local, dot + 1);
    v = local.failed ? NAN : strtod(local.data, NULL);
    il_text_free(&local);
    return v;
}

bool il_parse_real(const char *text, double *value)
{
    double v;

    if (!real_is_plain(text)) {
        return false;
    }
    v = real_read(text);
    if (!isfinite(v)) {
        return false;
    }
    *value = v;
    return true;
}

/* Puts '.' in place of the locale's point, and ".0" after a whole number. */
static void real_finish(char out[32])
{
    const char *point = locale_point();
    char *p = strcmp(point, ".") != 0 ? strstr(out, point) : NULL;

    if (p != NULL) {
        size_t length = strlen(point);

        *p = '.';
        memmove(p + 1, p + length, strlen(p + length) + 1);
    }
    if (strpbrk(out, ".en") == NULL) { /* "inf" and "nan" stay as they are */
        memcpy(out + strlen(out), ".0", 3);
    }
}

void il_format_real(double value, char out[32])
{
    /* Digits are added until the text reads back as the same number; 17 always suffice.
     */
    for (int digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    real_finish(out);
}

void il_format_real32(float value, char out[32])
{
    for (int digits = 1; digits <= FLT_DECIMAL_DIG; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) {
            break;
        }
    }
    real_finish(out);
}

enum { WORD_MAX = 64 }; /* longer words get no suggestion */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edit distance with transpositions of neighbours (optimal string alignment). */
static size_t word_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0]; /* row i - 2 */
    size_t *above = rows[1];  /* row i - 1 */
    size_t *now = rows[2];

    for (size_t j = 0; j <= nb; j++) {
        before[j] = 0; /* read from row 2 on only, when it has been rotated */
        above[j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        size_t *spare = before;

        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t d = above[j - 1] + (a[i - 1] != b[j - 1]);

            d = least(d, least(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d = least(d, before[j - 2] + 1);
            }
            now[j] = d;
        }
        before = above;
        above = now;
        now = spare;
    }
    return above[nb];
}

const char *il_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    size_t best = (length / 3 < 1 ? 1 : least(length / 3, 3)) + 1; /* one too far */
    const char *nearest = NULL;

    if (length == 0 || length > WORD_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(candidates[i]);
        size_t d;

        if (size > WORD_MAX) {
            continue;
        }
        d = word_distance(word, length, candidates[i], size);
        if (d < best) { /* ties go to the candidate that comes first */
            nearest = candidates[i];
            best = d;
        }
    }
    return nearest;
}
