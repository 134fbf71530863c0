/* Detectors of detectors: what the members of one give it to read.
 *
 * A detector with `of` reads other detectors in place of sites: the features of a
 * member that has them, else its logit (its calibrated log-odds, where it has a
 * calibration), on the rows that it is to score itself. Its
 * sites are those of its members, so activations are harvested and kept as for any
 * detector. On a tape gradients flow through the members to the activations; the
 * members' parameters are constants in it. */
#ifndef IL_DETECT_COMPOSITE_H
#define IL_DETECT_COMPOSITE_H

#include "detect/detector.h"
#include "detect/harvest.h"

/* What a component reads: members, or without any sites. */
static inline size_t il_detector_input_count(const il_detector *d)
{
    return d->member_count > 0 ? d->member_count : d->site_count;
}
static inline int64_t il_detector_input_width(const il_detector *d, size_t i)
{
    return d->member_count > 0 ? d->member_widths[i] : d->widths[i];
}
/* The member's name, or the site's. */
static inline const char *il_detector_input_name(const il_detector *d, size_t i)
{
    return d->member_count > 0 ? d->spec->of.items[i] : d->spec->sites.items[i];
}

/* Whether its members give one score a sequence, so that it pools nothing itself. */
static inline bool il__detector_reads_pooled(const il_detector *d)
{
    return d->member_count > 0 && d->spec->pooled &&
           d->spec->pooling.kind == IL_POOL_NONE;
}

/* Takes over the members that were handed in: their widths, and where each finds its
 * sites among those of all. [setup] */
il_status il__detector_compose(il_detector *d, il_detector *const *members,
                               il_error *err);
/* What one member gives at the rows: (N,W). */
il_tensor *il__detector_member(const il_detector *d, size_t i, il_pass *pass,
                               const il_scored *rows, il_tensor *const *acts,
                               bool gathered);
/* What every member gives, in their order: (N,W) at the positions behind the rows, or
 * at the rows where members pool, or (B,T,W) where the
 * detector reads sequences. acts are of the detector's sites. NULL when memory is out,
 * which sticks to the pass. */
il_tensor **il__detector_member_acts(const il_detector *d, il_pass *pass,
                                     const il_scored *rows, il_tensor *const *acts,
                                     bool gathered);
/* The same off the tape, for all rows of a harvest: acts whose data are the inputs of
 * the component, one by one, so that a fit reads them as it reads sites. */
il_status il__detector_member_harvest(il_acts **out, const il_detector *d,
                                      const il_blas *blas, const il_acts *acts,
                                      il_error *err);

/* A hash of all that its score depends on besides activations: component, parameters,
 * scaling, and those of its members. */
void il_detector_hash(const il_detector *d, char hex[IL_HASH_HEX]);

#endif
