/* Times the fit of logistic regression to rows on disk, on one core.
 *
 *   bench_fit ROWS CHANNELS FILE LOSS
 *
 * FILE is that of fit_sklearn.py, and LOSS what was reached there. Prints the best time
 * of three for as many iterations as reach that loss, and for all of them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "detect/lbfgs.h"
#include "tensor/kernels.h"

enum { ROUNDS = 3 };

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double loss_at(const il_irls *p, const double *w)
{
    double sum = 0;
    double squares = 0;

    for (int64_t i = 0; i < p->rows; i++) {
        double z = il_k_dot_double(w, p->x + i * p->width, p->width) + w[p->width];

        z = p->labels[i] != 0 ? -z : z;
        sum += (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
    }
    for (int64_t c = 0; c < p->width; c++) {
        squares += w[c] * w[c];
    }
    return sum / (double)p->rows + 0.5 * p->l2 * squares;
}

/* The best time of ROUNDS, negative when a fit fails; its weights in w. */
static double time_fit(const il_irls *p, const il_blas *blas, double *w, il_error *err)
{
    double best = INFINITY;

    for (int r = 0; r < ROUNDS; r++) {
        double start = now();

        memset(w, 0, (size_t)(p->width + 1) * sizeof *w);
        if (il_lbfgs_solve(p, blas, w, "bench", err) != IL_OK) {
            return -1;
        }
        best = fmin(best, now() - start);
    }
    return best;
}

int main(int argc, char **argv)
{
    il_irls problem = {.l2 = 1e-3};
    const il_blas *blas = NULL;
    il_error err = {.code = IL_OK};
    double loss = argc == 5 ? strtod(argv[4], NULL) : 0;
    float *x = NULL;
    uint8_t *labels = NULL;
    double *w = NULL;
    FILE *file = argc == 5 ? fopen(argv[3], "rb") : NULL;
    double seconds = -1;
    size_t cells;

    if (file == NULL) {
        fprintf(stderr, "usage: bench_fit ROWS CHANNELS FILE LOSS\n");
        return 2;
    }
    problem.rows = strtoll(argv[1], NULL, 10);
    problem.width = strtoll(argv[2], NULL, 10);
    cells = (size_t)(problem.rows * problem.width);
    x = malloc(cells * sizeof *x + 1);
    labels = malloc((size_t)problem.rows + 1);
    w = malloc((size_t)(problem.width + 1) * sizeof *w);
    if (x == NULL || labels == NULL || w == NULL ||
        fread(x, sizeof *x, cells, file) != cells ||
        fread(labels, 1, (size_t)problem.rows, file) != (size_t)problem.rows) {
        fprintf(stderr, "%s: expected %s rows of %s channels\n", argv[3], argv[1],
                argv[2]);
        goto out;
    }
    problem.x = x;
    problem.labels = labels;
    if (il_blas_open(&blas, false, &err) != IL_OK) {
        goto failed;
    }
    do {
        problem.iterations++;
        memset(w, 0, (size_t)(problem.width + 1) * sizeof *w);
        if (il_lbfgs_solve(&problem, blas, w, "bench", &err) != IL_OK) {
            goto failed;
        }
    } while (loss_at(&problem, w) > loss && problem.iterations < IL_LBFGS_ITERATIONS);
    seconds = time_fit(&problem, blas, w, &err);
    printf("  lbfgs, %lld iterations %8.3f s, loss %.9f\n",
           (long long)problem.iterations, seconds, loss_at(&problem, w));
    problem.iterations = 0;
    seconds = time_fit(&problem, blas, w, &err);
    printf("  lbfgs, to its optimum %8.3f s, loss %.9f\n", seconds,
           loss_at(&problem, w));
failed:
    if (err.code != IL_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.message);
    }
out:
    free(x);
    free(labels);
    free(w);
    (void)fclose(file);
    return seconds > 0 ? 0 : 1;
}
