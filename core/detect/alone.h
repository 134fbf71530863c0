/* A saved detector by itself: without a pipeline, and with no more of a model than the
 * names and widths of the sites that its contract tells. */
#ifndef IL_DETECT_ALONE_H
#define IL_DETECT_ALONE_H

#include "detect/saved.h"

/* The contract's words as a pipeline would say them, so that what is loaded is what was
 * saved. Lives in the arena and borrows the file. What reads other detectors has no
 * file of its own to be read from: IL_ERR_INPUT, like words that are not known. */
il_status il_saved_spec(const il_saved *s, il_arena *arena, il_detector_spec *out,
                        il_error *err);
/* What stands for the model: the contract's sites with their widths, and nothing else.
 * Likewise. */
il_status il_saved_sites(const il_saved *s, il_arena *arena, il_instance *out,
                         il_error *err);

typedef struct il_alone {
    il_saved *saved;
    il_detector_spec spec;
    il_instance sites; /* stands for the model */
    il_detector *detector;
    il_arena *arena;
} il_alone;

/* Opens a file and makes the detector that it holds. The registry is borrowed, the log
 * may be NULL. Every problem with the file goes into `err`. */
il_status il_alone_open(il_alone **out, const il_registry *registry, const char *path,
                        il_log *log, il_error *err);
void il_alone_close(il_alone *a); /* takes NULL */

#endif
