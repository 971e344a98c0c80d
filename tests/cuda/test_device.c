/* The device as a program meets it: opening, transfers, failures told in words, memory that runs
 * out, recorded launches, the precisions of matrix products. In the emulator; what needs no plugin
 * is tested without one too. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/functions.h"
#include "ops/check.h"
#include "tests/lib/emulator.h"

static const char *refusal(const char *spec) {
    static mg_error err;
    mg_device device;
    const mg_device_plugin *p;
    err = (mg_error){0};
    mg_device_open(spec, &device, &p, &err);
    return err.message;
}

Test(device, wrong_names_are_refused_in_one_line) {
    cr_expect(strstr(refusal("toaster"), "no device toaster"));
    cr_expect(strstr(refusal("cuda:x"), "cuda:1"), "%s", refusal("cuda:x"));
    cr_expect(strstr(refusal("cuda:1 "), "cuda:1"), "%s", refusal("cuda:1 "));
    cr_expect_str_empty(refusal("cpu"));
    cr_expect_str_empty(refusal("reference"));
}

/* Where a driver is, this opens or says why not; where none is, it must say that plainly. */
Test(device, cuda_without_a_driver_says_so) {
    const char *why = refusal("cuda");
    cr_expect(!*why || strstr(why, "--device cuda"), "%s", why);
    cr_expect(!strchr(why, '\n'));
}

Test(device, running_on_the_cpu_loads_nothing_of_cuda) {
    cr_expect_str_empty(refusal("cpu"));
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];
    while (maps && fgets(line, sizeof line, maps))
        cr_expect(!strstr(line, "libcuda") && !strstr(line, "libcublas") &&
                      !strstr(line, "libmammograd_"),
                  "%s", line);
    if (maps) fclose(maps);
}

EMULATOR_TEST(device, an_ordinal_that_is_not_there) {
    cr_expect(strstr(refusal("simt:7"), "there is no device 7"), "%s", refusal("simt:7"));
}

/* More than both staging buffers together, odd sizes, written while the caller reuses its
 * memory. */
EMULATOR_TEST(device, transfers_keep_every_byte) {
    const mg_memory *m = emulator->memory;
    size_t sizes[] = {1, 17, 4096, ((size_t)8 << 20) + 3, ((size_t)24 << 20) + 1};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k];
        unsigned char *host = malloc(n), *back = malloc(n);
        void *a = m->alloc(n, "a"), *b = m->alloc(n, "b");
        cr_assert(host && back && a && b);
        for (size_t i = 0; i < n; i++) host[i] = (unsigned char)(i * 31 + i / 251);
        m->write(a, host, n);
        memset(host, 0xEE, n);
        m->copy(b, a, n);
        m->zero(a, n);
        m->read(back, b, n);
        size_t wrong = 0;
        for (size_t i = 0; i < n; i++) wrong += back[i] != (unsigned char)(i * 31 + i / 251);
        m->read(back, a, n);
        for (size_t i = 0; i < n; i++) wrong += back[i] != 0;
        cr_expect_eq(wrong, 0, "%zu of %zu bytes", wrong, n);
        m->free(a);
        m->free(b);
        free(host);
        free(back);
    }
    cr_expect_null(m->failure(true));
}

static void run_out_of_memory(void) {
    mg_context *ctx = mg_context_create(MG_DEVICE_SIMT, MG_F32, NULL, 0);
    mg_context_use(ctx, MG_DEVICE_SIMT, emulator);
    for (int dry = 1; dry >= 0; dry--) {
        ctx->dry_run = dry;
        ctx->recording = false;
        mg_tensor *x = mg_input(ctx, "images", (mg_shape)MG_SHAPE(4, 1024, 1024), NULL);
        ctx->scope = "features.3.1";
        for (int i = 0; i < 8; i++) x = mg_silu(ctx, x);
        if (!dry) break;
        cr_assert_eq(ctx->error.code, MG_OK, "%s", ctx->error.message);
        mg_step_reset(ctx, false);
    }
    cr_expect_eq(ctx->error.code, MG_ERR_MEMORY);
    cr_expect(strstr(ctx->error.message, "features.3.1") &&
                  strstr(ctx->error.message, "predicted peak 144.0 MiB"),
              "%s", ctx->error.message);
    printf("%s\n", ctx->error.message);
    mg_context_destroy(ctx);
}

static void open_small(void) {
    setenv("SIMT_MEMORY", "64", 1);
    emulator_open();
}
static void open_small_checked(void) {
    setenv("SIMT_MEMORY", "64", 1);
    emulator_open_checked();
}
Test(device, memory_that_runs_out_names_tensor_and_peak, .init = open_small) {
    run_out_of_memory();
}
Test(device_checked, memory_that_runs_out_names_tensor_and_peak, .init = open_small_checked) {
    run_out_of_memory();
}

static int launches;
static mg_launch last;
static void count_launch(void *arg, const mg_launch *l) {
    (void)arg;
    launches++;
    last = *l;
}

EMULATOR_TEST(device, recorded_launches_are_told_and_not_made) {
    mg_context *ctx = mg_context_create(MG_DEVICE_SIMT, MG_F32, NULL, 0);
    mg_context_use(ctx, MG_DEVICE_SIMT, emulator);
    ctx->dry_run = ctx->record_launches = true;
    emulator->record(count_launch, NULL);
    mg_tensor *x = mg_input(ctx, "images", (mg_shape)MG_SHAPE(1000, 1000), NULL);
    mg_silu(ctx, x);
    emulator->record(NULL, NULL);
    cr_assert_eq(launches, 1);
    cr_expect(strstr(last.kernel, "map_kernel"), "%s", last.kernel);
    cr_expect_eq(last.bytes, 8e6);
    cr_expect_eq(last.grid[0] * last.block[0] * 4, 1000448);
    mg_context_destroy(ctx);
}

/* A product in each arithmetic against f64. */
static double product_error(int mode) {
    enum { M = 37, K = 53, N = 29 };
    mg_context *ctx = mg_context_create(MG_DEVICE_SIMT, MG_F32, NULL, 0);
    mg_context_use(ctx, MG_DEVICE_SIMT, emulator);
    emulator->gemm_precision(mode);
    float a[M * K], b[K * N], c[M * N];
    mg_rng_key key = {.seed = 4, .purpose = MG_RNG_TEST};
    for (int i = 0; i < M * K; i++) a[i] = (float)mg_rng_normal(&key, (uint32_t)i);
    for (int i = 0; i < K * N; i++) b[i] = (float)mg_rng_normal(&key, (uint32_t)(i + M * K));
    mg_tensor *x = mg_input(ctx, "x", (mg_shape)MG_SHAPE(M, K), a);
    mg_tensor *w = mg_input(ctx, "w", (mg_shape)MG_SHAPE(K, N), b);
    mg_tensor *y = mg_linear(ctx, x, w, NULL);
    cr_assert(y, "%s", ctx->error.message);
    mg_tensor_read(ctx, y, c);
    double worst = 0;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double exact = 0, size = 0;
            for (int k = 0; k < K; k++) {
                double term = (double)a[i * K + k] * (double)b[k * N + j];
                exact += term;
                size += fabs(term);
            }
            worst = fmax(worst, fabs((double)c[i * N + j] - exact) / size);
        }
    emulator->gemm_precision(0);
    mg_context_destroy(ctx);
    return worst;
}

EMULATOR_TEST(device, products_in_f32_and_bf16) {
    double f32 = product_error(0), bf16 = product_error(2);
    cr_expect_lt(f32, 53 * 0x1p-24, "f32: %g", f32);
    /* Two operands rounded to 8 bits: at most 2^-8 of the sum of magnitudes, and surely not f32. */
    cr_expect(bf16 < 0x1p-8 && bf16 > 8 * f32, "bf16: %g", bf16);
}

static double norm_of(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum);
}

/* Gradients are added to what is there, once: bf16 and f32 differ by the rounding of operands, at
 * most 2^-8 |A| |B|. */
EMULATOR_TEST(device, products_of_gradients_in_bf16) {
    enum { M = 70, K = 24, N = 40 };
    static const mg_case c = {"bf16", .inputs = 2, .shape = {MG_SHAPE(M, K), MG_SHAPE(K, N)}};
    const mg_op *op = mg_op_get(MG_OP_pointwise_conv, MG_F32);
    const mg_kernels *kernels = mg_staged_kernels(MG_OP_pointwise_conv, emulator);
    mg_trial t[2];
    mg_error err = {0};
    for (int i = 0; i < 2; i++) {
        emulator->gemm_precision(2 * i);
        cr_assert_eq(mg_trial_open(&t[i], op, &c, MG_F32, &err), MG_OK, "%s", err.message);
        cr_assert_eq(mg_trial_forward(&t[i], kernels, NULL, &err), MG_OK, "%s", err.message);
        cr_assert_eq(mg_trial_backward(&t[i], kernels, NULL, ~0u, &err), MG_OK, "%s", err.message);
    }
    emulator->gemm_precision(0);
    const double dy = norm_of(t[0].call.dy, NULL, M * N);
    const double x = norm_of(t[0].call.x[0], NULL, M * K), w = norm_of(t[0].call.x[1], NULL, K * N);
    const double dx_error = norm_of(t[1].dx[0], t[0].dx[0], M * K);
    const double dw_error = norm_of(t[1].dx[1], t[0].dx[1], K * N);
    cr_expect(dx_error > 0 && dx_error <= 0x1p-8 * dy * w, "dx: %g of %g", dx_error, dy * w);
    cr_expect(dw_error > 0 && dw_error <= 0x1p-8 * dy * x, "dw: %g of %g", dw_error, dy * x);
    mg_trial_close(&t[0]);
    mg_trial_close(&t[1]);
}
