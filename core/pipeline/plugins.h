/* The plugins of a pipeline: the registry with every folder that it may use, and its
 * components against what they offer. */
#ifndef IL_PIPELINE_PLUGINS_H
#define IL_PIPELINE_PLUGINS_H

#include "pipeline/jobs.h"
#include "plugin/registry.h"

/* Makes a registry of the folders of the command line (absolute, each must be there),
 * of the pipeline's `plugins.path`, and of the defaults (INTERLOOP_PLUGIN_PATH among
 * them), that loads what the pipeline trusts. `spec` may be NULL. On failure *out may
 * hold what was made so far; the caller destroys it in any case. */
il_status il_plugins_find(il_registry **out, const char *const *folders, size_t count,
                          const il_plugins_spec *spec, il_log *log, il_error *err);

/* Adds a problem for each component of the jobs that no plugin offers and for all that
 * is wrong with its params, without making any. */
void il_plugins_check(const il_registry *registry, const il_jobs *jobs, il_arena *arena,
                      il_problems *problems);

#endif
