#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

static const char *blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) {
        p++;
    }
    return p;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The end of a string that begins at `p`; NULL, and *wrong, where it is none. */
static const char *skip_string(const char *p, const char *end, const char **wrong)
{
    for (p++; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20) {
            break;
        }
        if (*p != '\\') {
            continue;
        }
        p++;
        if (p < end && *p == 'u') {
            for (int i = 0; i < 4; i++) {
                p++;
                if (p >= end || !is_hex(*p)) {
                    *wrong = p;
                    return NULL;
                }
            }
        } else if (p >= end || strchr("\"\\/bfnrt", *p) == NULL) {
            break;
        }
    }
    *wrong = p;
    return p < end && *p == '"' ? p + 1 : NULL;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static const char *skip_number(const char *p, const char *end, const char **wrong)
{
    const char *first = p + (*p == '-');
    const char *at = skip_digits(first, end);
    bool well = at > first && (*first != '0' || at == first + 1);

    if (well && at < end && *at == '.') {
        first = at + 1;
        at = skip_digits(first, end);
        well = at > first;
    }
    if (well && at < end && (*at == 'e' || *at == 'E')) {
        first = at + 1;
        first += first < end && (*first == '+' || *first == '-');
        at = skip_digits(first, end);
        well = at > first;
    }
    *wrong = at;
    return well ? at : NULL;
}

static const char *skip(const char *p, const char *end, int depth, const char **wrong);

/* An object or a list, the sign that ends it in `close`. */
static const char *skip_many(const char *p, const char *end, char close, int depth,
                             const char **wrong)
{
    p = blank(p + 1, end);
    if (p < end && *p == close) {
        return p + 1;
    }
    while (p < end) {
        if (close == '}') {
            if (*p != '"' || (p = skip_string(p, end, wrong)) == NULL) {
                *wrong = p != NULL ? p : *wrong;
                return NULL;
            }
            p = blank(p, end);
            if (p >= end || *p != ':') {
                break;
            }
            p = blank(p + 1, end);
        }
        p = skip(p, end, depth + 1, wrong);
        if (p == NULL) {
            return NULL;
        }
        p = blank(p, end);
        if (p < end && *p == close) {
            return p + 1;
        }
        if (p >= end || *p != ',') {
            break;
        }
        p = blank(p + 1, end);
    }
    *wrong = p;
    return NULL;
}

/* The end of the value at `p`. */
static const char *skip(const char *p, const char *end, int depth, const char **wrong)
{
    static const char *const words[] = {"true", "false", "null"};

    *wrong = p;
    if (p >= end || depth > DEPTH_MAX) {
        return NULL;
    }
    if (*p == '"') {
        return skip_string(p, end, wrong);
    }
    if (*p == '{' || *p == '[') {
        return skip_many(p, end, *p == '{' ? '}' : ']', depth, wrong);
    }
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) {
            return p + n;
        }
    }
    return *p == '-' || (*p >= '0' && *p <= '9') ? skip_number(p, end, wrong) : NULL;
}

bool json_check(const char *line, size_t size, size_t *wrong)
{
    const char *end = line + size;
    const char *at = line;
    const char *p = skip(blank(line, end), end, 0, &at);

    if (p != NULL) {
        p = blank(p, end);
        at = p;
    }
    *wrong = (size_t)(at - line);
    return p == end;
}

static const char *value_end(const char *p, const char *end)
{
    const char *wrong;

    return skip(p, end, 0, &wrong);
}

bool json_entry(const json *list, const char **next, json *value)
{
    const char *p = blank(*next != NULL ? *next : list->at + 1, list->end);

    if (*next != NULL && p < list->end && *p == ',') {
        p = blank(p + 1, list->end);
    }
    if (p >= list->end || *p == ']' || *p == '}') {
        return false;
    }
    value->at = p;
    value->end = value_end(p, list->end);
    *next = value->end;
    return value->end != NULL;
}

bool json_member(const json *object, const char **next, json *key, json *value)
{
    const char *p;

    if (!json_entry(object, next, key)) {
        return false;
    }
    p = blank(blank(key->end, object->end) + 1, object->end); /* past the colon */
    value->at = p;
    value->end = value_end(p, object->end);
    *next = value->end;
    return value->end != NULL;
}

bool json_find(const json *object, const char *name, json *value)
{
    const char *next = NULL;
    size_t n = strlen(name);
    json key;

    while (json_is(object, '{') && json_member(object, &next, &key, value)) {
        if ((size_t)(key.end - key.at) == n + 2 && memcmp(key.at + 1, name, n) == 0) {
            return *value->at != 'n';
        }
    }
    return false;
}

bool json_is(const json *v, char first)
{
    return *v->at == first;
}

static uint32_t four(const char *p)
{
    char digits[5] = {p[0], p[1], p[2], p[3], '\0'};

    return (uint32_t)strtoul(digits, NULL, 16);
}

static size_t put(uint32_t c, char *out)
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

size_t json_text(const json *v, char *out)
{
    static const char names[] = "bfnrt";
    static const char codes[] = "\b\f\n\r\t";
    const char *end = v->end - 1;
    size_t size = 0;

    for (const char *p = v->at + 1; p < end;) {
        uint32_t c;
        const char *known;

        if (*p != '\\') {
            out[size++] = *p++;
            continue;
        }
        if (p[1] != 'u') {
            known = strchr(names, p[1]);
            out[size++] = known != NULL ? codes[known - names] : p[1];
            p += 2;
            continue;
        }
        c = four(p + 2);
        p += 6;
        if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
            four(p + 2) >= 0xdc00 && four(p + 2) < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (four(p + 2) - 0xdc00);
            p += 6;
        }
        size += put(c >= 0xd800 && c < 0xe000 ? 0xfffd : c, out + size);
    }
    return size;
}

bool json_whole(const json *v, int64_t *out)
{
    char digits[24];
    size_t n = (size_t)(v->end - v->at);
    char *end;

    if (n >= sizeof digits || n == 0) {
        return false;
    }
    memcpy(digits, v->at, n);
    digits[n] = '\0';
    *out = strtoll(digits, &end, 10);
    return end == digits + n;
}

bool json_set(const json *v, bool *out)
{
    if (*v->at == 't' || *v->at == 'f') {
        *out = *v->at == 't';
        return true;
    }
    if (*v->at == '-' || (*v->at >= '0' && *v->at <= '9')) {
        *out = false;
        for (const char *p = v->at; p < v->end && *p != 'e' && *p != 'E'; p++) {
            *out = *out || (*p >= '1' && *p <= '9');
        }
        return true;
    }
    return false;
}
