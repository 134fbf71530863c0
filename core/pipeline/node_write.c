/* Nodes as text: canonical JSON for hashing, YAML for people and for reading again. */
#include "pipeline/node.h"

#include <stdlib.h>
#include <string.h>

/* Characters beyond ASCII that YAML takes for line breaks or refuses to see raw: C1
 * controls, the two Unicode separators, the byte order mark and the last two of the
 * plane. 0 for any other, else the code point. */
static unsigned special(const unsigned char *p)
{
    unsigned code;

    if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
        return p[1];
    }
    if ((p[0] & 0xf0) != 0xe0 || p[1] == '\0' || p[2] == '\0') {
        return 0;
    }
    code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe ? code
                                                                                : 0;
}

void il_text_add_json(il_text *out, const char *text)
{
    il_text_add(out, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        switch (*p) {
        case '"':
            il_text_add(out, "\\\"");
            break;
        case '\\':
            il_text_add(out, "\\\\");
            break;
        case '\n':
            il_text_add(out, "\\n");
            break;
        case '\t':
            il_text_add(out, "\\t");
            break;
        case '\r':
            il_text_add(out, "\\r");
            break;
        default:
            if (*p < 0x20 || *p == 0x7f) {
                il_text_addf(out, "\\u%04x", *p);
            } else if (*p >= 0x80 && special(p) != 0) {
                il_text_addf(out, "\\u%04x", special(p));
                p += *p == 0xc2 ? 1 : 2;
            } else {
                il_text_add_bytes(out, (const char *)p, 1);
            }
        }
    }
    il_text_add(out, "\"");
}

enum { FLOW_ITEMS = 64, FLOW_BYTES = 88 }; /* of a map or list on one line */

static int by_key(const void *a, const void *b)
{
    const il_node_item *const *x = a;
    const il_node_item *const *y = b;

    return strcmp((*x)->key, (*y)->key);
}

void il_node_write_canonical(il_text *out, const il_node *node)
{
    const il_node_item **order;

    if (node->kind == IL_NODE_SCALAR) {
        il_text_add_json(out, node->text);
        return;
    }
    if (node->kind == IL_NODE_LIST) {
        il_text_add(out, "[");
        for (size_t i = 0; i < node->count; i++) {
            il_text_add(out, i > 0 ? "," : "");
            il_node_write_canonical(out, node->items[i].value);
        }
        il_text_add(out, "]");
        return;
    }
    order = malloc((node->count + 1) * sizeof(const il_node_item *));
    if (order == NULL) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        order[i] = &node->items[i];
    }
    qsort(order, node->count, sizeof(const il_node_item *), by_key);
    il_text_add(out, "{");
    for (size_t i = 0; i < node->count; i++) {
        il_text_add(out, i > 0 ? "," : "");
        il_text_add_json(out, order[i]->key);
        il_text_add(out, ":");
        il_node_write_canonical(out, order[i]->value);
    }
    il_text_add(out, "}");
    free(order);
}

/* May the text stand without quotes, in a flow collection too? Narrower than YAML
 * allows: words, numbers, paths. */
static bool is_plain(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_./+$";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789_./+-@^$~()";

    if (text[0] == '-' && text[1] >= '0' && text[1] <= '9') {
        text++;
    }
    return text[0] != '\0' && strchr(first, text[0]) != NULL &&
           text[strspn(text, rest)] == '\0';
}

/* Double quotes always read back as a string; single ones never need an escape but
 * their own. */
static void write_text(il_text *out, const char *text, bool quoted)
{
    bool printable = true;

    if (!quoted && text[0] == '\0') {
        return; /* nothing stays nothing */
    }
    if (!quoted && is_plain(text)) {
        il_text_add(out, text);
        return;
    }
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        printable = printable && *p >= 0x20 && *p < 0x7f;
    }
    if (printable && strpbrk(text, "\"\\") != NULL && strchr(text, '\'') == NULL) {
        il_text_add(out, "'");
        il_text_add(out, text);
        il_text_add(out, "'");
        return;
    }
    il_text_add_json(out, text);
}

/* A key is text whatever it looks like; one that YAML could take for something else
 * gets quotes. */
static void write_key(il_text *out, const char *key)
{
    write_text(out, key, !is_plain(key));
    il_text_add(out, ":");
}

static void write_flow(il_text *out, const il_node *node)
{
    if (node->kind == IL_NODE_SCALAR) {
        /* In a flow collection an empty plain scalar reads back as nothing only in a
         * map. */
        write_text(out, node->text, node->quoted);
        return;
    }
    il_text_add(out, node->kind == IL_NODE_MAP ? "{" : "[");
    for (size_t i = 0; i < node->count; i++) {
        il_text_add(out, i > 0 ? ", " : "");
        if (node->kind == IL_NODE_MAP) {
            write_key(out, node->items[i].key);
            il_text_add(out, " ");
        }
        write_flow(out, node->items[i].value);
    }
    il_text_add(out, node->kind == IL_NODE_MAP ? "}" : "]");
}

static bool has_note(const il_node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        const il_node *value = node->items[i].value;

        if (value->under != NULL || has_note(value)) {
            return true;
        }
    }
    return false;
}

/* Does it go on one line? Whatever fits does, but for what holds a note of its own. */
static bool is_short(il_text *out, const il_node *node, bool notes)
{
    il_text line = {0};
    bool fits;

    if (node->kind == IL_NODE_SCALAR || node->count == 0) {
        return true;
    }
    if (node->count > FLOW_ITEMS || (notes && has_note(node))) {
        return false;
    }
    write_flow(&line, node);
    out->failed = out->failed || line.failed;
    fits = line.size <= FLOW_BYTES;
    il_text_free(&line);
    return fits;
}

static void indent(il_text *out, int depth)
{
    for (int i = 0; i < depth; i++) {
        il_text_add(out, "  ");
    }
}

static void write_note(il_text *out, const il_node *node)
{
    const il_node *under = node->under;

    if (under == NULL || (under->place.line == node->place.line &&
                          strcmp(under->place.file, node->place.file) == 0)) {
        return;
    }
    il_text_addf(out, "  # %s:%d, over %s:%d", node->place.file, node->place.line,
                 under->place.file, under->place.line);
}

static void write_block(il_text *out, const il_node *node, int depth, bool notes)
{
    for (size_t i = 0; i < node->count; i++) {
        const il_node *value = node->items[i].value;

        indent(out, depth);
        if (node->kind == IL_NODE_MAP) {
            write_key(out, node->items[i].key);
        } else {
            il_text_add(out, "-");
        }
        if (is_short(out, value, notes)) {
            if (value->kind != IL_NODE_SCALAR || value->quoted ||
                value->text[0] != '\0') {
                il_text_add(out, " ");
            }
            write_flow(out, value);
        }
        if (notes) {
            write_note(out, value);
        }
        il_text_add(out, "\n");
        if (!is_short(out, value, notes)) {
            write_block(out, value, depth + 1, notes);
        }
    }
}

void il_node_write_yaml(il_text *out, const il_node *node, bool notes)
{
    if (node->kind == IL_NODE_SCALAR || node->count == 0) {
        write_flow(out, node);
        il_text_add(out, "\n");
        return;
    }
    write_block(out, node, 0, notes);
}
