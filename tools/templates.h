/* The files that `interloop plugin new` writes, as they lie in tools/templates. */
#ifndef IL_TOOLS_TEMPLATES_H
#define IL_TOOLS_TEMPLATES_H

typedef struct il_template {
    const char *name; /* "detector/plugin.c"; NULL ends the table */
    const char *text; /* with @SPACE@, @NAME@ and @ID@ to be filled in */
} il_template;

extern const il_template il_templates[];

#endif
