/* TensorBoard event files, of scalars and histograms: records with checksums, each a
 * small protobuf message. Written as the run goes on, and taken up again by a run that
 * resumes. */
#ifndef IL_FORMATS_TFEVENTS_H
#define IL_FORMATS_TFEVENTS_H

#include <stdint.h>
#include "formats/histogram.h"
#include "interloop/status.h"

typedef struct il_tfevents il_tfevents; /* an open event file */

/* Opens `path` to write after what it holds, and creates it when it is not there. Kept
 * are the whole records before the first of a step at or after `from` (INT64_MAX keeps
 * all); a torn tail is dropped. A file that does not begin as an event file is
 * IL_ERR_INPUT and is left as it is. `wall_time`, in seconds since 1970, is that of the
 * opening record of a new file. */
il_status il_tfevents_open(il_tfevents **out, const char *path, int64_t from,
                           double wall_time, il_error *err);
/* Adds one point of the curve `tag`. Buffered. */
il_status il_tfevents_add(il_tfevents *file, double wall_time, int64_t step,
                          const char *tag, float value, il_error *err);
/* Adds a histogram under `tag`; an empty one is left out. Buffered. */
il_status il_tfevents_add_histogram(il_tfevents *file, double wall_time, int64_t step,
                                    const char *tag, const il_histogram *h,
                                    il_error *err);
/* Everything added is on disk when it returns IL_OK. */
il_status il_tfevents_flush(il_tfevents *file, il_error *err);
/* Flushes, and frees the file whatever happens. Takes NULL. */
il_status il_tfevents_close(il_tfevents *file, il_error *err);

#endif
