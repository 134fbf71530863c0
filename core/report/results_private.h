/* What the files that read a run folder share. */
#ifndef IL_REPORT_RESULTS_PRIVATE_H
#define IL_REPORT_RESULTS_PRIVATE_H

#include "report/fields.h"
#include "report/results.h"

/* Parses a file of the run folder and keeps it with the results. */
il_status il__results_document(il__results *r, const char *path, bool optional,
                               const json_t **document, il_error *err);
/* plan.json and certificates.json, both of which may be absent. */
il_status il__results_plan(il__results *r, il_error *err);
il_status il__results_certificates(il__results *r, il_error *err);
/* Twins, placebos and who is pressed, once all arms are known. */
il_status il__results_roles(il__results *r, il_error *err);
/* conclusions.json, which may be absent. */
il_status il__results_conclusions(il__results *r, il_error *err);
il_status il__results_no_memory(const char *where, il_error *err);

#endif
