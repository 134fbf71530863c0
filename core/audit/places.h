/* Places: where an audit's fresh readers read. The audit asks when it reads, the
 * firewall before a stage trains, so that its row of them covers every site. */
#ifndef IL_AUDIT_PLACES_H
#define IL_AUDIT_PLACES_H

#include "detect/detector.h"

/* The detector that fresh readers are fitted like: the first that
 * has a label; NULL: none has. */
const il_detector *il_audit_taught(size_t count, const il_detector *const *detectors);

/* Names of the sites where they read besides the detector `like`'s own, at
 * a stage's end, each once: those that the audit names, else those of the other
 * detectors and the last residual stream. Returns how many; `out` has room for the
 * model's sites and those that the audit names. */
size_t il_audit_further(const il_audit_spec *spec, const il_instance *model,
                        const il_detector *like, size_t count,
                        const il_detector *const *detectors, const char **out);

/* By the model's site number, whether they read it at all, on rows or on episodes. In
 * the arena; NULL when memory is out. */
bool *il_audit_read_sites(const il_audit_spec *spec, const il_instance *model,
                          size_t count, const il_detector *const *detectors,
                          il_arena *arena);

#endif
