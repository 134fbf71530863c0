#include "formats/tokenizer_unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

/* ---- UTF-8 ---------------------------------------------------------------------- */

/* The table of well-formed sequences in The Unicode Standard, 3.9: which second bytes
 * may follow a first. */
int il__utf8_next(const char *s, size_t size, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    int length;

    if (u[0] < 0x80) {
        *code = u[0];
        return 1;
    }
    if (u[0] < 0xc2 || u[0] > 0xf4) {
        return -1;
    }
    length = (int)il__utf8_length(s[0]);
    low = u[0] == 0xe0 ? 0xa0 : u[0] == 0xf0 ? 0x90 : low;
    high = u[0] == 0xed ? 0x9f : u[0] == 0xf4 ? 0x8f : high;
    for (int i = 1; i < length; i++) {
        if ((size_t)i == size || u[i] < low || u[i] > high) {
            return -i;
        }
        low = 0x80;
        high = 0xbf;
    }
    return il__utf8_read(s, code);
}

size_t il__utf8_write(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t il__utf8_whole(const char *s, size_t size)
{
    size_t i = 0;

    while (i < size) {
        uint32_t code;
        int n;

        if ((unsigned char)s[i] < 0x80) {
            i++;
            continue;
        }
        n = il__utf8_next(s + i, size - i, &code);
        if (n < 0) {
            break;
        }
        i += (size_t)n;
    }
    return i;
}

/* ---- classes -------------------------------------------------------------------- */

bool il__is_space(uint32_t c)
{
    if (c < 0x80) {
        return c == ' ' || (c >= 9 && c <= 13);
    }
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Where the tables of the `tokenizers` library, of several versions of Unicode, give a
 * character another class than utf8proc's do: nearly all were assigned later. What a
 * tokenizer was trained with counts, not what a character is today. */
typedef struct il_range {
    uint32_t first;
    uint32_t last;
} il_range;

static const il_range late_punctuation[] = {
    {0x61d, 0x61d},     {0x9fd, 0x9fd},     {0xa76, 0xa76},     {0xc77, 0xc77},
    {0xc84, 0xc84},     {0x166d, 0x166d},   {0x1b7d, 0x1b7e},   {0x2e43, 0x2e4f},
    {0x2e52, 0x2e5d},   {0x10ead, 0x10ead}, {0x10f55, 0x10f59}, {0x10f86, 0x10f89},
    {0x111c9, 0x111c9}, {0x1144b, 0x1144f}, {0x1145a, 0x1145b}, {0x1145d, 0x1145d},
    {0x11660, 0x1166c}, {0x116b9, 0x116b9}, {0x1183b, 0x1183b}, {0x11944, 0x11946},
    {0x119e2, 0x119e2}, {0x11a3f, 0x11a46}, {0x11a9a, 0x11a9c}, {0x11a9e, 0x11aa2},
    {0x11b00, 0x11b09}, {0x11c41, 0x11c45}, {0x11c70, 0x11c71}, {0x11ef7, 0x11ef8},
    {0x11f43, 0x11f4f}, {0x11fff, 0x11fff}, {0x12ff1, 0x12ff2}, {0x16e97, 0x16e9a},
    {0x16fe2, 0x16fe2}, {0x1e95e, 0x1e95f}};
static const il_range late_marks[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xafa, 0xaff},     {0xb55, 0xb55},     {0xc04, 0xc04},     {0xc3c, 0xc3c},
    {0xcf3, 0xcf3},     {0xd00, 0xd00},     {0xd3b, 0xd3c},     {0xd81, 0xd81},
    {0xeba, 0xeba},     {0xece, 0xece},     {0x1715, 0x1715},   {0x180f, 0x180f},
    {0x1abf, 0x1ace},   {0x1cf2, 0x1cf3},   {0x1cf7, 0x1cf7},   {0x1df6, 0x1dfa},
    {0xa82c, 0xa82c},   {0xa8ff, 0xa8ff},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac},
    {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070},
    {0x11073, 0x11074}, {0x110c2, 0x110c2}, {0x11145, 0x11146}, {0x111c9, 0x111c9},
    {0x111ce, 0x111cf}, {0x11241, 0x11241}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e},
    {0x1182c, 0x1183a}, {0x11930, 0x11935}, {0x11937, 0x11938}, {0x1193b, 0x1193e},
    {0x11940, 0x11940}, {0x11942, 0x11943}, {0x119d1, 0x119d7}, {0x119da, 0x119e0},
    {0x119e4, 0x119e4}, {0x11a01, 0x11a0a}, {0x11a33, 0x11a39}, {0x11a3b, 0x11a3e},
    {0x11a47, 0x11a47}, {0x11a51, 0x11a5b}, {0x11a8a, 0x11a99}, {0x11d31, 0x11d36},
    {0x11d3a, 0x11d3a}, {0x11d3c, 0x11d3d}, {0x11d3f, 0x11d45}, {0x11d47, 0x11d47},
    {0x11d8a, 0x11d8e}, {0x11d90, 0x11d91}, {0x11d93, 0x11d97}, {0x11ef3, 0x11ef6},
    {0x11f00, 0x11f01}, {0x11f03, 0x11f03}, {0x11f34, 0x11f3a}, {0x11f3e, 0x11f42},
    {0x13440, 0x13440}, {0x13447, 0x13455}, {0x16f4f, 0x16f4f}, {0x16f7f, 0x16f87},
    {0x16fe4, 0x16fe4}, {0x16ff0, 0x16ff1}, {0x1cf00, 0x1cf2d}, {0x1cf30, 0x1cf46},
    {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef},
    {0x1e4ec, 0x1e4ef}};
static const il_range late_nonspacing[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8e1},     {0x9fe, 0x9fe},
    {0xafa, 0xaff},     {0xb55, 0xb55},     {0xc04, 0xc04},     {0xc3c, 0xc3c},
    {0xd00, 0xd00},     {0xd3b, 0xd3c},     {0xd81, 0xd81},     {0xeba, 0xeba},
    {0xece, 0xece},     {0x1734, 0x1734},   {0x180f, 0x180f},   {0x1885, 0x1886},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfb},   {0xa82c, 0xa82c},   {0xa8c5, 0xa8c5},
    {0xa8ff, 0xa8ff},   {0xa9bd, 0xa9bd},   {0x10d24, 0x10d27}, {0x10eab, 0x10eac},
    {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070},
    {0x11073, 0x11074}, {0x110c2, 0x110c2}, {0x111c9, 0x111c9}, {0x111cf, 0x111cf},
    {0x1123e, 0x1123e}, {0x11241, 0x11241}, {0x1133b, 0x1133b}, {0x11438, 0x1143f},
    {0x11442, 0x11444}, {0x11446, 0x11446}, {0x1145e, 0x1145e}, {0x1182f, 0x11837},
    {0x11839, 0x1183a}, {0x1193b, 0x1193c}, {0x1193e, 0x1193e}, {0x11943, 0x11943},
    {0x119d4, 0x119d7}, {0x119da, 0x119db}, {0x119e0, 0x119e0}, {0x11a01, 0x11a0a},
    {0x11a33, 0x11a38}, {0x11a3b, 0x11a3e}, {0x11a47, 0x11a47}, {0x11a51, 0x11a56},
    {0x11a59, 0x11a5b}, {0x11a8a, 0x11a96}, {0x11a98, 0x11a99}, {0x11c30, 0x11c36},
    {0x11c38, 0x11c3d}, {0x11c3f, 0x11c3f}, {0x11c92, 0x11ca7}, {0x11caa, 0x11cb0},
    {0x11cb2, 0x11cb3}, {0x11cb5, 0x11cb6}, {0x11d31, 0x11d36}, {0x11d3a, 0x11d3a},
    {0x11d3c, 0x11d3d}, {0x11d3f, 0x11d45}, {0x11d47, 0x11d47}, {0x11d90, 0x11d91},
    {0x11d95, 0x11d95}, {0x11d97, 0x11d97}, {0x11ef3, 0x11ef4}, {0x11f00, 0x11f01},
    {0x11f36, 0x11f3a}, {0x11f40, 0x11f40}, {0x11f42, 0x11f42}, {0x13440, 0x13440},
    {0x13447, 0x13455}, {0x16f4f, 0x16f4f}, {0x16fe4, 0x16fe4}, {0x1cf00, 0x1cf2d},
    {0x1cf30, 0x1cf46}, {0x1e000, 0x1e006}, {0x1e008, 0x1e018}, {0x1e01b, 0x1e021},
    {0x1e023, 0x1e024}, {0x1e026, 0x1e02a}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136},
    {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1e944, 0x1e94a}};
static const il_range late_controls[] = {
    {0x890, 0x891}, {0x8e2, 0x8e2}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}};
static const il_range late_numbers[] = {
    {0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
    {0x11de0, 0x11de9}, {0x16130, 0x16139}, {0x16d70, 0x16d79},
    {0x16ff4, 0x16ff6}, {0x1ccf0, 0x1ccf9}, {0x1e5f1, 0x1e5fa}};
static const il_range late_forms[] = {
    {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},   {0xab69, 0xab69},   {0x10781, 0x10785},
    {0x10787, 0x107b0}, {0x107b2, 0x107ba}, {0x11938, 0x11938}, {0x1e030, 0x1e06d},
    {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

static bool within(const il_range *ranges, size_t count, uint32_t c)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;

        if (c < ranges[middle].first) {
            count = middle;
        } else if (c > ranges[middle].last) {
            low = middle + 1;
        } else {
            return true;
        }
    }
    return false;
}
#define WITHIN(table, c) within(table, sizeof(table) / sizeof(table)[0], c)

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool il__is_numeric(uint32_t c)
{
    utf8proc_category_t k = category(c);

    return (k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL ||
            k == UTF8PROC_CATEGORY_NO) != WITHIN(late_numbers, c);
}

bool il__is_punctuation(uint32_t c)
{
    utf8proc_category_t k = category(c);

    if (c < 0x80) {
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
               (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    }
    return (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO) !=
           WITHIN(late_punctuation, c);
}

bool il__is_control(uint32_t c)
{
    utf8proc_category_t k = category(c);

    return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF ||
            k == UTF8PROC_CATEGORY_CO) != WITHIN(late_controls, c);
}

bool il__is_printable(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);

    return c == ' ' || (k != UTF8PROC_CATEGORY_CC && k != UTF8PROC_CATEGORY_CF &&
                        k != UTF8PROC_CATEGORY_CS && k != UTF8PROC_CATEGORY_CO &&
                        k != UTF8PROC_CATEGORY_CN && k != UTF8PROC_CATEGORY_ZL &&
                        k != UTF8PROC_CATEGORY_ZP && k != UTF8PROC_CATEGORY_ZS);
}

bool il__is_mark(uint32_t c)
{
    utf8proc_category_t k = category(c);

    return (k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC ||
            k == UTF8PROC_CATEGORY_ME) != WITHIN(late_marks, c);
}

bool il__is_mark_nonspacing(uint32_t c)
{
    return (category(c) == UTF8PROC_CATEGORY_MN) != WITHIN(late_nonspacing, c);
}

bool il__is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
           (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/* Those of SpecialCasing.txt, and the blocks that hold them. */
uint32_t il__upper(uint32_t c)
{
    bool several = c == 0xdf || c == 0x149 || c == 0x1f0 || c == 0x390 || c == 0x3b0 ||
                   c == 0x587 || (c >= 0x1e96 && c <= 0x1e9a) ||
                   (c >= 0x1f50 && c <= 0x1fff) || (c >= 0xfb00 && c <= 0xfb17);

    return several ? 0 : (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
}

int il__lower(uint32_t c, uint32_t out[2])
{
    if (c < 0x80) {
        out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        return 1;
    }
    if (c == 0x130) { /* the one character whose lower case is two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    return 1;
}

/* ---- normalization forms -------------------------------------------------------- */

int il__decompose(uint32_t c, bool compatible, il_change out[IL_DECOMPOSED_MAX])
{
    utf8proc_int32_t codes[IL_DECOMPOSED_MAX];
    int options =
        UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
    int boundary = 0;
    utf8proc_ssize_t n =
        utf8proc_decompose_char((utf8proc_int32_t)c, codes, IL_DECOMPOSED_MAX,
                                (utf8proc_option_t)options, &boundary);

    if (n < 1 || n > IL_DECOMPOSED_MAX || (c >= 0x32ff && WITHIN(late_forms, c))) {
        codes[0] = (utf8proc_int32_t)c;
        n = 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        out[i].code = (uint32_t)codes[i];
        out[i].change = i > 0;
    }
    return (int)n;
}

static int combining(uint32_t c)
{
    return c < 0x300 ? 0 : utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

static int by_class(const void *a, const void *b)
{
    const il_change *x = a;
    const il_change *y = b;
    int p = combining(x->code);
    int q = combining(y->code);

    return p != q ? (p > q) - (p < q) : (x->order > y->order) - (x->order < y->order);
}

void il__reorder(il_change *text, size_t count)
{
    size_t end;

    /* Runs of marks are short but in a hostile text, which must not cost their square.
     */
    for (size_t i = 0; i < count; i = end + 1) {
        for (end = i; end < count && combining(text[end].code) > 0; end++) {
            text[end].order = (uint32_t)(end - i);
        }
        if (end - i > 1) {
            qsort(text + i, end - i, sizeof *text, by_class);
        }
    }
}

/* The one character that two make, or 0. */
static uint32_t pair(uint32_t a, uint32_t b)
{
    utf8proc_int32_t two[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};

    if (a < 0x3c || b < 0x300) { /* nothing composes below '<', or with these */
        return 0;
    }
    return utf8proc_normalize_utf32(
               two, 2, (utf8proc_option_t)(UTF8PROC_COMPOSE | UTF8PROC_STABLE)) == 1
               ? (uint32_t)two[0]
               : 0;
}

size_t il__compose(il_change *text, size_t count)
{
    size_t starter = SIZE_MAX; /* what following marks may compose with */
    size_t kept = 0;
    int last = -1; /* the class of what was kept after it; -1: nothing was */

    for (size_t i = 0; i < count; i++) {
        il_change x = text[i];
        int class = combining(x.code);
        uint32_t made = starter != SIZE_MAX && (last < 0 || last < class)
                            ? pair(text[starter].code, x.code)
                            : 0;

        if (made != 0) {
            text[starter].code = made;
            text[starter].change += x.change - 1;
            continue;
        }
        if (class == 0) {
            starter = kept;
            last = -1;
        } else if (starter != SIZE_MAX) {
            last = class;
        }
        text[kept++] = x;
    }
    return kept;
}
