/* OpenBLAS reads the kernel and the number of threads from the environment while it is
 * being loaded, and keeps them until the process ends. So this file has the one mutable
 * object of the core: what was loaded, behind a mutex. */
#include "tensor/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tensor/packed.h"
#include "tensor/panels.h"
#include "tensor/tiles.h"

/* Multiplications up to which a bias costs more than what it is added to gains, and
 * numbers of a turned matrix up to which it need not be packed. */
enum { FREE_BIAS = 1 << 20, FREE_TURNED = 1 << 18 };

/* Columns that OpenBLAS makes at once of a product of more multiplications than this,
 * so that it can be cut. */
enum { STRIP = 256 };
static const double LARGE = 1 << 24;

typedef char *get_text(void);
typedef void set_threads(int count);

struct il_blas {
    void *library; /* NULL until it is loaded */
    bool portable;
    bool tiles; /* the kernel multiplies small matrices where they lie, on a processor
                   for which panels are made */
    il_sgemm *gemm;
    const char *kernel;
    const char *version;
};

static struct il_blas loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* The kernel to ask for; NULL leaves it to OpenBLAS, on a processor without AVX2. */
static const char *choose_kernel(bool portable)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");

    if (!portable && avx2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
        return "SkylakeX";
    }
    return avx2 ? "Haswell" : NULL;
#else
    (void)portable;
    return NULL;
#endif
}

/* A function of the library; POSIX lets an object pointer hold one. */
static bool find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);

    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static il_status load(struct il_blas *b, bool portable, il_error *err)
{
    const char *kernel = choose_kernel(portable);
    get_text *corename;
    get_text *config;
    set_threads *threads;
    void *library;

    if (portable && kernel == NULL) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "OpenBLAS",
                            "numerics: portable runs the Haswell kernel, but this "
                            "processor has no AVX2 with FMA; use numerics: native");
    }
    if ((kernel != NULL && setenv("OPENBLAS_CORETYPE", kernel, 1) != 0) ||
        setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0) {
        return il_error_set(err, IL_ERR_MEMORY, "OpenBLAS",
                            "no memory for its environment");
    }
    library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "OpenBLAS",
                            "cannot load libopenblas.so.0; on Debian, install the "
                            "package libopenblas0-pthread (%s)",
                            dlerror());
    }
    if (!find(library, "cblas_sgemm", &b->gemm) ||
        !find(library, "openblas_get_corename", &corename) ||
        !find(library, "openblas_get_config", &config) ||
        !find(library, "openblas_set_num_threads", &threads)) {
        (void)dlclose(library);
        return il_error_set(err, IL_ERR_UNSUPPORTED, "OpenBLAS",
                            "libopenblas.so.0 lacks a function that is needed; on "
                            "Debian, install the package libopenblas0-pthread");
    }
    threads(1);
    b->kernel = corename();
    b->version = config();
    if (kernel != NULL && strcasecmp(b->kernel, kernel) != 0) {
        il_error_set(err, IL_ERR_UNSUPPORTED, "OpenBLAS",
                     "asked for the kernel %s, got %s; was the library loaded "
                     "before, or built without it?",
                     kernel, b->kernel);
        (void)dlclose(library);
        return IL_ERR_UNSUPPORTED;
    }
    b->tiles = strcasecmp(b->kernel, "SkylakeX") == 0;
    b->portable = portable;
    b->library = library;
    return IL_OK;
}

il_status il_blas_open(const il_blas **out, bool portable, il_error *err)
{
    il_status status = IL_OK;

    (void)pthread_mutex_lock(&loading); /* fails for no mutex of this kind */
    if (loaded.library == NULL) {
        status = load(&loaded, portable, err);
    } else if (loaded.portable != portable) {
        status = il_error_set(
            err, IL_ERR_UNSUPPORTED, "OpenBLAS",
            "asked for numerics: %s, but this process runs %s (%s) already; use one "
            "numerics a process",
            portable ? "portable" : "native", portable ? "native" : "portable",
            loaded.kernel);
    }
    (void)pthread_mutex_unlock(&loading);
    if (status == IL_OK) {
        *out = &loaded;
    }
    return status;
}

const char *il_blas_kernel(const il_blas *blas)
{
    return blas->kernel;
}

const char *il_blas_version(const il_blas *blas)
{
    return blas->version;
}

bool il_blas_fused(const il_blas *blas)
{
    return blas->tiles;
}

/* A product, and what of it is to be made. */
typedef struct product {
    const il_blas *blas;
    bool ta, tb;
    int64_t m, n, k;
    float alpha;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    const float *bias; /* where beta is 0; or NULL */
    float *c;
    int64_t ldc;
} product;

static product columns_of(const product *p, int64_t from, int64_t to)
{
    product part = *p;

    part.n = to - from;
    part.b += p->tb ? from * p->ldb : from;
    part.bias = p->bias != NULL ? p->bias + from : NULL;
    part.c += from;
    return part;
}

static product rows_of(const product *p, int64_t from, int64_t to)
{
    product part = *p;

    part.m = to - from;
    part.a += p->ta ? from : from * p->lda;
    part.c += from * p->ldc;
    return part;
}

static void pack(const product *p)
{
    il_packed_gemm(p->ta, p->tb, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb,
                   p->beta, p->bias, p->c, p->ldc);
}

static void pack_columns(void *user, int64_t from, int64_t to, int worker)
{
    (void)worker;
    const product part = columns_of(user, from, to);

    pack(&part);
}

static void pack_rows(void *user, int64_t from, int64_t to, int worker)
{
    (void)worker;
    const product part = rows_of(user, from, to);

    pack(&part);
}

/* Where the bias cannot be had for nothing. */
static float add_bias(const product *p)
{
    for (int64_t i = 0; p->bias != NULL && i < p->m; i++) {
        memcpy(p->c + i * p->ldc, p->bias, (size_t)p->n * sizeof *p->c);
    }
    return p->bias != NULL ? 1.0f : p->beta;
}

static void open_blas(const product *p)
{
    const float beta = add_bias(p);

    p->blas->gemm(IL_ROW_MAJOR, p->ta ? IL_TRANSPOSED : IL_PLAIN,
                  p->tb ? IL_TRANSPOSED : IL_PLAIN, (int)p->m, (int)p->n, (int)p->k,
                  p->alpha, p->a, (int)p->lda, p->b, (int)p->ldb, beta, p->c,
                  (int)p->ldc);
}

/* Its bits depend on how many columns a call has, so they are always as many. */
static void open_columns(void *user, int64_t from, int64_t to, int worker)
{
    (void)worker;
    for (int64_t j = from; j < to; j += STRIP) {
        const product part = columns_of(user, j, to - j < STRIP ? to : j + STRIP);

        open_blas(&part);
    }
}

static void multiply(const product *p, il_pool *team)
{
    const double work = (double)p->m * (double)p->n * (double)p->k;
    product whole = *p;

    if (p->blas->tiles && il_packed_suit(p->m, p->n, p->k)) {
        /* Each part packs the whole of what is not cut. */
        if (p->m < p->n) {
            il_team_share(team, p->n, IL_PACKED_COLUMNS, pack_columns, &whole);
        } else {
            il_team_share(team, p->m, IL_PACKED_ROWS, pack_rows, &whole);
        }
    } else if (p->blas->tiles && il_tiles_suit(p->m, p->n, p->k)) {
        il_tiles_gemm(p->blas->gemm, p->ta, p->tb, p->m, p->n, p->k, p->alpha, p->a,
                      p->lda, p->b, p->ldb, add_bias(p), p->c, p->ldc);
    } else if (!p->blas->tiles && work >= LARGE) {
        il_team_share(team, p->n, STRIP, open_columns, &whole);
    } else {
        open_blas(p);
    }
}

void il_blas_gemm_by(const il_blas *blas, il_pool *team, bool ta, bool tb, int64_t m,
                     int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                     const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    const product p = {.blas = blas,
                       .ta = ta,
                       .tb = tb,
                       .m = m,
                       .n = n,
                       .k = k,
                       .alpha = alpha,
                       .a = a,
                       .lda = lda,
                       .b = b,
                       .ldb = ldb,
                       .beta = beta,
                       .c = c,
                       .ldc = ldc};

    if (m <= 0 || n <= 0) {
        return;
    }
    if (k <= 0) {
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++) {
                c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
            }
        }
    } else if (blas->tiles && !ta && il_panels_suit(tb, m, n, k)) {
        il_panels_gemm(false, tb, m, n, k, alpha, a, lda, b, ldb, beta, NULL, c, ldc);
    } else {
        multiply(&p, team);
    }
}

void il_blas_gemm(const il_blas *blas, bool ta, bool tb, int64_t m, int64_t n,
                  int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float beta, float *c, int64_t ldc)
{
    il_blas_gemm_by(blas, NULL, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void il_blas_linear(const il_blas *blas, il_pool *team, bool tb, int64_t m, int64_t n,
                    int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    const float *bias, float *c, int64_t ldc)
{
    /* As fast as OpenBLAS where nothing is to be turned, and the bias comes for free.
     * What is turned already a policy multiplies by many rows, then fewer and fewer: by
     * panels whatever their number, so that a row's bits are its own. */
    const bool small =
        (!tb && n * k <= FREE_TURNED) || (bias != NULL && m * n * k <= FREE_BIAS);
    const product p = {.blas = blas,
                       .tb = tb,
                       .m = m,
                       .n = n,
                       .k = k,
                       .alpha = 1.0f,
                       .a = a,
                       .lda = lda,
                       .b = b,
                       .ldb = ldb,
                       .bias = bias,
                       .c = c,
                       .ldc = ldc};

    if (m <= 0 || n <= 0) {
        return;
    }
    if (k > 0 && blas->tiles && (small || il_panels_suit(tb, m, n, k))) {
        il_panels_gemm(false, tb, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, bias, c, ldc);
    } else if (k > 0) {
        multiply(&p, team);
    } else {
        il_blas_gemm(blas, false, tb, m, n, k, 1.0f, a, lda, b, ldb, add_bias(&p), c,
                     ldc);
    }
}
