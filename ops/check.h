/* check.h: proving that an op computes what it says.
 *
 * mg_trial runs one test case of one op in guarded memory. On top of it stand the gradient check
 * (the f64 reference against central differences) and the device check (f32 kernels against the f64
 * reference, with an error bound from a model instead of a hand-tuned tolerance). Tests, apps/audit
 * and the planted-bug suite use the same functions. */
#ifndef MG_OPS_CHECK_H
#define MG_OPS_CHECK_H

#include "ops/table.h"

/* Fills input `input` of a case, reproducibly; every value is exactly representable in f32, so that
 * both precisions see the same numbers. out holds mg_shape_elements() doubles. */
void mg_fill_input(const mg_op *op, const mg_case *test_case, int input, double *out);

/* dx is filled with this before every backward: a kernel that writes instead of adding shows. */
#define MG_TRIAL_PREFILL 0.75

/* One case with all its buffers. Each buffer stands between guards of NaN: a kernel that reads
 * outside makes NaN, one that writes outside is found by mg_trial_intact. y and save start as NaN
 * (unwritten elements show); dy is a random cotangent. Everything is owned by the trial. */
typedef struct mg_trial {
    const mg_op *op;
    const mg_case *test_case;
    mg_dtype dtype;  /* MG_F64 or MG_F32 */
    mg_op_call call; /* scratch, dx and pool are only set while a kernel runs */
    void *dx[MG_MAX_INPUTS];
    void *pristine[MG_MAX_INPUTS]; /* the inputs as filled */
    bool overrun;                  /* a kernel wrote outside its scratch memory */
} mg_trial;

/* Fails when the shape rule refuses the case or memory is short; close works in any state. */
mg_status mg_trial_open(mg_trial *t, const mg_op *op, const mg_case *test_case, mg_dtype dtype,
                        mg_error *err);
void mg_trial_close(mg_trial *t);

/* Inputs back to their filled values (state that an op mutates), y and save to NaN, then
 * forward. */
mg_status mg_trial_forward(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, mg_error *err);
/* Backward after forward. Only the dx of `wanted` (bits) are offered, and of x and y only what the
 * descriptor says backward needs. */
mg_status mg_trial_backward(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, uint32_t wanted,
                            mg_error *err);
/* Backward with every gradient that the kernels can write instead of adding to (overwrites) full of
 * NaN before: it must give the values that adding to zero gives. */
mg_status mg_trial_overwrites(mg_trial *t, const mg_kernels *kernels, mg_pool *pool, mg_error *err);
/* Guards whole, differentiable inputs and dy untouched, y and save fully written. */
mg_status mg_trial_intact(const mg_trial *t, mg_error *err);
/* Whether two trials of one case hold the same bits in y, save, all dx and mutated state. */
bool mg_trial_same_bits(const mg_trial *a, const mg_trial *b);

/* Element i of a buffer of the trial's dtype, and how to set it. */
double mg_trial_get(const mg_trial *t, const void *buffer, int64_t i);
void mg_trial_set(const mg_trial *t, void *buffer, int64_t i, double value);

/* The gradient check's verdict: the largest relative disagreement and where it is. */
typedef struct mg_gradient_check {
    double worst; /* INFINITY when a NaN came out */
    int input;
    int64_t element; /* -1: the derivative along a random direction */
    double analytic, numeric;
    int64_t derivatives; /* how many were compared */
} mg_gradient_check;

/* Compares the backward of `op` (an f64 descriptor) with central differences of sum(dy y) for a
 * random cotangent dy. Small inputs are checked in every element; of large ones a sample is, with
 * derivatives along random directions, in which every element takes part. */
mg_status mg_check_gradient(const mg_op *op, const mg_case *test_case, mg_gradient_check *result,
                            mg_error *err);
/* The limit for `worst`. */
#define MG_GRADIENT_LIMIT 1e-6

/* Largest error as a share of the bound, in forward and backward; above 1, or infinite for NaN, at
 * the element that failed. */
typedef struct mg_device_check {
    double forward, backward;
} mg_device_check;

/* Runs f32 kernels on one case: against the f64 reference within the error bound, twice for the
 * same bits, once per wanted gradient, overwriting where they can, with guards and NaN. Fails with
 * a message that names the element. The bound of an op flagged MG_OP_LINEAR is 2 u K op(|x|,|w|),
 * where K, the number of terms, is the op on ones; of any other op c u (max|y| + how far y moves
 * when every input moves by u), which grants a kernel what no f32 kernel could avoid. */
mg_status mg_check_device(mg_op_id id, const mg_case *test_case, const mg_kernels *kernels,
                          mg_pool *pool, mg_device_check *result, mg_error *err);

#endif
