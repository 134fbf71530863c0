#include "rules.h"

#include <stdlib.h>

void rules_free(rules *r)
{
    free(r->texts);
    *r = (rules){.texts = NULL};
}

/* Adds a text with its size before it; there is room. */
static void add(rules *r, const json *value)
{
    size_t size =
        value != NULL ? json_text(value, r->texts + r->size + sizeof size) : 0;

    memcpy(r->texts + r->size, &size, sizeof size);
    r->size += sizeof size + size;
}

static bool add_list(rules *r, const json *value)
{
    const char *next = NULL;
    json entry;

    if (json_is(value, '"')) {
        add(r, value);
        return true;
    }
    if (!json_is(value, '[')) {
        return false;
    }
    while (json_entry(value, &next, &entry)) {
        if (!json_is(&entry, '"')) {
            return false;
        }
        if (entry.end - entry.at > 2) { /* an empty text would hold everywhere */
            add(r, &entry);
        }
    }
    return true;
}

bool rules_read(rules *out, const json *answers, const name *names, int count)
{
    size_t length = (size_t)(answers->end - answers->at);

    *out = (rules){.texts = NULL};
    if (!json_is(answers, '{')) {
        return false;
    }
    /* Each text has quotes and a comma or a bracket of its own, three bytes. */
    out->texts = malloc((length + (size_t)count + 1) * (sizeof(size_t) + 1));
    if (out->texts == NULL) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        json value;

        if (json_find(answers, names[i].text, &value) && !add_list(out, &value)) {
            rules_free(out);
            return false;
        }
        add(out, NULL);
    }
    return true;
}

uint32_t rules_named(const rules *r, int count)
{
    const char *p = r->texts;
    uint32_t named = 0;

    for (int at = 0; at < count;) {
        size_t n;

        memcpy(&n, p, sizeof n);
        p += sizeof n + n;
        named |= n > 0 ? 1u << at : 0;
        at += n == 0;
    }
    return named;
}

bool rules_equal(const rules *a, const rules *b)
{
    return a->size == b->size && memcmp(a->texts, b->texts, a->size) == 0;
}

static bool occurs(const char *what, size_t n, const char *text, size_t size)
{
    for (size_t i = 0; i + n <= size; i++) {
        if (memcmp(text + i, what, n) == 0) {
            return true;
        }
    }
    return false;
}

bool rules_hold(const rules *r, int at, const char *text, size_t size)
{
    const char *p = r->texts;
    bool holds = false;

    while (at >= 0) {
        size_t n;

        memcpy(&n, p, sizeof n);
        p += sizeof n;
        holds = holds || (at == 0 && n > 0 && occurs(p, n, text, size));
        at -= n == 0;
        p += n;
    }
    return holds;
}
