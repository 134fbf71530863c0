/* Versions of plugins, "1.0.3", and the ranges of them that a pipeline asks for. */
#ifndef IL_PLUGIN_VERSION_H
#define IL_PLUGIN_VERSION_H

#include <stdbool.h>

/* Exactly three numbers joined by dots; what may follow after '-' or '+' is ignored. */
bool il_version_parse(const char *text, int parts[3]);
/* Whether both are versions and `a` comes before `b`; what follows the three numbers is
 * not looked at. */
bool il_version_older(const char *a, const char *b);
/* Whether `version` is in `range`: "" any, "1.0.3" that one, ">=1.2" that or newer,
 * "~1.2" the same minor, "^1.2" the same major (of 0.x: the same minor). *known is
 * false when the range is none of these. */
bool il_version_in(const char *version, const char *range, bool *known);

#endif
