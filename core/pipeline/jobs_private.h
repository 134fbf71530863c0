/* What the files of the jobs share: jobs.c (listing), jobs_lineage.c (the documents of
 * lineages) and jobs_points.c (what a sweep's points make of them). */
#ifndef IL_PIPELINE_JOBS_PRIVATE_H
#define IL_PIPELINE_JOBS_PRIVATE_H

#include "pipeline/jobs.h"
#include "pipeline/sweep.h"

/* A stage of a lineage; its variant is NULL for none. */
typedef struct il__link {
    const char *stage;
    const char *variant;
} il__link;

enum { IL__LINEAGE_MAX = 64 };

/* The axes of the sweep that change what a stage under a variant does. */
typedef struct il__reach {
    const char *stage;
    const char *variant; /* NULL for none */
    unsigned axes;
    struct il__reach *next;
} il__reach;

/* Where a job of the list comes from. */
typedef struct il__drawn {
    const char *variant; /* as the file calls it; NULL for none */
    size_t point;
    unsigned axes; /* of the point, those that reach the job */
    bool wanted;   /* by the filter; the others are there to be compared with */
} il__drawn;

/* The listing of a document's jobs. */
typedef struct il__lister {
    il_document *document;
    il_arena *arena;
    il_problems *problems;
    const il_node *stages; /* of the whole file, ${...} resolved */
    const il_jobs_filter *filter;
    const uint64_t *seeds;
    size_t seed_count;
    il_sweep sweep;
    size_t point;
    unsigned axes; /* of the point, those that are laid */
    bool axis_placed[IL_SWEEP_PATHS];
    il__reach *reaches;
    il_jobs *out;
    il__drawn *drawn; /* [job] */
    size_t room;
} il__lister;

static inline bool il__jobs_is_map(const il_node *node)
{
    return node != NULL && node->kind == IL_NODE_MAP;
}

/* Notes that memory is out; false. */
bool il__jobs_no_memory(il__lister *l);
/* At most `room` keys of a map; how many. */
size_t il__jobs_keys(const il_node *map, const char **keys, size_t room);
/* A stage's variants, or NULL where it has none. */
const il_node *il__jobs_variants(const il__lister *l, const char *stage);

/* Room for one more job, cleared, and what it is drawn from; NULL when there is none,
 * reported. */
il_job *il__jobs_room(il__lister *l, il__drawn **drawn);
/* Whether the filter names a job under its base name or its whole one; `variant` NULL
 * for none. */
bool il__jobs_named(const il__lister *l, const char *variant, const char *label);
/* Whether a name is that of a stage's own twin or placebo, where it has no variants:
 * "twin", "placebo@lr=0.1". */
bool il__jobs_is_scheduled(const char *name);
/* Says of each job what it is to the others, and schedules the twins and placebos that
 * are missing. */
void il__jobs_twins(il__lister *l);

/* Sets one axis of the sweep to a value; a path without a place here may have one in
 * another lineage. */
void il__jobs_lay_axis(il__lister *l, il_node *root, size_t axis, const il_node *value);
/* A copy of the file's tree with the variants of a lineage, root first, the sweep's
 * point, and the command line on top; NULL when memory is out. */
il_node *il__jobs_lay(il__lister *l, const il__link *lineage, size_t count,
                      il_problems *problems);
/* The lineage of a stage under a variant, root first; 0 with a problem. */
size_t il__jobs_lineage(il__lister *l, il__link leaf,
                        il__link lineage[IL__LINEAGE_MAX]);
/* Keeps what one job needs: its own lineage's stages, no variants, no sweep, its seed.
 */
bool il__jobs_narrow(il__lister *l, il_node *root, const il__link *lineage,
                     size_t count, uint64_t seed);

/* The axes of which some value changes what a lineage's last stage comes from. */
unsigned il__jobs_reach(il__lister *l, const il__link *lineage, size_t count);
/* "naive", "naive@weight=1.5", "weight=1.5": a link as jobs are called; NULL when
 * memory is out. */
const char *il__jobs_label(il__lister *l, const il__link *lineage, size_t count);
/* Fills the part of the point that a job has, for its record. */
bool il__jobs_point(il__lister *l, il_job *job, unsigned axes);

#endif
