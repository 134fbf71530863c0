/* A detector taken back, wherever it was kept. */
#ifndef IL_DETECT_RESTORE_PRIVATE_H
#define IL_DETECT_RESTORE_PRIVATE_H

#include "detect/detector.h"

/* Where it was kept. */
typedef struct il__kept {
    il_detector *d;
    const il_safetensors *file;
    const json_t *contract;
    const char *prefix; /* of its tensors' names */
    const char *where;  /* for messages */
    bool stranger;      /* made elsewhere: its values are looked through, too */
} il__kept;

/* Takes all of it over, whatever the contract says of what it was made for. A tensor
 * that is missing or has another type or shape, and a value that is no number, are
 * IL_ERR_INPUT, and the detector is as it was. */
il_status il__detector_take(const il__kept *k, il_error *err);

#endif
