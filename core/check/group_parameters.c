/* Group parameters: a component can be made with every value that its table allows, or
 * says why not, and with no other. */
#include "check/check_private.h"

#include <math.h>
#include <string.h>

static il_status takes_defaults(il__trial *t, il_error *err)
{
    il_instance *i = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    il_instance_destroy(i);
    return IL_OK;
}

/* A bound may be more than this machine or the rest of the world can bear; a plugin
 * then says so. Parameters stay without memory: that much of it is the core's affair.
 */
static il_status takes_or_refuses(il__trial *t, il_error *err)
{
    const il__making how = {.seed = t->o->seed, .bare = true};
    il_instance *i = NULL;
    il_error why = {0};

    il__note(t, "create with %s", t->argument);
    if (il__subject(t, &how, &i, &why) != IL_OK &&
        (why.message[0] == '\0' ||
         strstr(why.message, "failed without a reason") != NULL ||
         why.code == IL_ERR_INTERNAL)) {
        return il__found(err, "refuses %s without saying why: %s", t->argument,
                         why.message);
    }
    il_instance_destroy(i);
    return IL_OK;
}

/* Whether a value is refused with a message. */
static il_status expect_refused(const il__trial *t, il_arena *arena, const char *name,
                                const char *value, bool list, il_error *err)
{
    static const il_place place = {"params", 1, 1};
    il_param_value values[64];
    il_problems problems = {.arena = arena};
    il_node *map = il_node_map(arena, place);
    il_node *node =
        list ? il_node_list(arena, place) : il_node_scalar(arena, value, false, place);

    (void)il_node_put(arena, map, name, place, node);
    if (t->component->param_count > sizeof values / sizeof values[0]) {
        return IL_OK;
    }
    if (il_params_check(arena, map, "it", place, t->component->params,
                        t->component->param_count, values, &problems)) {
        return il__found(err, "the table lets %s=%s pass", name,
                         list ? "a list" : value);
    }
    return problems.count > 0 && problems.kept[0].message[0] != '\0'
               ? IL_OK
               : il__found(err, "%s=%s is refused without a message", name, value);
}

/* A number past a bound, as text; false when there is no such double. */
static bool beyond(const il_param_spec *p, bool above, char out[64])
{
    double bound = above ? p->max : p->min;
    double past = p->type == IL_PARAM_TYPE_INT
                      ? bound + (above ? 1 : -1)
                      : nextafter(bound, above ? INFINITY : -INFINITY);

    if (!isfinite(past) || past == bound || fabs(past) > 9e15) {
        return false;
    }
    if (p->type == IL_PARAM_TYPE_INT) {
        (void)snprintf(out, 64, "%.0f", past);
    } else {
        il_format_real(past, out);
    }
    return true;
}

static il_status refuses_the_rest(il__trial *t, il_error *err)
{
    il_arena *arena = il_arena_create(1 << 13);
    char value[64];

    if (arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    IL_TRY(expect_refused(t, arena, "no_such_parameter", "1", false, err));
    for (size_t k = 0; k < t->component->param_count; k++) {
        const il_param_spec *p = &t->component->params[k];

        IL_TRY(expect_refused(t, arena, p->name, "", true, err));
        if (p->type == IL_PARAM_TYPE_INT || p->type == IL_PARAM_TYPE_REAL) {
            IL_TRY(expect_refused(t, arena, p->name, "no_number", false, err));
            if (beyond(p, false, value)) {
                IL_TRY(expect_refused(t, arena, p->name, value, false, err));
            }
            if (beyond(p, true, value)) {
                IL_TRY(expect_refused(t, arena, p->name, value, false, err));
            }
        }
        if (p->type == IL_PARAM_TYPE_FLAG || p->type == IL_PARAM_TYPE_CHOICE) {
            IL_TRY(expect_refused(t, arena, p->name, "no_such_choice", false, err));
        }
    }
    il_arena_destroy(arena);
    return IL_OK;
}

static const il__row rows[] = {
    {"it can be made with its defaults", IL__OF_ALL | IL__VITAL, takes_defaults},
    {"what its table forbids is refused with a message", IL__OF_ALL, refuses_the_rest},
    {"it is made, or says why not", IL__VALUE, takes_or_refuses},
};

const il__group il__group_parameters = {"parameters", rows,
                                        sizeof rows / sizeof rows[0], true};
