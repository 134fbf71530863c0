/* Group load: constructors run when a plugin is loaded, and may change nothing. */
#define _POSIX_C_SOURCE 200809L
#include "check/check_private.h"

#include <time.h>

static il_status load(il__trial *t, il_error *err)
{
    void *handle = NULL;

    IL_TRY(il_image_read(&t->image, t->o->path, true, err));
    return il_image_open(&t->image, t->o->path, &handle, &t->entry, err);
}

static il_status leaves_the_process(il__trial *t, il_error *err)
{
    il__process before;
    il__process after;
    void *handle = NULL;

    /* The sealed copy that it is loaded from is the host's descriptor, there before. */
    IL_TRY(il_image_read(&t->image, t->o->path, true, err));
    il__process_look(&before);
    IL_TRY(il_image_open(&t->image, t->o->path, &handle, &t->entry, err));
    il__process_look(&after);
    return il__process_same(&before, &after, err);
}

static il_status is_quick(il__trial *t, il_error *err)
{
    struct timespec before;
    struct timespec after;
    double seconds;

    /* Of its own processor time, so that a busy machine is not the plugin's fault. */
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    IL_TRY(load(t, err));
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    seconds = (double)(after.tv_sec - before.tv_sec) +
              1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    return seconds < 0.1 ? IL_OK
                         : il__found(err,
                                     "loading it takes %.3f s of processor time: "
                                     "expected less than 0.1; what takes long belongs "
                                     "into create",
                                     seconds);
}

static const il__row rows[] = {
    {"it loads, and leaves rounding and denormals as they were", IL__FILE | IL__VITAL,
     load},
    {"loading it leaves signals, locale, folder, descriptors, threads, variables and "
     "limits as they were",
     IL__FILE, leaves_the_process},
    {"it loads at once", IL__FILE, is_quick},
};

const il__group il__group_load = {"load", rows, sizeof rows / sizeof rows[0], false};
