/* Losses: see lost.h. */
#include "audit/lost.h"

#include <math.h>

static double within(double x, double most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

il_lost il_lost_of(const il_recalls *pressed, double twin_lost)
{
    il_lost out = {.lost = pressed->then - pressed->now,
                   .stale = NAN,
                   .gone = NAN,
                   .hidden = NAN,
                   .stale_share = NAN,
                   .hidden_share = NAN};
    double rest;

    if (isnan(out.lost)) {
        return out;
    }
    if (out.lost <= 0) {
        out.lost = out.stale = out.gone = out.hidden = 0;
        return out;
    }
    if (isnan(twin_lost)) {
        return out;
    }
    out.stale = within(twin_lost, out.lost);
    out.stale_share = out.stale / out.lost;
    rest = out.lost - out.stale;
    if (rest > 0 && isnan(pressed->refit)) {
        return out;
    }
    out.gone = rest > 0 ? within(pressed->then - pressed->refit, rest) : 0;
    out.hidden = rest - out.gone;
    out.hidden_share = out.hidden / out.lost;
    return out;
}
