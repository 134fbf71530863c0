/* Group shapes: batches of every size, with inputs that cannot be written to and edges
 * that cannot be written past. */
#include "check/check_private.h"

#include <string.h>

static il_status behave_sized(il__trial *t, int64_t rows, int64_t length, il_error *err)
{
    const il__act act = {.rows = rows, .length = length, .gradients = rows > 0};
    il_instance *i = NULL;
    il_text bytes = {0};

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    il__note(t, "%lld rows of %lld positions", (long long)rows, (long long)length);
    return il__behave(t, i, &act, &bytes, err);
}

static il_status takes_one_row(il__trial *t, il_error *err)
{
    return behave_sized(t, 1, IL__CHECK_LENGTH, err);
}

static il_status takes_odd_rows(il__trial *t, il_error *err)
{
    IL_TRY(behave_sized(t, 7, IL__CHECK_LENGTH, err));
    return behave_sized(t, 3, IL__CHECK_LENGTH - 3, err);
}

static il_status takes_one_position(il__trial *t, il_error *err)
{
    return behave_sized(t, 3, 1, err);
}

static il_status takes_one_number(il__trial *t, il_error *err)
{
    return behave_sized(t, 1, 1, err);
}

/* An empty batch may be refused with a reason; it may not crash. */
static il_status bears_no_rows(il__trial *t, il_error *err)
{
    il_error why = {0};

    if (behave_sized(t, 0, IL__CHECK_LENGTH, &why) != IL_OK && why.message[0] == '\0') {
        return il__found(err, "it fails on an empty batch without a reason");
    }
    return IL_OK;
}

static const il__row rows[] = {
    {"it takes one row", IL__OF_ALL, takes_one_row},
    {"it takes an odd number of rows", IL__OF_ALL, takes_odd_rows},
    {"it takes one position a row", IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DETECTOR),
     takes_one_position},
    {"it takes a single position", IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DETECTOR),
     takes_one_number},
    {"it bears a batch without rows",
     IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DETECTOR) | IL__OF(IL_KIND_DATASET),
     bears_no_rows},
};

const il__group il__group_shapes = {"shapes", rows, sizeof rows / sizeof rows[0], true};
