/* What making an instance (instance.c) and the slots of its setup (instance_setup.c)
 * share. */
#ifndef IL_PIPELINE_INSTANCE_PRIVATE_H
#define IL_PIPELINE_INSTANCE_PRIVATE_H

#include "pipeline/instance.h"

enum { IL__SITES, IL__OUTPUTS, IL__LOSSES }; /* what a model declares */

/* The public part comes first: a setup pointer is a host pointer. Slots take a const
 * setup, yet the host behind it was never const. */
struct il_instance_host {
    il_setup setup;
    il_instance *instance;
    il_arena *arena; /* of the instance; texts, declarations, the instance's memory */
    il_facts *facts;
    il_log *log;
    const int64_t *site_widths;
    const int64_t *site_heads;
    int32_t site_count;
    uint64_t seed;
    const char *group;
    il_declared *lists[3]; /* sites, outputs, losses */
    size_t counts[3];
    size_t rooms[3];
    bool creating; /* the slots are for `create` alone */
    il_setup_fault *fault;
    il_error
        failure; /* of a slot that cannot return one, or whose error was passed over */
};

/* The slots, as plugins call them. */
extern const il_setup_api il__setup_api;

#endif
