/* Parts of an op: see team.h. */
#include "tensor/team.h"

#include <stddef.h>

/* Numbers below which waking a worker costs more than it saves. */
enum { WORTH = 1 << 14, PARTS_MAX = 1024 };

typedef struct sharing {
    int64_t count, grain;
    int64_t grains;
    int parts;
    il_share *part;
    void *user;
} sharing;

static int64_t boundary(const sharing *s, int i)
{
    const int64_t at = s->grains * i / s->parts * s->grain;

    return at < s->count ? at : s->count;
}

static void run_part(void *user, int task, int worker)
{
    const sharing *s = user;

    s->part(s->user, boundary(s, task), boundary(s, task + 1), worker);
}

void il_team_share(il_pool *team, int64_t count, int64_t grain, il_share *part,
                   void *user)
{
    sharing s = {.count = count, .grain = grain, .part = part, .user = user};

    if (count <= 0) {
        return;
    }
    s.grains = (count + grain - 1) / grain;
    s.parts = il_team_workers(team);
    s.parts = s.parts < PARTS_MAX ? s.parts : PARTS_MAX;
    s.parts = s.grains < s.parts ? (int)s.grains : s.parts;
    if (s.parts == 1) {
        part(user, 0, count, 0);
        return;
    }
    il_pool_run(team, s.parts, run_part, &s);
}

int il_team_workers(const il_pool *team)
{
    return team != NULL ? il_pool_workers(team) : 1;
}

int64_t il_team_rows(int64_t width)
{
    return width > 0 && width < WORTH ? WORTH / width : 1;
}
