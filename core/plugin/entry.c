#include "plugin/entry.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/text.h"
#include "plugin/registry.h"
#include "plugin/version.h"

/* What is being checked, for messages. */
typedef struct scope {
    const char *where;
    const char *component;
    il_error *err;
} scope;

il_status il_prefix_check(const il_plugin_prefix *prefix, const char *where,
                          il_error *err)
{
    if (memcmp(prefix->magic, IL_PLUGIN_MAGIC, sizeof prefix->magic) != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "il_plugin_entry does not begin with \"%s\": define it by "
                            "IL_PLUGIN",
                            IL_PLUGIN_MAGIC);
    }
    if (prefix->fork != 0) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "built for fork %u of the ABI, this host has the original "
                            "(fork 0)",
                            (unsigned)prefix->fork);
    }
    if (prefix->abi_major != IL_ABI_MAJOR) {
        return il_error_set(
            err, IL_ERR_INPUT, where,
            "built for ABI %u.%u, this host has %d.%d: rebuild the plugin "
            "with this host's headers",
            prefix->abi_major, prefix->abi_minor, IL_ABI_MAJOR, IL_ABI_MINOR);
    }
    if (prefix->host_minor_min > IL_ABI_MINOR) {
        return il_error_set(
            err, IL_ERR_INPUT, where,
            "needs a host with ABI %u.%u or newer, this host has %d.%d: "
            "install a newer Interloop",
            prefix->abi_major, prefix->host_minor_min, IL_ABI_MAJOR, IL_ABI_MINOR);
    }
    if (prefix->entry_size < sizeof(il_plugin)) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "its entry says it has %u bytes, expected at least %zu",
                            (unsigned)prefix->entry_size, sizeof(il_plugin));
    }
    return IL_OK;
}

/* Lower-case letters, digits and '_', beginning with a letter. */
static bool is_name(const char *text)
{
    if (text == NULL || text[0] < 'a' || text[0] > 'z' || strlen(text) > 64) {
        return false;
    }
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

static il_status wrong(const scope *s, const char *param, const char *what)
{
    if (s->component == NULL) {
        return il_error_set(s->err, IL_ERR_INPUT, s->where, "%s", what);
    }
    if (param == NULL) {
        return il_error_set(s->err, IL_ERR_INPUT, s->where, "component '%s': %s",
                            s->component, what);
    }
    return il_error_set(s->err, IL_ERR_INPUT, s->where,
                        "component '%s', parameter '%s': %s", s->component, param,
                        what);
}

static bool default_fits(const il_param_spec *p)
{
    int64_t whole;
    double number;

    switch (p->type) {
    case IL_PARAM_TYPE_INT:
        return il_parse_int(p->initial, &whole) && (double)whole >= p->min &&
               (double)whole <= p->max;
    case IL_PARAM_TYPE_REAL:
        return il_parse_real(p->initial, &number) && number >= p->min &&
               number <= p->max;
    case IL_PARAM_TYPE_FLAG:
        return strcmp(p->initial, "true") == 0 || strcmp(p->initial, "false") == 0;
    case IL_PARAM_TYPE_CHOICE:
        for (size_t i = 0; p->choices[i] != NULL; i++) {
            if (strcmp(p->choices[i], p->initial) == 0) {
                return true;
            }
        }
        return false;
    case IL_PARAM_TYPE_TEXT:
        return true;
    }
    return false;
}

static il_status check_param(const scope *s, const il_param_spec *p)
{
    bool required;

    if (p->struct_size != sizeof *p) {
        return wrong(s, NULL, "its parameters come from other headers");
    }
    required = (p->flags & IL_PARAM_REQUIRED) != 0;
    if (!is_name(p->name)) {
        return wrong(s, p->name != NULL ? p->name : "(no name)",
                     "expected a name of lower-case letters, digits and '_'");
    }
    if (p->unit == NULL || p->help == NULL || p->help[0] == '\0') {
        return wrong(s, p->name, "expected a unit (\"\" for none) and a line of help");
    }
    if (p->type < IL_PARAM_TYPE_INT || p->type > IL_PARAM_TYPE_CHOICE) {
        return wrong(s, p->name, "its type is none that this host knows");
    }
    if (p->type == IL_PARAM_TYPE_CHOICE &&
        (p->choices == NULL || p->choices[0] == NULL)) {
        return wrong(s, p->name, "expected choices to choose from");
    }
    if (p->type <= IL_PARAM_TYPE_REAL && !(p->min <= p->max)) {
        return wrong(s, p->name, "its lower bound is above its upper bound");
    }
    if (required != (p->initial == NULL)) {
        return wrong(s, p->name,
                     required ? "it is required and has a default: expected one of both"
                              : "expected a default, or the flag IL_PARAM_REQUIRED");
    }
    if (!required && !default_fits(p)) {
        return wrong(s, p->name, "its default is no value that it allows");
    }
    return IL_OK;
}

static il_status check_params(const scope *s, const il_component *c)
{
    if (c->param_count > 0 && c->params == NULL) {
        return wrong(s, NULL, "it counts parameters and has no table of them");
    }
    for (size_t i = 0; i < c->param_count; i++) {
        IL_TRY(check_param(s, &c->params[i]));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(c->params[i].name, c->params[j].name) == 0) {
                return wrong(s, c->params[i].name, "it stands twice in the table");
            }
        }
    }
    return IL_OK;
}

static il_status check_recipe(const scope *s, const il_recipe *r)
{
    if (r->struct_size < sizeof *r || r->method == NULL ||
        (strcmp(r->method, "adam") != 0 && strcmp(r->method, "adamw") != 0)) {
        return wrong(s, NULL, "its recipe's method is neither \"adam\" nor \"adamw\"");
    }
    if (r->steps < 1 || !(r->lr > 0) || !(r->l2 >= 0) || !(r->weight_decay >= 0)) {
        return wrong(s, NULL, "its recipe has numbers that cannot be");
    }
    return IL_OK;
}

/* The slots that either form of an environment requires. */
static il_status check_environment(const scope *s, const il_environment_api *e)
{
    if (!IL_HAS(e, create) || !IL_HAS(e, shape) || !IL_HAS(e, fields) ||
        !IL_HAS(e, fingerprint)) {
        return wrong(s, NULL,
                     "an environment needs `create`, `shape`, `fields` and "
                     "`fingerprint`");
    }
    switch (e->form) {
    case IL_ENVIRONMENT_STEPS:
        if (!IL_HAS(e, reset) || !IL_HAS(e, step)) {
            return wrong(s, NULL, "an environment of steps needs `reset` and `step`");
        }
        if (IL_HAS(e, policies) != IL_HAS(e, act)) {
            return wrong(s, NULL,
                         "an environment has both `policies` and `act`, or neither");
        }
        return IL_OK;
    case IL_ENVIRONMENT_TEXT:
        return IL_HAS(e, prompts) && IL_HAS(e, prompt) && IL_HAS(e, allowed) &&
                       IL_HAS(e, judge)
                   ? IL_OK
                   : wrong(s, NULL,
                           "an environment of text needs `prompts`, `prompt`, "
                           "`allowed` and `judge`");
    }
    return wrong(s, NULL, "its form is neither steps nor text");
}

/* What the optional slots of a detector ask of each other. */
static il_status check_detector(const scope *s, const il_detector_api *t)
{
    bool dictionary = IL_HAS(t, features) || IL_HAS(t, loss) || IL_HAS(t, reconstruct);

    if (!IL_HAS(t, create) || !IL_HAS(t, score)) {
        return wrong(s, NULL, "a detector needs `create` and `score`");
    }
    if (t->reads != IL_READS_ROWS && t->reads != IL_READS_SEQUENCES) {
        return wrong(s, NULL, "it reads neither rows nor sequences");
    }
    if (IL_HAS(t, fit) && t->reads != IL_READS_ROWS) {
        return wrong(s, NULL, "`fit` is for a detector that reads rows");
    }
    if (IL_HAS(t, fit_backward) && !(IL_HAS(t, fit) && IL_HAS(t, linear))) {
        return wrong(s, NULL,
                     "`fit_backward` is of a detector with `fit` and `linear`");
    }
    if (dictionary && t->reads != IL_READS_ROWS) {
        return wrong(s, NULL,
                     "`features`, `loss` and `reconstruct` are for a detector that "
                     "reads rows");
    }
    if (IL_HAS(t, features) != IL_HAS(t, feature_width)) {
        return wrong(s, NULL,
                     "a detector has both `features` and `feature_width`, or neither");
    }
    if (IL_HAS(t, decode) && !IL_HAS(t, features)) {
        return wrong(s, NULL, "`decode` is of features, and it has none");
    }
    if (IL_HAS(t, edit) && t->reads != IL_READS_ROWS) {
        return wrong(s, NULL, "`edit` is for a detector that reads rows");
    }
    if (IL_HAS(t, asks) && t->reads != IL_READS_ROWS) {
        return wrong(s, NULL, "`asks` is for a detector that reads rows");
    }
    return t->recipe != NULL ? check_recipe(s, t->recipe) : IL_OK;
}

/* The slots that a kind requires. */
static il_status check_api(const scope *s, const il_component *c)
{
    const il_model_api *m = c->api;
    const il_dataset_api *d = c->api;

    if (c->api == NULL) {
        return wrong(s, NULL, "it has no table of functions");
    }
    switch (c->kind) {
    case IL_KIND_MODEL:
        return IL_HAS(m, create) && IL_HAS(m, forward)
                   ? IL_OK
                   : wrong(s, NULL, "a model needs `create` and `forward`");
    case IL_KIND_DATASET:
        return IL_HAS(d, create) && IL_HAS(d, destroy) && IL_HAS(d, splits) &&
                       IL_HAS(d, fields) && IL_HAS(d, get) && IL_HAS(d, fingerprint)
                   ? IL_OK
                   : wrong(s, NULL,
                           "a dataset needs `create`, `destroy`, `splits`, `fields`, "
                           "`get` and `fingerprint`");
    case IL_KIND_ENVIRONMENT:
        return check_environment(s, c->api);
    case IL_KIND_DETECTOR:
        return check_detector(s, c->api);
    default:
        return wrong(s, NULL, "its kind is none that this host knows");
    }
}

il_status il_entry_check(const il_plugin *entry, const char *where, il_error *err)
{
    scope s = {.where = where, .err = err};
    int version[3];

    if (!is_name(entry->space)) {
        return wrong(&s, NULL,
                     "expected a namespace of lower-case letters, digits and '_'");
    }
    if (entry->version == NULL || !il_version_parse(entry->version, version)) {
        return wrong(&s, NULL, "expected a version like \"1.0.0\"");
    }
    if (entry->licence == NULL || entry->author == NULL || entry->summary == NULL) {
        return wrong(&s, NULL, "expected a licence, an author and a summary");
    }
    if (entry->component_count == 0 || entry->components == NULL) {
        return wrong(&s, NULL, "it offers no component");
    }
    for (size_t i = 0; i < entry->component_count; i++) {
        const il_component *c = &entry->components[i];

        s.component = NULL;
        if (c->struct_size != sizeof *c) {
            return wrong(&s, NULL, "its components come from other headers");
        }
        s.component = c->name != NULL ? c->name : "(no name)";
        if (!is_name(c->name)) {
            return wrong(&s, NULL,
                         "expected a name of lower-case letters, digits and '_'");
        }
        IL_TRY(check_api(&s, c));
        IL_TRY(check_params(&s, c));
        for (size_t j = 0; j < i; j++) {
            if (c->kind == entry->components[j].kind &&
                strcmp(c->name, entry->components[j].name) == 0) {
                return wrong(&s, NULL, "two components of a kind have this name");
            }
        }
    }
    return IL_OK;
}
