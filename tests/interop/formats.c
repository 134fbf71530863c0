/* The C side of check_formats.sh: writes samples into a folder, or prints what a file
 * holds. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "formats/safetensors.h"
#include "formats/tfevents.h"

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const double scalar = 0.5;
static const uint8_t flags[3] = {1, 0, 1};
static const int64_t steps[2] = {-1, (int64_t)1 << 40};

static il_status write_tensors(const char *path, il_error *err)
{
    const il_safetensor tensors[] = {
        {"flags", {IL_CODE_BOOL, 8, 1}, 1, {3}, flags, sizeof flags},
        {"weights", {IL_CODE_FLOAT, 32, 1}, 2, {2, 3}, weights, sizeof weights},
        {"none", {IL_CODE_FLOAT, 32, 1}, 2, {0, 7}, NULL, 0},
        {"scalar", {IL_CODE_FLOAT, 64, 1}, 0, {0}, &scalar, sizeof scalar},
        {"steps", {IL_CODE_INT, 64, 1}, 1, {2}, steps, sizeof steps}};
    const il_safetensors_pair notes[] = {{"step", "12"}, {"by", "a \"b\"\n\xc3\xa4"}};

    return il_safetensors_write(path, tensors, 5, notes, 2, err);
}

static il_status write_events(const char *path, il_error *err)
{
    static const float sample[5] = {-1.5f, 0, 0.25f, 0.25f, 4};
    il_tfevents *file = NULL;
    il_histogram h = {0};

    il_histogram_see(&h, sample, 5);
    il_histogram_cut(&h);
    il_histogram_add(&h, sample, 5);
    IL_TRY(il_tfevents_open(&file, path, INT64_MAX, 1e9, err));
    for (int i = 0; i < 5; i++) {
        IL_TRY(
            il_tfevents_add(file, 1e9 + i, i * 1000, "probe/auroc", (float)i / 4, err));
    }
    IL_TRY(il_tfevents_add_histogram(file, 1e9, 4000, "weights/all", &h, err));
    return il_tfevents_close(file, err);
}

/* One line a tensor: name, dtype, shape, then its bytes in hexadecimal. */
static il_status print_tensors(const char *path, il_error *err)
{
    il_safetensors *file = NULL;

    IL_TRY(il_safetensors_open(&file, path, err));
    for (size_t i = 0; i < il_safetensors_count(file); i++) {
        const il_safetensor *t = il_safetensors_at(file, i);

        printf("%s %s [", t->name, il_safetensors_dtype_name(t->dtype));
        for (int32_t d = 0; d < t->ndim; d++) {
            printf("%s%" PRId64, d > 0 ? "," : "", t->shape[d]);
        }
        printf("] ");
        for (size_t b = 0; b < t->bytes; b++) {
            printf("%02x", ((const unsigned char *)t->data)[b]);
        }
        printf("\n");
    }
    il_safetensors_close(file);
    return IL_OK;
}

int main(int argc, char **argv)
{
    il_error err = {0};
    il_status status = IL_ERR_INPUT;

    if (argc == 3 && strcmp(argv[1], "tensors") == 0) {
        status = write_tensors(argv[2], &err);
    } else if (argc == 3 && strcmp(argv[1], "events") == 0) {
        status = write_events(argv[2], &err);
    } else if (argc == 3 && strcmp(argv[1], "print") == 0) {
        status = print_tensors(argv[2], &err);
    }
    if (status != IL_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.message);
    }
    return status == IL_OK ? 0 : 1;
}
