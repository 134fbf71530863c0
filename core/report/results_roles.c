/* Who is compared with whom: twins, placebos, and the arms that are pressed. The
 * summary says so by name; where it is silent, the plan's declarations do. */
#include <string.h>
#include "report/results_private.h"

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Whether every setting of a sweep's point "a=1,b=2" is one of another's. */
static bool point_within(const char *point, const char *other)
{
    while (*point != '\0') {
        size_t size = strcspn(point, ",");
        const char *at = other;
        bool found = false;

        while (*at != '\0' && !found) {
            size_t length = strcspn(at, ",");

            found = length == size && strncmp(at, point, size) == 0;
            at += length + (at[length] == ',');
        }
        if (!found) {
            return false;
        }
        point += size + (point[size] == ',');
    }
    return true;
}

static const char *point_of(const char *variant)
{
    const char *at = variant != NULL ? strchr(variant, '@') : NULL;

    return at != NULL ? at + 1 : "";
}

/* Whether `variant`, with its point of a sweep, is the one that `name` means to an arm
 * with the point `point`: the same name, and nothing set otherwise. */
static bool means(const char *name, const char *variant, const char *point)
{
    size_t size = variant != NULL ? strcspn(variant, "@") : 0;

    return variant != NULL && strlen(name) == size &&
           strncmp(name, variant, size) == 0 && point_within(point_of(variant), point);
}

/* The arm that calls itself the twin of this one, or of all of its stage, the first
 * before the second. A variant called `monitor` is the twin of those that have none. */
static const il__result_arm *find_twin(const il__results *r, const il__result_arm *arm)
{
    const il__result_arm *twin = NULL;
    const il__result_arm *monitor = NULL;

    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *other = &r->arms[i];
        const char *of = json_string_value(json_object_get(other->plan, "twin_of"));

        if (!same(other->stage, arm->stage) ||
            !point_within(point_of(other->variant), point_of(arm->variant))) {
            continue;
        }
        if (of != NULL && means(of, arm->variant, point_of(arm->variant))) {
            return other;
        }
        if (of != NULL && strcmp(of, "all") == 0) {
            twin = other;
        }
        if (means("monitor", other->variant, point_of(arm->variant))) {
            monitor = other;
        }
    }
    return twin != NULL ? twin : monitor;
}

/* The arm of which this one says that it is the placebo, at its own point. */
static const il__result_arm *find_placebo(const il__results *r,
                                          const il__result_arm *arm)
{
    const char *of = json_string_value(json_object_get(arm->plan, "placebo_of"));

    for (size_t i = 0; of != NULL && i < r->arm_count; i++) {
        if (same(r->arms[i].stage, arm->stage) &&
            means(of, r->arms[i].variant, point_of(arm->variant))) {
            return &r->arms[i];
        }
    }
    return NULL;
}

/* The arm of the same stage whose variant is called `name`; "" is the stage itself. */
static const il__result_arm *named(const il__results *r, const char *stage,
                                   const char *name)
{
    for (size_t i = 0; name != NULL && i < r->arm_count; i++) {
        const char *variant = r->arms[i].variant;

        if (same(r->arms[i].stage, stage) &&
            strcmp(variant != NULL ? variant : "", name) == 0) {
            return &r->arms[i];
        }
    }
    return NULL;
}

/* The last placebo that is found stays out of the list where there is no room. */
static void add_placebo(il__result_arm *arm, const il__result_arm *placebo)
{
    for (size_t i = 0; i < arm->placebo_count; i++) {
        if (arm->placebos[i] == placebo) {
            return;
        }
    }
    if (placebo != NULL && placebo != arm) {
        arm->placebos[arm->placebo_count++] = placebo;
    }
}

static void link_by_summary(il__results *r, il__result_arm *arm)
{
    const il__result_row *row = arm->rows[0];

    arm->pressed = same(row->role, "pressed");
    arm->twin = named(r, arm->stage, row->twin);
    for (size_t i = 0; i < json_array_size(row->placebos); i++) {
        const il__result_arm *placebo =
            named(r, arm->stage, json_string_value(json_array_get(row->placebos, i)));

        add_placebo(arm, placebo);
        if (placebo != NULL && placebo != arm) {
            r->arms[placebo - r->arms].placebo = arm;
        }
    }
}

static void link_by_plan(il__results *r, il__result_arm *arm)
{
    if (arm->variant != NULL) {
        arm->placebo = find_placebo(r, arm);
        arm->twin = find_twin(r, arm);
        arm->twin = arm->twin != arm ? arm->twin : NULL;
    }
    arm->pressed = arm->placebo == NULL &&
                   json_array_size(json_object_get(arm->plan, "pairs")) > 0;
}

il_status il__results_roles(il__results *r, il_error *err)
{
    bool known = false;

    for (size_t i = 0; i < r->row_count; i++) {
        known = known || r->rows[i].role != NULL;
    }
    for (size_t i = 0; i < r->arm_count; i++) {
        size_t room = known ? json_array_size(r->arms[i].rows[0]->placebos) : 0;

        for (size_t k = 0; !known && k < r->arm_count; k++) {
            room += find_placebo(r, &r->arms[k]) == &r->arms[i];
        }
        r->arms[i].placebos =
            il_arena_calloc(r->arena, room + 1, sizeof *r->arms[i].placebos);
        if (r->arms[i].placebos == NULL) {
            return il__results_no_memory(r->folder, err);
        }
    }
    for (size_t i = 0; i < r->arm_count; i++) {
        if (known) {
            link_by_summary(r, &r->arms[i]);
        } else {
            link_by_plan(r, &r->arms[i]);
        }
    }
    for (size_t i = 0; !known && i < r->arm_count; i++) {
        if (r->arms[i].placebo != NULL) {
            add_placebo(&r->arms[r->arms[i].placebo - r->arms], &r->arms[i]);
        }
    }
    return IL_OK;
}
