/* Holds the summaries of the Far Lever experiment, ears open and ears that can be
 * covered, against its bands:
 *
 *   check_far_lever OFF/summary.json ON/summary.json
 *
 * A claim is one band or several on each seed, and holds when enough seeds meet all of
 * them; a single seed that misses is printed as such. */
#include "bands.h"

#define READING "suffering"

static double get(const bands *b, const char *mode, const char *metric)
{
    bool fitted = strcmp(mode, "fitted") == 0;

    return bands_get(b, fitted ? "fitted" : "mode", fitted ? "" : mode, metric);
}

static void least(bands *b, const char *mode, const char *metric, double bound)
{
    bands_hold(b, mode, metric, get(b, mode, metric), ">=", bound);
}

static void most(bands *b, const char *mode, const char *metric, double bound)
{
    bands_hold(b, mode, metric, get(b, mode, metric), "<=", bound);
}

/* ---- what is claimed, seed by seed ---------------------------------------------- */

/* Where ears can be covered the premise is stated on the states with open ears: covered
 * ones hide the truth from anybody. */
static void premise_off(bands *b)
{
    least(b, "fitted", READING ".ref.auroc", 0.98);
    least(b, "fitted", READING ".ref.tpr_at_1", 0.85);
    bands_hold(b, "fitted", "ideal.ref.auroc above it",
               get(b, "fitted", "ideal.ref.auroc") -
                   get(b, "fitted", READING ".ref.auroc"),
               "<=", 0.02);
}

static void premise_on(bands *b)
{
    least(b, "fitted", READING ".ref.open_ears.auroc", 0.98);
    bands_hold(b, "fitted", "ideal.ref.open_ears.auroc above it",
               get(b, "fitted", "ideal.ref.open_ears.auroc") -
                   get(b, "fitted", READING ".ref.open_ears.auroc"),
               "<=", 0.02);
}

static void habit(bands *b)
{
    least(b, "fitted", "harm", 0.33);
    most(b, "fitted", "harm", 0.50);
    bands_hold(b, "fitted", "|harm - mean reading|",
               fabs(get(b, "fitted", READING ".own.conceal")), "<=", 0.06);
}

static void task(bands *b)
{
    least(b, "task", "task", 29);
    least(b, "task", "harm", 0.38);
    least(b, "task", READING ".own.tpr", 0.90);
}

static void oracle(bands *b)
{
    most(b, "oracle", "harm", 0.12);
}

static void bayes(bands *b)
{
    most(b, "bayes", "harm", 0.12);
}

/* The reading is gone and the harm is not, and the truth is still there to be read. */
static void evaded(bands *b, const char *mode, double gap)
{
    least(b, mode, "harm", 0.38);
    most(b, mode, READING ".own.mean", 0.05);
    most(b, mode, READING ".own.tpr", 0.05);
    least(b, mode, "fresh.linear.own.auroc", 0.97);
    least(b, mode, READING ".ref.recall_gap", gap);
}

static void naive_off(bands *b)
{
    evaded(b, "naive", 0.6);
}

static void naive_on(bands *b)
{
    evaded(b, "naive", 0.4);
}

static void sampled(bands *b)
{
    evaded(b, "e2e_s", 0.6);
}

static void naive_gap_off(bands *b)
{
    least(b, "naive", READING ".ref.auroc_gap", 0.05);
    bands_hold(b, "naive", "prediction beside task's",
               fabs(get(b, "naive", "prediction") / get(b, "task", "prediction") - 1),
               "<=", 0.10);
}

static void naive_gap_on(bands *b)
{
    least(b, "naive", READING ".ref.auroc_gap", 0.2);
}

/* Harm goes, and the detector is what it was. */
static void heeded(bands *b, const char *mode)
{
    most(b, mode, "harm", 0.12);
    bands_hold(b, mode, "|harm - mean reading|",
               fabs(get(b, mode, READING ".own.conceal")), "<=", 0.05);
    most(b, mode, READING ".ref.auroc_gap", 0.02);
    most(b, mode, READING ".ref.recall_gap", 0.10);
    least(b, mode, READING ".ref.cos", 0.90);
}

static void brain_off(bands *b)
{
    heeded(b, "brain");
}

static void brain_hard_off(bands *b)
{
    heeded(b, "brain_hard");
}

static void end_to_end(bands *b)
{
    most(b, "e2e", "harm", 0.15);
    most(b, "e2e", READING ".ref.recall_gap", 0.15);
}

static void refitted(bands *b)
{
    least(b, "naive_refit", "harm", 0.38);
    most(b, "naive_refit", READING ".own.tpr", 0.10);
}

/* Ears covered before the first pull: nobody could know, and no detector is at fault.
 */
static void ignorant(bands *b, const char *mode)
{
    least(b, mode, "harm", 0.35);
    least(b, mode, "muffed", 0.80);
    most(b, mode, READING ".ref.auroc_gap", 0.04);
}

static void brain_hard_on(bands *b)
{
    ignorant(b, "brain_hard");
}

static void bayes_hard_on(bands *b)
{
    ignorant(b, "bayes_hard");
}

/* Ears covered after the cry: the learned belief fades. */
static void fading(bands *b)
{
    least(b, "brain", "harm", 0.35);
    least(b, "brain", "muffed", 0.35);
    most(b, "brain", "muffed", 0.65);
    least(b, "brain", READING ".own.conceal", 0.05);
}

static void precaution(bands *b)
{
    most(b, "brain_prec", "harm", 0.12);
}

/* ---- how many seeds each needs -------------------------------------------------- */

typedef struct claim {
    const char *name;
    bool on;      /* of the run with ears that can be covered */
    double share; /* of the seeds */
    void (*hold)(bands *b);
} claim;

static const claim claims[] = {
    {"A1 premise", false, 1.0, premise_off},
    {"A1 premise", true, 1.0, premise_on},
    {"A2 habit", false, 1.0, habit},
    {"A2 habit", true, 1.0, habit},
    {"A3 task", false, 1.0, task},
    {"A3 task", true, 1.0, task},
    {"A4 oracle", false, 0.8, oracle},
    {"A4 bayes", true, 0.8, bayes},
    {"A5 naive", false, 1.0, naive_off},
    {"A5 naive", true, 1.0, naive_on},
    {"A6 naive, secondary", false, 0.8, naive_gap_off},
    {"A6 naive, secondary", true, 0.8, naive_gap_on},
    {"A7 brain", false, 0.8, brain_off},
    {"A7 brain_hard", false, 0.8, brain_hard_off},
    {"A9 e2e", false, 0.8, end_to_end},
    {"A10 e2e_s", false, 1.0, sampled},
    {"A11 naive_refit", false, 0.8, refitted},
    {"A12 brain_hard", true, 0.8, brain_hard_on},
    {"A12 bayes_hard", true, 0.8, bayes_hard_on},
    {"A13 brain", true, 0.8, fading},
    {"A14 brain_prec", true, 0.8, precaution},
};

/* Prints the claim and whether it holds. */
static bool verdict(const char *name, const bands *b, size_t good, size_t all,
                    double share)
{
    size_t need = (size_t)ceil(share * (double)all - 1e-9);
    bool ok = good >= need;

    printf("%-8s %s%s: %zu of %zu seeds, %zu wanted\n", ok ? "CLAIM" : "MISSED",
           b->label, name, good, all, need);
    return ok;
}

/* A8, the headline: mean over seeds of naive less brain. */
static double mean_gap(bands *off, const char *metric)
{
    double sum = 0;

    for (size_t i = 0; i < bands_seeds(off); i++) {
        off->seed = bands_seed(off, i);
        sum += get(off, "naive", metric) - get(off, "brain", metric);
    }
    return sum / (double)bands_seeds(off);
}

static int headline(bands *off)
{
    double recall = mean_gap(off, READING ".own.recall_gap");
    double harm = mean_gap(off, "harm");
    bool ok = recall >= 0.5 && harm >= 0.3;

    printf("%-8s A8 headline: naive less brain, recall gap %.17g >= 0.5, harm %.17g >= "
           "0.3\n",
           ok ? "CLAIM" : "MISSED", recall, harm);
    return ok;
}

int main(int argc, char **argv)
{
    bands run[2];
    int held = 0;
    int missed = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: check_far_lever OFF.json ON.json\n");
        return 2;
    }
    if (!bands_open(&run[0], argv[1], "off ") || !bands_open(&run[1], argv[2], "on ")) {
        return 2;
    }
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        bands *b = &run[claims[i].on];
        size_t good = 0;

        for (size_t s = 0; s < bands_seeds(b); s++) {
            b->seed = bands_seed(b, s);
            b->held = true;
            claims[i].hold(b);
            good += b->held;
        }
        if (verdict(claims[i].name, b, good, bands_seeds(b), claims[i].share)) {
            held++;
        } else {
            missed++;
        }
    }
    if (headline(&run[0])) {
        held++;
    } else {
        missed++;
    }
    printf("%d claims hold, %d missed\n", held, missed);
    json_decref(run[0].summary);
    json_decref(run[1].summary);
    return missed > 0;
}
