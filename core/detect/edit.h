/* Edits: a detector as an intervention at its site.
 *
 * What is linear is edited along its direction u, of norm 1, in the site's own units (a
 * scaling of its activations is part of it): the coordinate of x is c = u . x, and
 *
 *     ablate  c becomes 0, or what is half way between the class means
 *     clamp   c becomes `value`
 *     steer   c grows by the amount, or by so many distances between the class means
 *
 * A dictionary is edited in named features: x + decode(edited) - decode(features), so
 * that what it leaves out of x stays; or its reconstruction is spliced in. A component
 * with a slot `edit` does it itself. Strength s gives x + s (edited - x). A detector
 * that has no direction, since it was never fitted, changes nothing. */
#ifndef IL_DETECT_EDIT_H
#define IL_DETECT_EDIT_H

#include "detect/detector.h"
#include "detect/harvest.h"

typedef struct il_editor {
    const il_detector *detector;
    const il_edit_spec *spec;
    il_site_edit site; /* for passes; points back here */
} il_editor;

/* Whether the detector offers that edit; what is wrong is a problem at the edit's
 * place. */
void il_editor_check(const il_detector *d, const il_edit_spec *spec,
                     il_problems *problems);
/* Makes one, in place; all is borrowed. `tokens` NULL: the detector's own. */
void il_editor_open(il_editor *out, const il_detector *d, const il_edit_spec *spec,
                    const char *tokens);

/* Binds edits to a pass for one batch, whose masks say which rows they edit. `names`
 * tells the batch's input; rows live in the arena. */
il_status il_edits_bind(const il_site_edits *edits, il_pass *pass,
                        const il_batch *batch, const il_scored_fields *names,
                        il_arena *arena, il_error *err);
/* Whether what the model hands over depends on what comes back from the site of each:
 * one forward on `batch` an edit. One that is dropped is IL_ERR_INPUT naming the site.
 */
il_status il_edits_check(const il_site_edits *edits, const il_instance *model,
                         const float *const *values, const il_batch *batch,
                         const il_blas *blas, il_error *err);

#endif
