/* The figures of many runs: a panel or a line for each pressed arm while they are few,
 * clouds of all seeds when they are many. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/figure.h"
#include "report/html.h"
#include "report/overview.h"

static const char *const roles[] = {"run", "twin", "placebo", "other"};

/* Adds an arm's seeds to a figure's CSV: two values, and the names of what they are. */
static void add_data(il__figure *f, const il__brief *b, il__brief_value x,
                     il__brief_value y, bool named)
{
    for (size_t i = 0; i < b->seed_count; i++) {
        il__csv_text(&f->csv, b->run);
        il__csv_text(&f->csv, b->arm);
        il__csv_text(&f->csv, roles[b->role]);
        il__csv_integer(&f->csv, b->seeds[i].seed);
        if (named) {
            il__csv_text(&f->csv, b->reading);
            il__csv_text(&f->csv, b->behaviour);
        }
        il__csv_number(&f->csv, b->seeds[i].value[x]);
        il__csv_number(&f->csv, b->seeds[i].value[y]);
        il__csv_end(&f->csv);
    }
}

static void add_all_data(const il__briefs *all, il__figure *behaviour,
                         il__figure *health)
{
    static const char *const first[] = {
        "run",     "arm",       "role", "seed", "reading metric", "behaviour metric",
        "reading", "behaviour", NULL};
    static const char *const second[] = {"run",    "arm",          "role", "seed",
                                         "recall", "fresh recall", NULL};

    il__figure_columns(behaviour, first);
    il__figure_columns(health, second);
    for (size_t i = 0; i < all->count; i++) {
        add_data(behaviour, all->items[i], IL__BRIEF_READING, IL__BRIEF_BEHAVIOUR,
                 true);
        add_data(health, all->items[i], IL__BRIEF_RECALL, IL__BRIEF_FRESH, false);
    }
}

/* Whether two arms measured the same things. */
static bool alike(const il__brief *a, const il__brief *b)
{
    return strcmp(a->behaviour, b->behaviour) == 0 &&
           strcmp(a->reading, b->reading) == 0;
}

/* How far a value reaches over all arms that are like one. */
static il__axis fit(const il__briefs *all, const il__brief *like, il__brief_value value,
                    const char *label)
{
    il__axis axis = {.label = label};
    double low = INFINITY;
    double high = -INFINITY;

    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        for (size_t s = 0; s < b->seed_count && alike(b, like); s++) {
            double v = b->seeds[s].value[value];

            if (isfinite(v)) {
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
    }
    il__axis_fit(&axis, low, high);
    return axis;
}

/* ---- few: a panel and a line each -------------------------------------------------
 */

static const il__brief_seed *seed_of(const il__brief *b, int64_t seed)
{
    for (size_t i = 0; b != NULL && i < b->seed_count; i++) {
        if (b->seeds[i].seed == seed) {
            return &b->seeds[i];
        }
    }
    return NULL;
}

static void add_dots(il__plot *p, const il__brief *b, const il__brief *from,
                     il__shape shape, il__hue hue)
{
    for (size_t i = 0; b != NULL && i < b->seed_count; i++) {
        const il__brief_seed *other = seed_of(from, b->seeds[i].seed);
        double x[2] = {0, b->seeds[i].value[IL__BRIEF_READING]};
        double y[2] = {0, b->seeds[i].value[IL__BRIEF_BEHAVIOUR]};
        char tip[200];

        if (other != NULL) {
            x[0] = other->value[IL__BRIEF_READING];
            y[0] = other->value[IL__BRIEF_BEHAVIOUR];
            il__plot_line(p, x, y, 2, IL__HUE_MUTED, IL__DOTTED);
        }
        (void)snprintf(tip, sizeof tip, "%s, seed %lld", b->arm,
                       (long long)b->seeds[i].seed);
        il__plot_mark(p, x[1], y[1], shape, hue, tip);
    }
}

static bool any_value(const il__brief *b, il__brief_value value)
{
    return isfinite(il__brief_mean(b, value));
}

static void add_panels(const il__briefs *all, il__figure *f)
{
    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];
        il__plot p = {.title = b->label, .width = IL__PANEL_SMALL};

        if (b->role != IL__BRIEF_PRESSED || !any_value(b, IL__BRIEF_BEHAVIOUR) ||
            !any_value(b, IL__BRIEF_READING)) {
            continue;
        }
        p.x = fit(all, b, IL__BRIEF_READING, "reading");
        p.y = fit(all, b, IL__BRIEF_BEHAVIOUR, b->behaviour);
        for (size_t k = 0; k < b->placebo_count; k++) {
            add_dots(&p, b->placebos[k], NULL, IL__CROSS, IL__HUE_B);
        }
        add_dots(&p, b->twin, NULL, IL__RING, IL__HUE_INK);
        add_dots(&p, b, b->twin, IL__DISC, IL__HUE_A);
        il__figure_panel(f, &p);
    }
}

static void add_row_marks(il__plot *p, const il__brief *b, il__brief_value value,
                          size_t line, il__shape shape, il__hue hue)
{
    for (size_t i = 0; b != NULL && i < b->seed_count; i++) {
        char tip[200];

        (void)snprintf(tip, sizeof tip, "%s, seed %lld", b->arm,
                       (long long)b->seeds[i].seed);
        il__plot_mark(p, b->seeds[i].value[value],
                      (double)line + il__plot_spread(i, b->seed_count), shape, hue,
                      tip);
    }
}

static void add_lines(const il__briefs *all, il__figure *f)
{
    const char *labels[IL__OVERVIEW_APART];
    const il__brief *shown[IL__OVERVIEW_APART];
    il__plot p = {.title = "Recall at the first threshold",
                  .x = {0, 1, "recall (share)", false},
                  .rows = labels};

    for (size_t i = 0; i < all->count && p.row_count < IL__OVERVIEW_APART; i++) {
        const il__brief *b = all->items[i];

        if (b->role == IL__BRIEF_PRESSED && any_value(b, IL__BRIEF_RECALL)) {
            labels[p.row_count] = b->label;
            shown[p.row_count++] = b;
        }
    }
    if (p.row_count == 0) {
        return;
    }
    for (size_t i = 0; i < p.row_count; i++) {
        add_row_marks(&p, shown[i]->twin, IL__BRIEF_RECALL, i, IL__RING, IL__HUE_INK);
        add_row_marks(&p, shown[i], IL__BRIEF_FRESH, i, IL__TRIANGLE, IL__HUE_B);
        add_row_marks(&p, shown[i], IL__BRIEF_RECALL, i, IL__DIAMOND, IL__HUE_A);
    }
    il_text_addf(&p.said, "%zu arms from top to bottom, a mark for each seed.",
                 p.row_count);
    il__figure_panel(f, &p);
}

/* ---- many: clouds -----------------------------------------------------------------
 */

/* All seeds of the arms of one role that are like one (NULL: of all) as one cloud. */
static void add_cloud(const il__briefs *all, const il__brief *like, il__plot *p,
                      il__brief_value x, il__brief_value y, il__brief_role role,
                      il__shape shape, il__hue hue)
{
    size_t room = 1;
    size_t count = 0;
    double *points;

    for (size_t i = 0; i < all->count; i++) {
        room += all->items[i]->role == role ? all->items[i]->seed_count : 0;
    }
    points = calloc(room, 2 * sizeof *points);
    if (points == NULL) {
        p->marks.failed = true;
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        for (size_t s = 0; b->role == role && s < b->seed_count; s++) {
            if (like == NULL || alike(b, like)) {
                points[count] = b->seeds[s].value[x];
                points[room + count++] = b->seeds[s].value[y];
            }
        }
    }
    il__plot_cloud(p, points, points + room, count, shape, hue);
    free(points);
}

static void add_clouds(const il__briefs *all, il__figure *f)
{
    enum { KINDS = 12 };
    const il__brief *kinds[KINDS];
    size_t count = 0;

    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];
        char title[2 * IL__FOCUS_NAME];
        il__plot p = {.title = title};
        size_t k = 0;

        if (b->role != IL__BRIEF_PRESSED || !any_value(b, IL__BRIEF_BEHAVIOUR) ||
            !any_value(b, IL__BRIEF_READING)) {
            continue;
        }
        while (k < count && !alike(kinds[k], b)) {
            k++;
        }
        if (k < count || count == KINDS) {
            continue;
        }
        kinds[count++] = b;
        (void)snprintf(title, sizeof title, "%s against %s", b->behaviour, b->reading);
        p.x = fit(all, b, IL__BRIEF_READING, "mean reading (probability)");
        p.y = fit(all, b, IL__BRIEF_BEHAVIOUR, b->behaviour);
        add_cloud(all, b, &p, IL__BRIEF_READING, IL__BRIEF_BEHAVIOUR, IL__BRIEF_PLACEBO,
                  IL__CROSS, IL__HUE_B);
        add_cloud(all, b, &p, IL__BRIEF_READING, IL__BRIEF_BEHAVIOUR, IL__BRIEF_TWIN,
                  IL__RING, IL__HUE_INK);
        add_cloud(all, b, &p, IL__BRIEF_READING, IL__BRIEF_BEHAVIOUR, IL__BRIEF_PRESSED,
                  IL__DISC, IL__HUE_A);
        il__figure_panel(f, &p);
    }
}

/* Each seed's recall against its twin's, where both were measured. */
static void add_twin_cloud(const il__briefs *all, il__figure *f)
{
    static const double diagonal[] = {0, 1};
    il__plot p = {.title = "Under pressure against the twin",
                  .x = {0, 1, "recall of the same detector in the twin", false},
                  .y = {0, 1, "recall under pressure", false}};
    size_t room = 1;
    size_t count = 0;
    double *points;

    for (size_t i = 0; i < all->count; i++) {
        room += all->items[i]->twin != NULL ? all->items[i]->seed_count : 0;
    }
    points = calloc(room, 2 * sizeof *points);
    if (points == NULL) {
        f->panels.failed = true;
        return;
    }
    for (size_t i = 0; i < all->count; i++) {
        const il__brief *b = all->items[i];

        for (size_t s = 0; b->twin != NULL && s < b->seed_count; s++) {
            const il__brief_seed *other = seed_of(b->twin, b->seeds[s].seed);

            if (other != NULL) {
                points[count] = other->value[IL__BRIEF_RECALL];
                points[room + count++] = b->seeds[s].value[IL__BRIEF_RECALL];
            }
        }
    }
    if (count > 0) {
        il__plot_line(&p, diagonal, diagonal, 2, IL__HUE_MUTED, IL__DASHED);
        il__plot_cloud(&p, points, points + room, count, IL__DISC, IL__HUE_A);
        il__figure_panel(f, &p);
    }
    free(points);
}

static void add_fresh_cloud(const il__briefs *all, il__figure *f)
{
    static const double diagonal[] = {0, 1};
    il__plot p = {.title = "Frozen against fresh",
                  .x = {0, 1, "recall of a fresh reader", false},
                  .y = {0, 1, "recall of the frozen detector", false}};
    bool any = false;

    for (size_t i = 0; i < all->count; i++) {
        any = any || any_value(all->items[i], IL__BRIEF_FRESH);
    }
    if (!any) {
        return;
    }
    il__plot_line(&p, diagonal, diagonal, 2, IL__HUE_MUTED, IL__DASHED);
    add_cloud(all, NULL, &p, IL__BRIEF_FRESH, IL__BRIEF_RECALL, IL__BRIEF_TWIN,
              IL__RING, IL__HUE_INK);
    add_cloud(all, NULL, &p, IL__BRIEF_FRESH, IL__BRIEF_RECALL, IL__BRIEF_PRESSED,
              IL__DISC, IL__HUE_A);
    il__figure_panel(f, &p);
}

/* ---- both -------------------------------------------------------------------------
 */

static void add_roles(const il__briefs *all, il__figure *f, bool placebos)
{
    il__figure_key(f, IL__DISC, IL__HUE_A, "a seed under pressure");
    il__figure_key(f, IL__RING, IL__HUE_INK, "its twin without pressure");
    for (size_t i = 0; placebos && i < all->count; i++) {
        if (all->items[i]->role == IL__BRIEF_PLACEBO) {
            il__figure_key(f, IL__CROSS, IL__HUE_B, "a placebo");
            break;
        }
    }
}

void il__overview_figures(const il__briefs *all, il_text *html)
{
    bool few = all->pressed <= IL__OVERVIEW_APART;
    il__figure behaviour = {.id = "behaviour-against-reading"};
    il__figure health = {.id = "health"};

    add_all_data(all, &behaviour, &health);
    il_text_add(html, few ? "<section class=\"across\">" : "<section>");
    il_text_add(html, "<h3>Behaviour and what the detector reads</h3>\n");
    if (few) {
        add_panels(all, &behaviour);
    } else {
        add_clouds(all, &behaviour);
    }
    add_roles(all, &behaviour, true);
    if (behaviour.panels.size == 0) {
        il_text_add(html, "<p class=\"missing\">Nobody measured a behaviour and a "
                          "detector&rsquo;s mean reading under pressure.</p>\n");
    }
    il__figure_end(&behaviour,
                   "Up: the behaviour. Right: the detector&rsquo;s mean reading. All "
                   "seeds of all runs.",
                   html);
    il_text_add(html, few ? "</section>\n<section class=\"across\">"
                          : "</section>\n<section>");
    il_text_add(html, "<h3>The detectors&rsquo; health</h3>\n");
    if (few) {
        add_lines(all, &health);
        il__figure_key(&health, IL__DIAMOND, IL__HUE_A, "the frozen detector");
        il__figure_key(&health, IL__TRIANGLE, IL__HUE_B, "a fresh linear reader");
        il__figure_key(&health, IL__RING, IL__HUE_INK, "the frozen one in the twin");
    } else {
        add_twin_cloud(all, &health);
        add_fresh_cloud(all, &health);
        add_roles(all, &health, false);
    }
    if (health.panels.size == 0) {
        il_text_add(html, "<p class=\"missing\">No recall was measured.</p>\n");
    }
    il__figure_end(
        &health,
        few ? "Recall at the threshold that was set before training."
            : "Recall at the threshold that was set before training. Below the "
              "dashed line it has fallen; or a fresh reader finds what the "
              "frozen detector no longer does.",
        html);
    il_text_add(html, "</section>\n");
}
