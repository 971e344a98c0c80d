/* The bfloat16 forms of the fused kernels: within a bound of the f64 reference run on the rounded
 * inputs, and the same bits for any thread count, on every instruction set. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"
#include "ops/cpu/dispatch.h"

enum { VARIANTS = MG_CPU_ISA_COUNT + MG_BF16_UNIT_COUNT - 1, THREADS = 3 };
#define MG_BF16_UNIT ldexp(1, -8) /* relative spacing of bfloat16; rounding is off by half of it */

static double rounded(double x) {
    float f = (float)x;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    u = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
    memcpy(&f, &u, sizeof f);
    return (double)f;
}

/* The instruction sets with f32 multiply-adds, then the other units. */
static bool use_variant(int v) {
    int unit = v - MG_CPU_ISA_COUNT + 1;
    if (unit < 1) return mg_cpu_use((mg_isa)v) && mg_cpu_use_bf16_unit(MG_BF16_F32);
    mg_cpu_use(MG_CPU_AVX512);
    return mg_cpu_use_bf16_unit((mg_bf16_unit)unit);
}

static void open_trial(mg_trial *t, mg_op_id id, const mg_case *c, mg_dtype dtype) {
    mg_error err = {0};
    cr_assert_eq(mg_trial_open(t, mg_op_get(id, dtype), c, dtype, &err), MG_OK, "%s", err.message);
}

static void run(mg_trial *t, mg_op_id id, const mg_case *c, mg_pool *pool) {
    mg_error err = {0};
    open_trial(t, id, c, MG_F32);
    const mg_kernels *kernels = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    cr_assert_eq(mg_trial_forward(t, kernels, pool, &err), MG_OK, "%s", err.message);
    cr_expect_eq(mg_trial_intact(t, &err), MG_OK, "%s", err.message);
}

/* The same case in f64 with the inputs of `mask` rounded to bfloat16. */
static void run_reference(mg_trial *t, mg_op_id id, const mg_case *c, uint32_t mask) {
    mg_error err = {0};
    open_trial(t, id, c, MG_F64);
    for (int i = 0; i < t->call.inputs; i++) {
        bool round = mask >> i & 1 && mg_has_input(&t->call, i);
        for (int64_t e = 0; round && e < mg_shape_elements(&t->call.x_shape[i]); e++)
            mg_trial_set(t, t->pristine[i], e, rounded(mg_trial_get(t, t->pristine[i], e)));
    }
    cr_assert_eq(mg_trial_forward(t, &t->op->reference, NULL, &err), MG_OK, "%s", err.message);
}

static double largest(const mg_trial *t) {
    double most = 0;
    for (int64_t e = 0; e < mg_shape_elements(&t->call.y_shape); e++)
        most = fmax(most, fabs(mg_trial_get(t, t->call.y, e)));
    return most;
}

static double largest_difference(const mg_trial *a, const mg_trial *b) {
    double most = 0;
    for (int64_t e = 0; e < mg_shape_elements(&a->call.y_shape); e++) {
        double d = fabs(mg_trial_get(a, a->call.y, e) - mg_trial_get(b, b->call.y, e));
        most = d <= most ? most : isnan(d) ? INFINITY : d;
    }
    return most;
}

/* mbconv's own cases have few channels, too few to go by halves. Deep: more than a depth block and
 * than a panel, and a last group of channels that ends within a step of the depth. Uneven: strides,
 * no residual, nothing a multiple of anything, and pixels for three blocks of tiles. */
static const mg_case wide[] = {
    {.name = "deep",
     .attr = {.kernel = 3, .stride = 1, .residual = true},
     .inputs = 11,
     .shape = {MG_SHAPE(1, 4, 5, 272), MG_SHAPE(272, 276), MG_SHAPE(276), MG_SHAPE(3, 3, 276),
               MG_SHAPE(276), MG_SHAPE(276, 8), MG_SHAPE(8), MG_SHAPE(8, 276), MG_SHAPE(276),
               MG_SHAPE(276, 272), MG_SHAPE(272)}},
    {.name = "uneven",
     .attr = {.kernel = 5, .stride = 2},
     .inputs = 11,
     .shape = {MG_SHAPE(2, 17, 15, 37), MG_SHAPE(37, 139), MG_SHAPE(139), MG_SHAPE(5, 5, 139),
               MG_SHAPE(139), MG_SHAPE(139, 3), MG_SHAPE(3), MG_SHAPE(3, 139), MG_SHAPE(139),
               MG_SHAPE(139, 41), MG_SHAPE(41)}},
};

/* Case k of an op, the wide ones after mbconv's own; false beyond the last. */
static bool case_of(mg_op_id id, int k, mg_case *c) {
    const mg_op *op = mg_op_get(id, MG_F32);
    int more = id == MG_OP_mbconv ? MG_COUNT(wide) : 0;
    if (k >= op->case_count + more) return false;
    *c = k < op->case_count ? op->cases[k] : wide[k - op->case_count];
    return true;
}

/* Checks all cases of an op whose inputs `mask` are rounded before the product; `bound` times the
 * largest result may be lost to what is rounded on the way, on tiles `on_tiles`. */
static void check_op(mg_op_id id, mg_attr how, uint32_t mask, double bound, double on_tiles) {
    mg_pool *pools[THREADS];
    const mg_op *op = mg_op_get(id, MG_F32);
    for (int p = 0; p < THREADS; p++) pools[p] = mg_pool_create(p + 1);
    mg_case c;
    for (int k = 0; case_of(id, k, &c); k++) {
        c.attr.bf16 = how.bf16;
        c.attr.relaxed = how.relaxed;
        mg_trial want;
        run_reference(&want, id, &c, mask);
        for (int v = 0; v < VARIANTS; v++) {
            if (!use_variant(v)) continue;
            mg_trial one;
            run(&one, id, &c, NULL);
            double error = largest_difference(&one, &want), most = largest(&want);
            double allowed = (mg_cpu_bf16_unit() >= MG_BF16_AMX ? on_tiles : bound) * most;
            cr_expect_leq(error, allowed, "%s, %s, variant %d: off by %g of %g", op->name, c.name,
                          v, error, most);
            for (int p = 0; p < THREADS; p++) {
                mg_trial got;
                run(&got, id, &c, pools[p]);
                cr_expect(mg_trial_same_bits(&one, &got), "%s, %s, variant %d: %d threads differ",
                          op->name, c.name, v, p + 1);
                mg_trial_close(&got);
            }
            mg_trial_close(&one);
        }
        mg_trial_close(&want);
    }
    for (int p = 0; p < THREADS; p++) mg_pool_destroy(pools[p]);
}

/* Both factors are rounded before, exactly as in the reference: what is left is f32 summation and,
 * where SiLU is fused, nothing more. */
Test(bf16, pointwise_conv_differs_by_f32_sums_only) {
    check_op(MG_OP_pointwise_conv, (mg_attr){.bf16 = true}, 1u << 0 | 1u << 1, 1e-5, 1e-5);
}

/* x and expand_w are rounded alike; e, d and gate project_w are rounded on the way, half a unit
 * each, and the depthwise filter passes on the rounding of e: three roundings, each amplified by at
 * most the sum of absolute terms over the largest result. */
Test(bf16, mbconv_differs_by_three_roundings) {
    const double bound = 3 * MG_BF16_UNIT;
    check_op(MG_OP_mbconv, (mg_attr){.bf16 = true}, 1u << 0 | 1u << 1, bound, bound);
}

/* The early stages of a bfloat16 pass: everything in f32, SiLU 2^-12 off each time, twice in a
 * row, and once in the gate's means. By halves d is rounded to bfloat16 besides. */
Test(bf16, mbconv_in_f32_differs_by_its_silu) {
    const double silu = ldexp(1, -12);
    check_op(MG_OP_mbconv, (mg_attr){.relaxed = true}, 0, 3 * silu, 3 * silu + MG_BF16_UNIT / 2);
}
Test(bf16, conv2d_in_f32_differs_by_its_silu) {
    check_op(MG_OP_conv2d, (mg_attr){.relaxed = true}, 0, ldexp(1, -12), ldexp(1, -12));
}

static void check_relaxed(mg_op_id id, mg_case c, mg_pool *pool, mg_device_check *worst) {
    mg_device_check r;
    mg_error err = {0};
    c.attr.relaxed = true;
    const mg_kernels *kernels = mg_op_kernels(id, MG_DEVICE_CPU, MG_F32);
    cr_expect_eq(mg_check_device(id, &c, kernels, pool, &r, &err), MG_OK, "%s: %s",
                 mg_bf16_unit_name(mg_cpu_bf16_unit()), err.message);
    worst->forward = fmax(worst->forward, r.forward);
    worst->backward = fmax(worst->backward, r.backward);
}

/* Whether the unit's products are other ones than the f32 unit's in any case, or in those of the
 * op's own alone; leaves the unit in use. */
static bool differs_from_f32(mg_op_id id, mg_bf16_unit unit, bool own) {
    const int own_cases = mg_op_get(id, MG_F32)->case_count;
    bool differs = false;
    mg_case c;
    for (int k = 0; case_of(id, k, &c) && !(own && k == own_cases); k++) {
        mg_trial f32, halves;
        c.attr.relaxed = true;
        cr_assert(mg_cpu_use_bf16_unit(MG_BF16_F32));
        run(&f32, id, &c, NULL);
        cr_assert(mg_cpu_use_bf16_unit(unit));
        run(&halves, id, &c, NULL);
        differs |= !mg_trial_same_bits(&f32, &halves);
        mg_trial_close(&f32);
        mg_trial_close(&halves);
    }
    return differs;
}

/* What may be relaxed, forward and backward, with the products by halves on the units that have
 * them; guards, single gradients and repeats as for every kernel. */
Test(bf16, kernels_by_halves_are_good_to_18_bits) {
    const mg_op_id ids[] = {MG_OP_pointwise_conv, MG_OP_norm_gate_project};
    const mg_bf16_unit units[] = {MG_BF16_AMX, MG_BF16_TILES_IN_C};
    mg_pool *pool = mg_pool_create(2);
    for (int u = 0; u < 2; u++) {
        if (!mg_cpu_use(MG_CPU_AVX512) && units[u] == MG_BF16_AMX) continue;
        if (!mg_cpu_use_bf16_unit(units[u])) continue;
        for (int i = 0; i < MG_COUNT(ids); i++) {
            const mg_op *op = mg_op_get(ids[i], MG_F32);
            mg_device_check worst = {0};
            mg_case c;
            for (int k = 0; case_of(ids[i], k, &c); k++) check_relaxed(ids[i], c, pool, &worst);
            printf("%-10s %-20s error %.2f of the bound forward, %.2f backward\n",
                   mg_bf16_unit_name(units[u]), op->name, worst.forward, worst.backward);
            cr_expect(differs_from_f32(ids[i], units[u], false), "%s: not by halves", op->name);
        }
    }
    mg_pool_destroy(pool);
}

/* That the products on tiles are really made there, but not with few channels: they would gain
 * nothing. */
Test(bf16, mbconv_goes_by_halves_where_its_channels_fill_tiles) {
    cr_assert(mg_cpu_use_bf16_unit(MG_BF16_TILES_IN_C));
    cr_expect(differs_from_f32(MG_OP_mbconv, MG_BF16_TILES_IN_C, false));
    if (!mg_cpu_use(MG_CPU_AVX512) || !mg_cpu_use_bf16_unit(MG_BF16_AMX)) return;
    cr_expect(differs_from_f32(MG_OP_mbconv, MG_BF16_AMX, false));
    cr_expect_not(differs_from_f32(MG_OP_mbconv, MG_BF16_AMX, true));
}

/* Square, to read d off: with the identity as project_w. */
static const mg_case square = {
    .name = "square",
    .attr = {.kernel = 3, .stride = 1, .relaxed = true},
    .inputs = 11,
    .shape = {MG_SHAPE(1, 9, 7, 37), MG_SHAPE(37, 139), MG_SHAPE(139), MG_SHAPE(3, 3, 139),
              MG_SHAPE(139), MG_SHAPE(139, 3), MG_SHAPE(3), MG_SHAPE(3, 139), MG_SHAPE(139),
              MG_SHAPE(139, 139), MG_SHAPE(139)},
};
enum { SQUARE_PIXELS = 9 * 7, SQUARE_WIDE = 139, SE_W2 = 7, SE_B2, PROJECT_W, PROJECT_B };

/* The square case with open gates and no bias, projected by the identity or as it was filled. */
static void run_square(mg_trial *t, bool identity) {
    mg_error err = {0};
    open_trial(t, MG_OP_mbconv, &square, MG_F32);
    for (int64_t i = 0; i < 3 * SQUARE_WIDE; i++) mg_trial_set(t, t->pristine[SE_W2], i, 0);
    for (int64_t i = 0; i < SQUARE_WIDE; i++) {
        mg_trial_set(t, t->pristine[SE_B2], i, 60); /* its sigmoid is 1 */
        mg_trial_set(t, t->pristine[PROJECT_B], i, 0);
    }
    for (int64_t i = 0; identity && i < SQUARE_WIDE * SQUARE_WIDE; i++)
        mg_trial_set(t, t->pristine[PROJECT_W], i, i % (SQUARE_WIDE + 1) == 0);
    const mg_kernels *kernels = mg_op_kernels(MG_OP_mbconv, MG_DEVICE_CPU, MG_F32);
    cr_assert_eq(mg_trial_forward(t, kernels, NULL, &err), MG_OK, "%s", err.message);
}

/* By halves d is bfloat16, and that is all that is lost: what is projected from it is as good as
 * every product by halves, 2^-17 of the terms' sizes. */
Test(bf16, mbconv_by_halves_rounds_d_and_nothing_else) {
    const mg_bf16_unit units[] = {MG_BF16_AMX, MG_BF16_TILES_IN_C};
    for (int u = 0; u < MG_COUNT(units); u++) {
        mg_trial d, y;
        if (!mg_cpu_use(MG_CPU_AVX512) && units[u] == MG_BF16_AMX) continue;
        if (!mg_cpu_use_bf16_unit(units[u])) continue;
        run_square(&d, true);
        run_square(&y, false);
        for (int64_t e = 0; e < SQUARE_PIXELS * SQUARE_WIDE; e++) {
            int64_t pixel = e / SQUARE_WIDE, column = e % SQUARE_WIDE;
            double own = mg_trial_get(&d, d.call.y, e), sum = 0, size = 0;
            cr_assert_eq(own, rounded(own), "d[%lld] is %a, no bfloat16", (long long)e, own);
            for (int64_t k = 0; k < SQUARE_WIDE; k++) {
                double term = mg_trial_get(&d, d.call.y, pixel * SQUARE_WIDE + k) *
                              mg_trial_get(&y, y.pristine[PROJECT_W], k * SQUARE_WIDE + column);
                sum += term;
                size += fabs(term);
            }
            double error = fabs(mg_trial_get(&y, y.call.y, e) - sum);
            cr_assert_leq(error, ldexp(size, -17), "y[%lld]: off by %g", (long long)e, error);
        }
        mg_trial_close(&d);
        mg_trial_close(&y);
    }
}

/* The tiles in C are what the processor does: plain products, so no vector code may differ. */
Test(bf16, tiles_in_c_give_the_bits_of_amx) {
    if (!mg_cpu_use(MG_CPU_AVX512) || !mg_cpu_use_bf16_unit(MG_BF16_AMX))
        cr_skip_test("no AMX on this machine");
    const mg_op *op = mg_op_get(MG_OP_pointwise_conv, MG_F32);
    for (int relaxed = 0; relaxed < 2; relaxed++)
        for (int k = 0; k < op->case_count; k++) {
            mg_case c = op->cases[k];
            if (c.attr.activation != MG_ACTIVATION_NONE) continue;
            c.attr.bf16 = !relaxed;
            c.attr.relaxed = relaxed;
            mg_trial amx, in_c;
            cr_assert(mg_cpu_use_bf16_unit(MG_BF16_AMX));
            run(&amx, MG_OP_pointwise_conv, &c, NULL);
            cr_assert(mg_cpu_use_bf16_unit(MG_BF16_TILES_IN_C));
            run(&in_c, MG_OP_pointwise_conv, &c, NULL);
            cr_expect(mg_trial_same_bits(&amx, &in_c), "%s%s", c.name, relaxed ? ", relaxed" : "");
            mg_trial_close(&amx);
            mg_trial_close(&in_c);
        }
}
