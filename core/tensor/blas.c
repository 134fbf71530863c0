/* OpenBLAS reads the kernel and the number of threads from the environment while it is
 * being loaded, and keeps them until the process ends. So this file has the one mutable
 * object of the core: what was loaded, behind a mutex. */
#include "tensor/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "tensor/panels.h"
#include "tensor/tiles.h"

/* Multiplications up to which a bias costs more than what it is added to gains, and
 * numbers of a turned matrix up to which it need not be packed. */
enum { FREE_BIAS = 1 << 20, FREE_TURNED = 1 << 18 };

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

void il_blas_gemm(const il_blas *blas, bool ta, bool tb, int64_t m, int64_t n,
                  int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (m <= 0 || n <= 0) {
        return;
    }
    if (k <= 0) {
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < n; j++) {
                c[i * ldc + j] = beta == 0.0f ? 0.0f : beta * c[i * ldc + j];
            }
        }
        return;
    }
    if (blas->tiles && !ta && il_panels_suit(tb, m, n, k)) {
        il_panels_gemm(false, tb, m, n, k, alpha, a, lda, b, ldb, beta, NULL, c, ldc);
        return;
    }
    if (blas->tiles && il_tiles_suit(m, n, k)) {
        il_tiles_gemm(blas->gemm, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    blas->gemm(IL_ROW_MAJOR, ta ? IL_TRANSPOSED : IL_PLAIN,
               tb ? IL_TRANSPOSED : IL_PLAIN, (int)m, (int)n, (int)k, alpha, a,
               (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

void il_blas_linear(const il_blas *blas, bool tb, int64_t m, int64_t n, int64_t k,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    const float *bias, float *c, int64_t ldc)
{
    /* As fast as OpenBLAS where nothing is to be turned, and the bias comes for free.
     * What is turned already a policy multiplies by many rows, then fewer and fewer: by
     * panels whatever their number, so that a row's bits are its own. */
    bool small =
        (!tb && n * k <= FREE_TURNED) || (bias != NULL && m * n * k <= FREE_BIAS);

    if (m > 0 && n > 0 && k > 0 && blas->tiles &&
        (small || il_panels_suit(tb, m, n, k))) {
        il_panels_gemm(false, tb, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, bias, c, ldc);
        return;
    }
    for (int64_t i = 0; bias != NULL && i < m; i++) {
        memcpy(c + i * ldc, bias, (size_t)n * sizeof *c);
    }
    il_blas_gemm(blas, false, tb, m, n, k, 1.0f, a, lda, b, ldb,
                 bias != NULL ? 1.0f : 0.0f, c, ldc);
}
