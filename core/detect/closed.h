/* Fits in closed form: by the component itself, from the rows it is handed. */
#ifndef IL_DETECT_CLOSED_H
#define IL_DETECT_CLOSED_H

#include "detect/detector.h"
#include "detect/harvest.h"

#define IL_CLOSED_FORM "closed_form" /* the method's name */

/* Whether the component fits itself. */
bool il_detector_closed(const il_detector *d);
/* Problems with a spec that asks such a detector for what a closed form does not have:
 * steps, rates and penalties, and refits on every batch. */
void il_detector_closed_check(const il_detector *d, il_problems *problems);
/* Has it fit itself to the scored rows as they are; its scaling is dropped. The rows
 * have both classes and were looked through. A parameter that comes back as no number
 * is IL_ERR_NUMERIC. */
il_status il_detector_fit_closed(il_detector *d, const il_acts *acts, il_error *err);

#endif
