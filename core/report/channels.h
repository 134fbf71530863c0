/* The eight channels of a pair of source and reader, as a plan has them. */
#ifndef IL_REPORT_CHANNELS_H
#define IL_REPORT_CHANNELS_H

#include "report/results.h"

enum { IL__CHANNELS = 8, IL__CHANNELS_SEALED = 4 };
/* direct, credit, relay, state, which `sealed` closes; data, input, reader, selection.
 */
extern const char *const il__channel_names[IL__CHANNELS];

/* 1 open, 0 closed, -1 not applicable. */
int il__channel_open(const json_t *pair, const char *channel);

/* How bad a channel is over all pairs of an arm's plan. */
enum { IL__CHANNEL_NONE = -1, IL__CHANNEL_CLOSED, IL__CHANNEL_FRESH, IL__CHANNEL_OPEN };

/* The worst that an arm's plan has of each channel: open for a declared detector, or
 * for the audit's fresh readers alone, whom no demand protects; and the pair that is
 * worst (NULL where none is open), the source's own reading of itself before others. */
typedef struct il__channels_worst {
    int state[IL__CHANNELS];
    const json_t *pair[IL__CHANNELS];
    int first; /* the first that is open for a declared detector, -1 for none */
} il__channels_worst;

il__channels_worst il__channels_worst_of(const json_t *plan);

/* An arm's certificates: 1 all that were made held, 0 one differed, -1 none was made;
 * and the first that says so, or NULL. */
int il__certified(const il__results *r, const il__result_arm *arm,
                  const json_t **which);

#endif
