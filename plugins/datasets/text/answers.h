/* The environment beside the dataset: see answers.c. */
#ifndef TEXT_ANSWERS_H
#define TEXT_ANSWERS_H

#include "interloop/plugin.h"

enum { ANSWERS_PARAMS = 15 };

extern const il_environment_api answers_api;
extern const il_param_spec answers_params[ANSWERS_PARAMS];

#endif
