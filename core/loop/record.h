/* Records: what was observed while a stage was computed, in ADDRESS/observed/KEY/.
 *
 * What observes does not change a result, so the record has a key of its own beside the
 * address. Lines are appended as the stage goes on; a stage that resumes takes the
 * record back to its checkpoint, so that the finished record has the same bytes either
 * way. */
#ifndef IL_LOOP_RECORD_H
#define IL_LOOP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include "base/text.h"
#include "formats/histogram.h"
#include "interloop/status.h"

typedef struct il_metric {
    const char *name;
    double value; /* one that is not finite is left out of all that is written */
} il_metric;

typedef struct il_record il_record;

/* folder/observed/KEY, malloc'ed, KEY being the hash of the text `key`; NULL when
 * memory is out. */
char *il_record_folder(const char *state_folder, const char *key);

/* Opens the record in `folder`, which it makes, and keeps the lines of metrics.jsonl
 * and of ledger.jsonl up to `step` (-1: none). A torn last line is dropped. The record
 * counts as unfinished from here on. */
il_status il_record_open(il_record **out, const char *folder, int64_t step,
                         il_error *err);
void il_record_close(il_record *r); /* takes NULL */
/* Appends {"step": step, "name": value, ...}. A step below the last one, or a metric
 * named "step", is IL_ERR_INPUT. */
il_status il_record_add(il_record *r, int64_t step, const il_metric *metrics,
                        size_t count, il_error *err);
/* Appends a line of the ledger, {"step": step, ...} with its newline; steps as above.
 */
il_status il_record_ledger(il_record *r, int64_t step, const il_text *line,
                           il_error *err);
const char *il_record_ledger_path(const il_record *r);
/* Appends {"step", "tag", "min", "max", "num", "sum", "sum_squares", "limits",
 * "counts"} to histograms.jsonl; an empty histogram is left out. */
il_status il_record_histogram(il_record *r, int64_t step, const char *tag,
                              const il_histogram *h, il_error *err);
/* Reads one back; false where a line holds none. Its tag is borrowed. */
bool il_record_histogram_of(const json_t *line, il_histogram *h, const char **tag);
/* All lines are on disk when it returns IL_OK: call it before a checkpoint. */
il_status il_record_sync(il_record *r, il_error *err);
/* Writes NAME in the record ("audit.json"), all or nothing. */
il_status il_record_json(il_record *r, const char *name, const json_t *json,
                         il_error *err);
/* Marks the record finished, with the metrics that a summary shows. */
il_status il_record_finish(il_record *r, const il_metric *metrics, size_t count,
                           il_error *err);
/* The metrics of a finished record as an object, which the caller decrefs; *out is NULL
 * when the record is not there or not finished. */
il_status il_record_finished(const char *folder, json_t **out, il_error *err);

/* Calls `visit` for each line of one of these files, in order; a torn last
 * one is left out. */
il_status il_record_read(const char *path,
                         il_status (*visit)(void *user, int64_t step,
                                            const json_t *line, il_error *err),
                         void *user, il_error *err);

#endif
