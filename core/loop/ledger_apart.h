/* How far a job's weights went: from those that it started from, and from its twin's,
 * once that is there. Added to the ledger.json in the job's folder, from states alone.
 */
#ifndef IL_LOOP_LEDGER_APART_H
#define IL_LOOP_LEDGER_APART_H

#include "loop/rundir.h"

/* Adds to every ledger of a run, by its summary's rows:
 *   "moved": {"distance", "readers": {READER: {"read", "rest"}}, "tensors": {TENSOR:
 *   distance}}
 * and "twin" with {"variant", ...} and the same. A distance is the square root of the
 * sum of squares over a tensor's numbers, or over the tensors that a reader reads. A
 * row without a twin, or whose twin has no row of the same seed, gets no "twin". */
il_status il_ledger_apart(const il_run *run, il_error *err);

#endif
