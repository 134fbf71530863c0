/* The page a reviewer reads first: what a pipeline is made of, what each signal may
 * update and what each detector's pressure can reach, before anything runs.
 *
 * Words for facts that the caller has; nothing is looked up here. */
#ifndef IL_LOOP_EXPLAIN_H
#define IL_LOOP_EXPLAIN_H

#include "loop/firewall.h"

typedef struct il_explain_component {
    const char *label;   /* "model", "data", a detector's name */
    const char *id;      /* "interloop.gpt" */
    const char *version; /* "1.0.0" */
    const char *sha256;  /* of the plugin's file, in hex; the first 12 are shown */
} il_explain_component;

typedef struct il_explain_site {
    const char *name;
    const char *shape;   /* "(B,T,64)" */
    const char *readers; /* "probe, auditor" */
} il_explain_site;

/* What is done at a detector's site while a stage trains. */
typedef struct il_explain_edit {
    const char *name; /* the signal's */
    const char *what; /* "ablate", "steer 2 class distances" */
    const char *detector;
    const char *site;
    const char *tokens;
    const char *strength; /* "1", "0 to 1 over 100" */
} il_explain_edit;

/* A stage, under one variant. */
/* A signal that halts, with what it watches and what it does then; or one that sifts
 * examples, with which it keeps or what they weigh. */
typedef struct il_explain_halt {
    const char *name;
    const char *line; /* "probe.tpr below 0.5 for 2 audits" */
    const char *deed; /* "stop"; NULL: it sifts */
    int64_t ends;     /* how many ends the stage may have by it */
    const il_signal_spec *spec;
} il_explain_halt;

typedef struct il_explain_stage {
    const char *stage;
    const char *variant;       /* "" for none */
    const char *from;          /* NULL at the root */
    const char *does;          /* "200 steps", "fits probe, auditor" */
    const char *company;       /* what it is compared with, or is there for; NULL */
    const il_matrix_row *rows; /* its signals; none when it does not train */
    size_t row_count;
    const il_explain_edit *edits;
    size_t edit_count;
    const il_explain_halt *halts;
    size_t halt_count;
    const il_matrix_group *groups;
    size_t group_count;
    size_t bits;               /* of the rows' and groups' sets */
    const il_verdict *verdict; /* NULL when it does not train */
    unsigned demand;           /* what must be closed */
    bool lowered;              /* by name, below what is asked for otherwise */
} il_explain_stage;

typedef struct il_explain {
    const char *pipeline;
    const char *numerics;
    const il_explain_component *components;
    size_t component_count;
    const il_explain_site *sites;
    size_t site_count;
    const il_explain_stage *stages;
    size_t stage_count;
} il_explain;

/* Adds the whole page. */
void il_explain_text(il_text *out, const il_explain *e);
/* Its parts: components and sites; and one stage. */
void il_explain_parts_text(il_text *out, const il_explain *e);
void il_explain_stage_text(il_text *out, const il_explain_stage *s);

#endif
