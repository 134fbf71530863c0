/* Where the numbers come from: pipeline, plugins with their hashes, seeds, states and
 * the machine, as far as the run folder has them. */
#ifndef IL_REPORT_PROVENANCE_H
#define IL_REPORT_PROVENANCE_H

#include "base/text.h"
#include "report/results.h"

void il__provenance(const il__results *r, il_text *html);

#endif
