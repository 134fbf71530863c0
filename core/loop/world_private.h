/* What the files of a world share. */
#ifndef IL_LOOP_WORLD_PRIVATE_H
#define IL_LOOP_WORLD_PRIVATE_H

#include "episode/episodes.h"
#include "loop/world.h"
#include "pipeline/fields.h"

/* Adds to `problems` what detectors and audits ask of episodes that the environment
 * cannot give: policies, masks, answers. */
void il__world_check(const il_world *w, il_problems *problems);

#endif
