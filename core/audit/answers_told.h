/* Answers as text: what a model wrote, for people. */
#ifndef IL_AUDIT_ANSWERS_TOLD_H
#define IL_AUDIT_ANSWERS_TOLD_H

#include <jansson.h>
#include "episode/recorded.h"

/* The first `count` answers as the environment tells them: an array of {prompt, answer,
 * rewards, labels}, where a reward is its sum over the answer. NULL where the
 * environment tells nothing, or memory is out, which *err then says. */
json_t *il_answers_told(const il_recorded *answers, int64_t count, il_error *err);

#endif
