/* Points: which axes of a sweep reach a stage, and what its jobs are called. */
#include <stdlib.h>
#include <string.h>
#include "pipeline/jobs_private.h"

/* What a lineage's last stage comes from, as one text, with one axis at a value or, for
 * a NULL one, as it is without the sweep; malloc'ed, NULL when memory is out. */
static char *lineage_text(il__lister *l, const il__link *lineage, size_t count,
                          size_t axis, const il_node *value)
{
    il_problems ignored = {.arena = l->arena};
    unsigned axes = l->axes;
    il_text text = {0};
    il_node *root;

    l->axes = 0;
    root = il__jobs_lay(l, lineage, count, &ignored);
    l->axes = axes;
    if (root == NULL) {
        return NULL;
    }
    if (value != NULL) {
        il__jobs_lay_axis(l, root, axis, value);
        il_document_apply(l->document, root);
    }
    il_substitute(l->arena, root, IL_SUBSTITUTE_ALL, &ignored);
    if (!il__jobs_narrow(l, root, lineage, count, 0)) {
        return NULL;
    }
    il_node_write_canonical(&text, root);
    if (text.failed) {
        il_text_free(&text);
    }
    return text.data;
}

/* The axes of which some value changes what a lineage's last stage comes from. */
static unsigned find_reach(il__lister *l, const il__link *lineage, size_t count)
{
    il_arena_mark mark = il_arena_save(l->arena);
    char *plain = lineage_text(l, lineage, count, 0, NULL);
    unsigned axes = 0;

    for (size_t a = 0; plain != NULL && a < l->sweep.axis_count; a++) {
        const il_node *values = l->sweep.axes[a].values;

        for (size_t v = 0; v < values->count && !(axes & (1u << a)); v++) {
            char *text = lineage_text(l, lineage, count, a, values->items[v].value);

            if (text == NULL || strcmp(text, plain) != 0) {
                axes |= 1u << a;
            }
            free(text);
        }
    }
    if (plain == NULL) {
        (void)il__jobs_no_memory(l);
    }
    free(plain);
    il_arena_restore(l->arena, mark);
    return axes;
}

/* The same, remembered by the last link. */
unsigned il__jobs_reach(il__lister *l, const il__link *lineage, size_t count)
{
    const il__link *leaf = &lineage[count - 1];
    il__reach *known;

    if (l->sweep.point_count == 0) {
        return 0;
    }
    for (known = l->reaches; known != NULL; known = known->next) {
        if (strcmp(known->stage, leaf->stage) == 0 &&
            strcmp(known->variant != NULL ? known->variant : "",
                   leaf->variant != NULL ? leaf->variant : "") == 0) {
            return known->axes;
        }
    }
    known = il_arena_calloc(l->arena, 1, sizeof *known);
    if (known == NULL) {
        (void)il__jobs_no_memory(l);
        return 0;
    }
    known->stage = leaf->stage;
    known->variant = leaf->variant;
    known->next = l->reaches;
    l->reaches = known;
    known->axes = find_reach(l, lineage, count);
    return known->axes;
}

/* "naive", "naive@weight=1.5", "weight=1.5": a link as jobs are called; NULL when
 * memory is out. */
const char *il__jobs_label(il__lister *l, const il__link *lineage, size_t count)
{
    const il__link *leaf = &lineage[count - 1];
    unsigned axes = il__jobs_reach(l, lineage, count);
    const char *base = leaf->variant != NULL ? leaf->variant : "";
    const char *label;

    if (axes == 0) {
        return base;
    }
    label = il_sweep_label(l->arena, &l->sweep, l->point, axes);
    if (label == NULL || base[0] == '\0') {
        return label;
    }
    return il_arena_printf(l->arena, "%s@%s", base, label);
}

/* The part of a point that a job has, for its record. */
bool il__jobs_point(il__lister *l, il_job *job, unsigned axes)
{
    job->point = il_arena_calloc(l->arena, l->sweep.axis_count + 1, sizeof *job->point);
    if (job->point == NULL) {
        return il__jobs_no_memory(l);
    }
    for (size_t a = 0; a < l->sweep.axis_count; a++) {
        if (axes & (1u << a)) {
            job->point[job->point_count].path = l->sweep.axes[a].path;
            job->point[job->point_count++].value =
                il_sweep_value(&l->sweep, l->point, a);
        }
    }
    return true;
}
