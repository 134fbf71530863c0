/* The tests of chat templates: what stands behind `is`. */
#include "formats/chat_run.h"

typedef bool (*one)(const il_chat_value *v);

static bool is_defined(const il_chat_value *v)
{
    return v->is != IL_CHAT_IS_UNDEFINED;
}

static bool is_undefined(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_UNDEFINED;
}

static bool is_none(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_NONE;
}

static bool is_boolean(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_FLAG;
}

static bool is_true(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_FLAG && v->number == 1;
}

static bool is_false(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_FLAG && v->number == 0;
}

static bool is_integer(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_INT;
}

static bool is_float(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_REAL;
}

static bool is_number(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_INT || v->is == IL_CHAT_IS_REAL ||
           v->is == IL_CHAT_IS_FLAG;
}

static bool is_string(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_TEXT;
}

static bool is_mapping(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_DICT;
}

/* What has a length and entries; Jinja's undefined says that it has them. */
static bool is_sequence(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_TEXT || v->is == IL_CHAT_IS_LIST ||
           v->is == IL_CHAT_IS_TUPLE || v->is == IL_CHAT_IS_RANGE ||
           v->is == IL_CHAT_IS_DICT || v->is == IL_CHAT_IS_UNDEFINED;
}

static bool is_iterable(const il_chat_value *v)
{
    return is_sequence(v) || v->is == IL_CHAT_IS_VIEW || v->is == IL_CHAT_IS_ONCE ||
           v->is == IL_CHAT_IS_LOOP;
}

static bool is_callable(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_MACRO || v->is == IL_CHAT_IS_FUNCTION ||
           v->is == IL_CHAT_IS_METHOD || v->is == IL_CHAT_IS_UNDEFINED;
}

static bool is_escaped(const il_chat_value *v)
{
    return v->is == IL_CHAT_IS_TEXT && v->safe;
}

/* Whether letters, of which there are some, are all of one case. */
static bool letters(const il_chat_value *v, bool upper)
{
    bool some = false;

    for (size_t i = 0; v->is == IL_CHAT_IS_TEXT && i < v->size; i++) {
        char c = v->text[i];

        if (upper ? c >= 'a' && c <= 'z' : c >= 'A' && c <= 'Z') {
            return false;
        }
        some = some || (upper ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z');
    }
    return some;
}

static bool is_lower(const il_chat_value *v)
{
    return letters(v, false);
}

static bool is_upper(const il_chat_value *v)
{
    return letters(v, true);
}

static const struct {
    const char *name;
    one holds;
} ones[] = {
    {"boolean", is_boolean},     {"callable", is_callable}, {"defined", is_defined},
    {"escaped", is_escaped},     {"false", is_false},       {"float", is_float},
    {"integer", is_integer},     {"iterable", is_iterable}, {"lower", is_lower},
    {"mapping", is_mapping},     {"none", is_none},         {"number", is_number},
    {"sequence", is_sequence},   {"string", is_string},     {"true", is_true},
    {"undefined", is_undefined}, {"upper", is_upper},
};

/* By how two are compared: equal, unequal, less, and so on; or 0. */
static char comparison(const il_chat_value *name)
{
    static const struct {
        const char *name;
        char how;
    } names[] = {{"==", '='}, {"eq", '='},          {"equalto", '='},
                 {"!=", '!'}, {"ne", '!'},          {"<", '<'},
                 {"lt", '<'}, {"lessthan", '<'},    {">", '>'},
                 {"gt", '>'}, {"greaterthan", '>'}, {"<=", 'l'},
                 {"le", 'l'}, {">=", 'g'},          {"ge", 'g'},
                 {"in", 'i'}, {"sameas", 's'},      {"divisibleby", '%'}};

    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (il__chat_is_text(name, names[k].name)) {
            return names[k].how;
        }
    }
    return '\0';
}

static bool compared(il_chat_run *r, char how, const il_chat_value *v,
                     const il_chat_value *b)
{
    int64_t x;
    int64_t y;

    switch (how) {
    case '=':
        return il__chat_equal(r, v, b);
    case '!':
        return !il__chat_equal(r, v, b);
    case '<':
        return il__chat_compare(r, v, b) < 0;
    case '>':
        return il__chat_compare(r, v, b) > 0;
    case 'l':
        return il__chat_compare(r, v, b) <= 0;
    case 'g':
        return il__chat_compare(r, v, b) >= 0;
    case 'i':
        return il__chat_in(r, v, b);
    case 's':
        if (v->is != b->is || v->is == IL_CHAT_IS_NONE || v->is == IL_CHAT_IS_FLAG) {
            return v->is == b->is && v->number == b->number;
        }
        (void)il__chat_fail(r, IL_ERR_UNSUPPORTED, "sameas of %s",
                            il__chat_kind_name(v));
        return false;
    default:
        if (!il__chat_as_int(v, &x) || !il__chat_as_int(b, &y) || y == 0) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "divisibleby: expected numbers");
            return false;
        }
        return y == -1 || x % y == 0;
    }
}

bool il__chat_holds(il_chat_run *r, const char *name, size_t size,
                    const il_chat_value *v, const il_chat_args *a)
{
    const il_chat_value key = il__chat_plain(name, size);
    char how = comparison(&key);
    int64_t x;

    if (how != '\0') {
        if (a->count != 1) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "the test '%.*s' takes one value",
                                (int)size, name);
            return false;
        }
        return compared(r, how, v, &a->values[0]);
    }
    if (a->count > 0) {
        (void)il__chat_fail(r, IL_ERR_INPUT, "the test '%.*s' takes no value",
                            (int)(size < 48 ? size : 48), name);
        return false;
    }
    for (size_t k = 0; k < sizeof ones / sizeof ones[0]; k++) {
        if (il__chat_is_text(&key, ones[k].name)) {
            return ones[k].holds(v);
        }
    }
    if (il__chat_is_text(&key, "odd") || il__chat_is_text(&key, "even")) {
        if (!il__chat_as_int(v, &x)) {
            (void)il__chat_fail(r, IL_ERR_INPUT, "odd and even: expected a number");
            return false;
        }
        return (x % 2 != 0) == (name[0] == 'o');
    }
    (void)il__chat_fail(r, IL_ERR_UNSUPPORTED, "the test '%.*s'",
                        (int)(size < 48 ? size : 48), name);
    return false;
}
