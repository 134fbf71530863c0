/* A detector by itself, saved or new: without a pipeline, and with no more of a model
 * than the names and widths of the sites that it reads. */
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
    il_saved *saved; /* NULL of a new one */
    il_detector_spec spec;
    il_instance sites; /* stands for the model */
    il_detector *detector;
    il_arena *arena;
} il_alone;

/* Opens a file and makes the detector that it holds. The registry is borrowed, the log
 * may be NULL. Every problem with the file goes into `err`. */
il_status il_alone_open(il_alone **out, const il_registry *registry, const char *path,
                        il_log *log, il_error *err);

/* What a new one is to be; text is borrowed. */
typedef struct il_alone_words {
    const char *name;      /* in messages; NULL: the component's */
    const char *use;       /* the component */
    const char *label;     /* what it will be fitted to; NULL: learns without */
    const il_node *params; /* of the component; NULL: its defaults */
    const char *const *sites;
    const int64_t *widths; /* of each */
    size_t site_count;
    const char *convention; /* of the sites' names; NULL: IL_CONVENTION */
    const char *tokens;     /* NULL: all */
    const char *pool;       /* such as "ema_max, decay 0.9"; NULL: none */
    enum il_context context;
    const char *method;   /* of its fit; NULL: the component's own */
    int64_t steps, batch; /* 0: the method's own */
    double lr, l2;        /* negative: the method's own */
    double fpr;           /* the threshold's; negative: none */
    il_unit unit;
    uint64_t seed;
} il_alone_words;

/* Makes one that is to be fitted (fit.h). As above. */
il_status il_alone_new(il_alone **out, const il_registry *registry,
                       const il_alone_words *words, il_log *log, il_error *err);
void il_alone_close(il_alone *a); /* takes NULL */

#endif
