/* The grammar as Markdown: what every key is, from the table that checks them. */
#ifndef IL_PIPELINE_REFERENCE_H
#define IL_PIPELINE_REFERENCE_H

#include "base/text.h"

/* Adds the reference: a section for each kind of map with its keys, what each takes and
 * what it is for. */
void il_schema_reference(il_text *out);

#endif
