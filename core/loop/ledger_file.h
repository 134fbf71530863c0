/* The ledger's files: a line of ledger.jsonl for each sampled step, and ledger.json
 * with what they add up to.
 *
 * A line is {"step", "grad_norm", "signals": {NAME: {"norm", "cosine", "work",
 * "readers": {READER: {"read": {...}, "rest": {...}}}, "tensors": {TENSOR: [norm,
 * cosine, work]}}}}, `step` counting from 1, and a cosine null where one of the two
 * gradients is zero. ledger.json is made from these lines alone, so that a run that was
 * interrupted leaves the same one. */
#ifndef IL_LOOP_LEDGER_FILE_H
#define IL_LOOP_LEDGER_FILE_H

#include "base/text.h"
#include "loop/ledger.h"
#include "loop/record.h"

/* Adds the line of the step just sampled, with its newline. */
void il_ledger_line(const il_ledger *l, il_text *out);

/* What the lines of `path` add up to over a stage of `steps` steps; a new reference.
 *
 * The work of sampled steps is exact. That of the steps between two of them is taken to
 * go from the one to the other in a straight line, and that of those after the last to
 * stay; `work` is the sum of all this, `sampled_work` of the exact part alone. Norms
 * are root mean squares over the samples, cosines means over those that have one. */
il_status il_ledger_totals(const il_ledger *l, const char *path, int64_t steps,
                           json_t **out, il_error *err);

/* The scalars that a sampled step adds to metrics.jsonl and to TensorBoard, for each
 * signal that a detector enters: ledger.SIGNAL.read and .rest (norms, by what its
 * reader reads), .cosine and .work. Names in the arena; at most `room`. */
size_t il_ledger_metrics(const il_ledger *l, il_arena *arena, il_metric *out,
                         size_t room);

#endif
