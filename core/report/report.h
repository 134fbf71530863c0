/* The report of a run: one page of HTML that needs nothing beside it, and the same
 * numbers as text for a terminal. Both are made from the run folder alone, so that a
 * report can be made again at any time. */
#ifndef IL_REPORT_REPORT_H
#define IL_REPORT_REPORT_H

#include "base/text.h"
#include "interloop/status.h"

/* Writes the page for `run_dir` to `out_path`, all or nothing; NULL means report.html
 * in the run folder. What the run did not measure or conclude is said in its place.
 * IL_ERR_INPUT when the folder's files are not what a run writes. */
il_status il_report_write(const char *run_dir, const char *out_path, il_error *err);

/* Writes one page over many runs to `out_path`. A folder that cannot be read is named
 * on the page and left out; that no folder can be is an error. *unread, which may be
 * NULL, is how many were left out. */
il_status il_report_write_many(const char *const *runs, size_t count,
                               const char *out_path, size_t *unread, il_error *err);

/* Adds the table of metrics as text: a line for each seed of each variant, and their
 * mean. */
il_status il_report_table(const char *run_dir, il_text *out, il_error *err);

#endif
