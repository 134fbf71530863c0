/* Between the files that hold the grammar's table. */
#ifndef IL_PIPELINE_SCHEMA_PRIVATE_H
#define IL_PIPELINE_SCHEMA_PRIVATE_H

#include "pipeline/schema.h"

#define IL__COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define IL__CASE(name_, array)                                                         \
    {                                                                                  \
        (name_), (array), IL__COUNT(array)                                             \
    }

/* A signal's edit; and an audit's, by name. */
extern const il_schema il__schema_edit;
extern const il_schema il__schema_edits;
/* What a signal on channel halt watches for, what it does then, and what is kept, be it
 * a state or, on channel data, examples; and how those are weighed. */
extern const il_schema il__schema_when;
extern const il_schema il__schema_do;
extern const il_schema il__schema_keep;
extern const il_schema il__schema_reweight;
/* What a pressed run is compared with, what stands in a score's place there, and the
 * question that a run answers. */
extern const il_schema il__schema_twins;
extern const il_schema il__schema_scramble;
extern const il_schema il__schema_endpoint;

#endif
