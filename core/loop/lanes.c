/* Lane sums: see lanes.h. */
#include "loop/lanes.h"

#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"
#include "base/pages.h"

il_status il_lanes_open_parts(il_lanes *l, int count, int64_t floats, int64_t doubles,
                              const il_lane_part *parts, size_t part_count,
                              il_error *err)
{
    memset(l, 0, sizeof *l);
    l->parts = calloc(part_count + 1, sizeof *l->parts);
    if (l->parts == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "lanes", "out of memory");
    }
    if (pthread_mutex_init(&l->lock, NULL) != 0) {
        free(l->parts);
        l->parts = NULL;
        return il_error_set(err, IL_ERR_MEMORY, "lanes", "no mutex could be made");
    }
    if (part_count > 0) {
        memcpy(l->parts, parts, part_count * sizeof *parts);
    }
    l->part_count = part_count;
    l->count = count;
    l->floats = floats;
    l->doubles = doubles;
    return IL_OK;
}

il_status il_lanes_open(il_lanes *l, int count, int64_t floats, int64_t doubles,
                        il_error *err)
{
    const il_lane_part whole = {0, floats};

    return il_lanes_open_parts(l, count, floats, doubles, &whole, 1, err);
}

static void sum_free(il_lane_sum *s)
{
    free(s->grads);
    free(s->sums);
    free(s);
}

void il_lanes_close(il_lanes *l)
{
    il_lanes_reset(l);
    while (l->spare != NULL) {
        il_lane_sum *s = l->spare;

        l->spare = s->next;
        sum_free(s);
    }
    free(l->parts);
    l->parts = NULL;
    (void)pthread_mutex_destroy(&l->lock); /* nobody holds it here */
}

il_lane_sum *il_lanes_take(il_lanes *l)
{
    il_lane_sum *s;
    size_t bytes = ((size_t)l->floats * sizeof(float) + 63) / 64 * 64;

    pthread_mutex_lock(&l->lock);
    s = l->spare;
    if (s != NULL) {
        l->spare = s->next;
    }
    pthread_mutex_unlock(&l->lock);
    if (s == NULL) {
        s = calloc(1, sizeof *s);
        if (s == NULL) {
            return NULL;
        }
        s->grads = il_pages_zeroed(bytes);
        s->sums = calloc((size_t)l->doubles + 1, sizeof *s->sums);
        if (s->grads == NULL || s->sums == NULL) {
            sum_free(s);
            return NULL;
        }
    }
    for (size_t i = 0; i < l->part_count; i++) {
        const il_lane_part *part = &l->parts[i];

        memset(s->grads + part->first, 0,
               (size_t)(part->last - part->first) * sizeof *s->grads);
    }
    memset(s->sums, 0, (size_t)l->doubles * sizeof *s->sums);
    return s;
}

IL_CLONES static void add_into(float *restrict a, const float *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        a[i] += b[i];
    }
}

static void add_sums(const il_lanes *l, il_lane_sum *into, const il_lane_sum *from)
{
    for (int64_t i = 0; i < l->doubles; i++) {
        into->sums[i] += from->sums[i];
    }
}

static void put_back(il_lanes *l, il_lane_sum *s)
{
    s->next = l->spare;
    l->spare = s;
}

void il_lanes_give(il_lanes *l, int lane, il_lane_sum *sum)
{
    int level = 0;
    int width = l->count;

    pthread_mutex_lock(&l->lock);
    while (width > 1) {
        int sibling = lane ^ 1;

        if (sibling < width) {
            il_lane_sum *other = l->waiting[level][sibling];

            if (other == NULL) {
                l->waiting[level][lane] = sum;
                break;
            }
            l->waiting[level][sibling] = NULL;
            add_sums(l, sum, other);
            if (width == 2) {
                l->rest = other;
            } else {
                pthread_mutex_unlock(&l->lock);
                for (size_t i = 0; i < l->part_count; i++) {
                    const il_lane_part *part = &l->parts[i];

                    add_into(sum->grads + part->first, other->grads + part->first,
                             part->last - part->first);
                }
                pthread_mutex_lock(&l->lock);
                put_back(l, other);
            }
        }
        lane >>= 1;
        width = (width + 1) / 2;
        level++;
    }
    if (width == 1) {
        l->total = sum;
    }
    pthread_mutex_unlock(&l->lock);
}

void il_lanes_finish(il_lanes *l, int64_t from, int64_t count)
{
    if (l->rest != NULL) {
        add_into(l->total->grads + from, l->rest->grads + from, count);
    }
}

void il_lanes_reset(il_lanes *l)
{
    for (int level = 0; level < IL_LANE_LEVELS; level++) {
        for (int i = 0; i < IL_LANES_MAX; i++) {
            if (l->waiting[level][i] != NULL) {
                put_back(l, l->waiting[level][i]);
                l->waiting[level][i] = NULL;
            }
        }
    }
    if (l->total != NULL) {
        put_back(l, l->total);
        l->total = NULL;
    }
    if (l->rest != NULL) {
        put_back(l, l->rest);
        l->rest = NULL;
    }
}
