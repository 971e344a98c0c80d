/* CUDA kernels in the emulator at sizes that the op table's cases do not reach, because those were
 * chosen for the CPU: channels in fours (16-byte accesses), several tiles in every direction,
 * ragged edges, filters without a kernel of their own. The same checks as test_simt_ops.c. */
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"
#include "tests/lib/emulator.h"

static void check_cases(mg_op_id id, const mg_case *cases, int count) {
    for (int k = 0; k < count; k++) {
        mg_device_check r;
        mg_error err = {0};
        mg_status s =
            mg_check_device(id, &cases[k], mg_staged_kernels(id, emulator), NULL, &r, &err);
        emulator_expect_clean(cases[k].name);
        cr_assert_eq(s, MG_OK, "%s", err.message);
    }
}

#define WEIGHTED .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT}
#define DEPTHWISE(text, k, s, n, h, w, c)                                                          \
    { text, {.kernel = k, .stride = s}, 2, {MG_SHAPE(n, h, w, c), MG_SHAPE(k, k, c)}, WEIGHTED }

EMULATOR_TEST(simt_sizes, depthwise_conv) {
    static const mg_case cases[] = {
        DEPTHWISE("3x3, tiles", 3, 1, 2, 35, 19, 40),
        DEPTHWISE("5x5, tiles", 5, 1, 1, 33, 18, 36),
        DEPTHWISE("3x3 stride 2, tiles", 3, 2, 2, 35, 22, 40),
        DEPTHWISE("5x5 stride 2, tiles", 5, 2, 1, 34, 23, 36),
        DEPTHWISE("many filter chunks", 3, 1, 3, 41, 61, 4),
        {"5x5 SAME stride 2, even",
         {.kernel = 5, .stride = 2, .padding = MG_PAD_SAME},
         2,
         {MG_SHAPE(1, 18, 12, 8), MG_SHAPE(5, 5, 8)},
         WEIGHTED},
        {"3x3 static, one-sided",
         {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_top = 2, .pad_right = 2},
         2,
         {MG_SHAPE(2, 17, 9, 12), MG_SHAPE(3, 3, 12)},
         WEIGHTED},
        DEPTHWISE("any: 7x7", 7, 1, 2, 9, 11, 35),
        DEPTHWISE("any: several chunks", 7, 1, 2, 45, 40, 3),
        DEPTHWISE("any: 3x3 stride 3", 3, 3, 2, 20, 13, 5),
        DEPTHWISE("any: 1x1 stride 2", 1, 2, 1, 9, 7, 33),
    };
    check_cases(MG_OP_depthwise_conv, cases, MG_COUNT(cases));
}

EMULATOR_TEST(simt_sizes, pointwise_conv) {
    static const mg_case cases[] = {
        {"wide, bias", .inputs = 3,
         .shape = {MG_SHAPE(3, 7, 5, 16), MG_SHAPE(16, 40), MG_SHAPE(40)}, WEIGHTED},
        {"wide, bias, SiLU",
         {.activation = MG_ACTIVATION_SILU},
         3,
         {MG_SHAPE(2, 33, 17, 8), MG_SHAPE(8, 24), MG_SHAPE(24)},
         WEIGHTED,
         .forward_only = true},
        {"SiLU alone",
         {.activation = MG_ACTIVATION_SILU},
         2,
         {MG_SHAPE(5, 12), MG_SHAPE(12, 20)},
         WEIGHTED,
         .forward_only = true},
        {"many rows", .inputs = 3, .shape = {MG_SHAPE(1, 301, 5), MG_SHAPE(5, 36), MG_SHAPE(36)},
         WEIGHTED},
    };
    check_cases(MG_OP_pointwise_conv, cases, MG_COUNT(cases));
}

#define IMAGE(n, h, w, c) .inputs = 2, .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(n, c)}

EMULATOR_TEST(simt_sizes, channel_scale) {
    static const mg_case cases[] = {{"wide", IMAGE(3, 17, 19, 24)},
                                    {"more channels than threads", IMAGE(2, 3, 5, 1088)},
                                    {"one lane", IMAGE(2, 9, 9, 4)}};
    check_cases(MG_OP_channel_scale, cases, MG_COUNT(cases));
}

EMULATOR_TEST(simt_sizes, global_average_pool) {
    static const mg_case cases[] = {
        {"wide", .inputs = 1, .shape = {MG_SHAPE(3, 17, 19, 24)}},
        {"more channels than threads", .inputs = 1, .shape = {MG_SHAPE(2, 3, 5, 1088)}},
        {"chunks grow", .inputs = 1, .shape = {MG_SHAPE(1, 263, 131, 4)}}};
    check_cases(MG_OP_global_average_pool, cases, MG_COUNT(cases));
}

#define DENSE(text, k, s, n, h, w, in, out)                                                        \
    {                                                                                              \
        text, {.kernel = k, .stride = s}, 3,                                                       \
            {MG_SHAPE(n, h, w, in), MG_SHAPE(k, k, in, out), MG_SHAPE(out)}, WEIGHTED              \
    }

EMULATOR_TEST(simt_sizes, conv2d) {
    static const mg_case cases[] = {
        DENSE("stem, one channel, tiles", 3, 2, 2, 19, 83, 1, 40),
        DENSE("stem, three channels, tiles", 3, 2, 1, 21, 70, 3, 36),
        DENSE("stem, whole tiles of channels", 3, 2, 2, 67, 43, 1, 64),
        DENSE("stem, several chunks of rows", 3, 2, 3, 131, 37, 1, 36),
        {"stem, SAME, even",
         {.kernel = 3, .stride = 2, .padding = MG_PAD_SAME},
         2,
         {MG_SHAPE(2, 70, 34, 3), MG_SHAPE(3, 3, 3, 40)},
         WEIGHTED},
        {"stem, padded above and beyond",
         {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_top = 2, .pad_left = 2},
         2,
         {MG_SHAPE(2, 15, 12, 1), MG_SHAPE(3, 3, 1, 20)},
         WEIGHTED},
        {"stem, padded below, last rows unseen",
         {.kernel = 3, .stride = 2, .padding = MG_PAD_STATIC, .pad_bottom = 2},
         2,
         {MG_SHAPE(1, 16, 14, 3), MG_SHAPE(3, 3, 3, 33)},
         WEIGHTED},
        DENSE("any: 3x3 stride 1", 3, 1, 2, 5, 7, 4, 8),
        DENSE("any: 7x7 stride 3", 7, 3, 1, 20, 17, 3, 5),
        DENSE("any: several chunks", 5, 1, 2, 45, 40, 2, 3),
        {"stem, SiLU, three channels",
         {.kernel = 3, .stride = 2, .activation = MG_ACTIVATION_SILU},
         3,
         {MG_SHAPE(1, 12, 9, 3), MG_SHAPE(3, 3, 3, 48), MG_SHAPE(48)},
         WEIGHTED,
         .forward_only = true},
        {"any, SiLU",
         {.kernel = 5, .stride = 2, .activation = MG_ACTIVATION_SILU},
         3,
         {MG_SHAPE(1, 12, 9, 3), MG_SHAPE(5, 5, 3, 4), MG_SHAPE(4)},
         WEIGHTED,
         .forward_only = true},
    };
    check_cases(MG_OP_conv2d, cases, MG_COUNT(cases));
}

#define GATED(text, n, h, w, c, s)                                                                 \
    {                                                                                              \
        text, .inputs = 5,                                                                         \
              .shape = {MG_SHAPE(n, h, w, c), MG_SHAPE(c, s), MG_SHAPE(s), MG_SHAPE(s, c),         \
                        MG_SHAPE(c)},                                                              \
              .fill = {                                                                            \
                  MG_FILL_NORMAL,                                                                  \
                  MG_FILL_WEIGHT,                                                                  \
                  MG_FILL_NORMAL,                                                                  \
                  MG_FILL_WEIGHT                                                                   \
              }                                                                                    \
    }

EMULATOR_TEST(simt_sizes, squeeze_excite) {
    static const mg_case cases[] = {
        GATED("several chunks, ragged channels", 2, 29, 23, 37, 5),
        GATED("several chunks, slices, fours", 3, 31, 19, 148, 17),
        GATED("wide, gate off the boundary", 3, 17, 11, 24, 6),
        GATED("more channels than threads", 2, 3, 5, 1088, 45),
    };
    check_cases(MG_OP_squeeze_excite, cases, MG_COUNT(cases));
}

/* Both walks of cuda/batch_norm.h. */
#define NORM(text, x_fill, n, h, w, c)                                                             \
    {                                                                                              \
        text, {.training = true, .eps = 1e-3, .momentum = 0.1}, 5,                                 \
            {MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c), MG_SHAPE(c)}, .fill = {  \
                x_fill,                                                                            \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_POSITIVE                                                                   \
            }                                                                                      \
    }

EMULATOR_TEST(simt_sizes, batch_norm) {
    static const mg_case cases[] = {
        NORM("whole, one row", MG_FILL_NORMAL, 1, 1, 1, 33),
        NORM("whole, 7 channels, mean far above spread", MG_FILL_OFFSET, 3, 11, 7, 7),
        NORM("whole, 24 channels, mean far above spread", MG_FILL_OFFSET, 2, 37, 53, 24),
        NORM("whole, 33 channels", MG_FILL_NORMAL, 1, 29, 31, 33),
        NORM("whole, slices of ragged channels", MG_FILL_OFFSET, 3, 5, 7, 103),
        NORM("whole, ragged fours", MG_FILL_NORMAL, 2, 9, 7, 76),
        NORM("whole, as many rows as any slices may have", MG_FILL_OFFSET, 1, 64, 64, 8),
        NORM("chunks, 7 channels, mean far above spread", MG_FILL_OFFSET, 3, 47, 31, 7),
        NORM("chunks, 24 channels, mean far above spread", MG_FILL_OFFSET, 1, 83, 59, 24),
        NORM("chunks, 33 channels", MG_FILL_NORMAL, 2, 61, 37, 33),
        NORM("chunks, slices past the last channel", MG_FILL_NORMAL, 1, 4099, 1, 148),
    };
    check_cases(MG_OP_batch_norm, cases, MG_COUNT(cases));
}
Test(simt_sizes, batch_norm_wide, .init = emulator_open) {
    static const mg_case wide[] = {
        NORM("whole, more rows in 40 slices", MG_FILL_OFFSET, 1, 67, 62, 320)};
    check_cases(MG_OP_batch_norm, wide, MG_COUNT(wide));
}

/* Several tiles in every direction, images that end within one, several chunks of tiles, statistics
 * of whole columns and of chunks, padding that is even, odd and one-sided. */
#define NORMED(text, x_fill, n, h, w, c, k, ...)                                                   \
    {                                                                                              \
        text, {.kernel = k, .eps = 1e-3, .momentum = 0.1, __VA_ARGS__}, 6,                         \
            {MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c),                                       \
             MG_SHAPE(c),          MG_SHAPE(c), MG_SHAPE(k, k, c)},                                \
            .fill = {                                                                              \
                x_fill,                                                                            \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_POSITIVE,                                                                  \
                MG_FILL_WEIGHT                                                                     \
            }                                                                                      \
    }
#define STRIDE(s) .stride = s, .training = true

EMULATOR_TEST(simt_sizes, norm_depthwise_conv) {
    static const mg_case cases[] = {
        NORMED("3x3, chunks of tiles", MG_FILL_NORMAL, 2, 33, 34, 36, 3, STRIDE(1)),
        NORMED("5x5, tiles", MG_FILL_NORMAL, 1, 33, 18, 36, 5, STRIDE(1)),
        NORMED("3x3 stride 2, tiles", MG_FILL_NORMAL, 2, 35, 22, 36, 3, STRIDE(2)),
        NORMED("5x5 stride 2, tiles", MG_FILL_NORMAL, 1, 34, 23, 36, 5, STRIDE(2)),
        NORMED("5x5 stride 2, SAME, even", MG_FILL_NORMAL, 1, 18, 12, 8, 5, STRIDE(2),
               .padding = MG_PAD_SAME),
        NORMED("3x3 stride 2, padded above and right", MG_FILL_NORMAL, 2, 17, 9, 12, 3, STRIDE(2),
               .padding = MG_PAD_STATIC, .pad_top = 2, .pad_right = 2),
        NORMED("5x5 stride 2, padded left and below", MG_FILL_NORMAL, 1, 16, 8, 12, 5, STRIDE(2),
               .padding = MG_PAD_STATIC, .pad_left = 3, .pad_bottom = 3),
        NORMED("5x5, one whole tile, no padding", MG_FILL_NORMAL, 1, 16, 8, 32, 5, STRIDE(1),
               .padding = MG_PAD_STATIC),
        NORMED("one channel, chunks of tiles", MG_FILL_NORMAL, 2, 33, 34, 1, 5, STRIDE(1)),
        NORMED("more chunks than warps add up", MG_FILL_NORMAL, 80, 2, 3, 4, 3, STRIDE(1)),
        NORMED("saturated fours", MG_FILL_SATURATED, 1, 7, 9, 8, 3, STRIDE(1)),
        NORMED("running statistics, fours", MG_FILL_NORMAL, 2, 17, 9, 12, 5, .stride = 1),
        NORMED("any: 7x7, several chunks", MG_FILL_NORMAL, 2, 45, 40, 3, 7, STRIDE(1)),
        NORMED("any: 3x3 stride 3, ragged tiles", MG_FILL_NORMAL, 2, 20, 13, 35, 3, STRIDE(3)),
        NORMED("any: 1x1 stride 2", MG_FILL_NORMAL, 1, 9, 7, 33, 1, STRIDE(2)),
        NORMED("any: running statistics", MG_FILL_NORMAL, 1, 9, 7, 5, 7, .stride = 2),
    };
    check_cases(MG_OP_norm_depthwise_conv, cases, MG_COUNT(cases));
}
/* More than 4096 rows: statistics of chunks of rows. */
EMULATOR_TEST(simt_sizes, norm_depthwise_conv_chunks) {
    static const mg_case cases[] = {
        NORMED("fours, mean far above spread", MG_FILL_OFFSET, 1, 83, 59, 8, 3, STRIDE(2)),
        NORMED("7 channels, mean far above spread", MG_FILL_OFFSET, 1, 83, 59, 7, 3, STRIDE(2)),
    };
    check_cases(MG_OP_norm_depthwise_conv, cases, MG_COUNT(cases));
}

/* Rows of any length over several blocks of 2048 elements, short and long; and in fours. */
EMULATOR_TEST(simt_sizes, concat) {
#define JOIN(text, ax, ...)                                                                        \
    {                                                                                              \
        text, .attr = {.axis = ax}, .inputs = 2, .shape = { __VA_ARGS__ }                          \
    }
    static const mg_case cases[] = {
        JOIN("two and one", 3, MG_SHAPE(1, 37, 41, 2), MG_SHAPE(1, 37, 41, 1)),
        JOIN("one and seven", 3, MG_SHAPE(2, 23, 19, 1), MG_SHAPE(2, 23, 19, 7)),
        JOIN("five and eight", 2, MG_SHAPE(3, 101, 5), MG_SHAPE(3, 101, 8)),
        JOIN("33 and 24", 3, MG_SHAPE(1, 13, 11, 33), MG_SHAPE(1, 13, 11, 24)),
        JOIN("rows longer than a block", 1, MG_SHAPE(2, 3, 1021), MG_SHAPE(2, 2, 1021)),
        JOIN("a block within one row", 0, MG_SHAPE(6151), MG_SHAPE(4099)),
        JOIN("short beside long", 1, MG_SHAPE(3, 2), MG_SHAPE(3, 2047)),
        JOIN("a row is a block", 1, MG_SHAPE(5, 1023), MG_SHAPE(5, 1025)),
        JOIN("fours", 3, MG_SHAPE(1, 9, 7, 112), MG_SHAPE(1, 9, 7, 48)),
        JOIN("long fours", 1, MG_SHAPE(3, 1200), MG_SHAPE(3, 52)),
    };
    check_cases(MG_OP_concat, cases, MG_COUNT(cases));
}

/* Backward in several pieces of a row, several columns a thread, several slices of channels. */
static void check_resize(mg_op_id id) {
#define RESIZE(text, h, w, ...)                                                                    \
    {                                                                                              \
        text, .attr = {.height = h, .width = w}, .inputs = 1, .shape = { MG_SHAPE(__VA_ARGS__) }   \
    }
    static const mg_case cases[] = {
        RESIZE("one channel, 31 times as large", 61, 502, 1, 2, 16, 1),
        RESIZE("wider than a block", 7, 311, 2, 5, 270, 1),
        RESIZE("smaller, wider than a block", 3, 150, 1, 5, 521, 3),
        RESIZE("slices of channels", 9, 12, 1, 5, 7, 35),
        RESIZE("slices of fours", 9, 23, 2, 5, 11, 136),
    };
    check_cases(id, cases, MG_COUNT(cases));
}
EMULATOR_TEST(simt_sizes, resize_bilinear) { check_resize(MG_OP_resize_bilinear); }
EMULATOR_TEST(simt_sizes, resize_bicubic) { check_resize(MG_OP_resize_bicubic); }

/* Both walks of forward, both ways to dz, gated weights and gated tensors. */
#define PROJECT(text, attributes, x_fill, n, h, w, c, s, k)                                        \
    {                                                                                              \
        text, attributes, 10,                                                                      \
            {MG_SHAPE(n, h, w, c), MG_SHAPE(c), MG_SHAPE(c),    MG_SHAPE(c), MG_SHAPE(c),          \
             MG_SHAPE(c, s),       MG_SHAPE(s), MG_SHAPE(s, c), MG_SHAPE(c), MG_SHAPE(c, k)},      \
            .fill = {                                                                              \
                x_fill,                                                                            \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_POSITIVE,                                                                  \
                MG_FILL_WEIGHT,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_WEIGHT,                                                                    \
                MG_FILL_NORMAL,                                                                    \
                MG_FILL_WEIGHT                                                                     \
            }                                                                                      \
    }
#define TRAINED                                                                                    \
    { .training = true, .eps = 1e-3, .momentum = 0.1 }
#define RUNNING                                                                                    \
    { .eps = 1e-5 }

EMULATOR_TEST(simt_sizes, norm_gate_project) {
    static const mg_case cases[] = {
        PROJECT("whole, slices in fours", TRAINED, MG_FILL_NORMAL, 2, 31, 19, 148, 6, 24),
        PROJECT("whole, slices of ragged channels", TRAINED, MG_FILL_OFFSET, 3, 5, 7, 103, 3, 5),
        PROJECT("whole, one pixel", TRAINED, MG_FILL_NORMAL, 5, 1, 1, 12, 2, 4),
        PROJECT("chunks, fours, mean far above spread", TRAINED, MG_FILL_OFFSET, 2, 67, 33, 24, 2,
                8),
        PROJECT("chunks, 7 channels", TRAINED, MG_FILL_NORMAL, 3, 47, 31, 7, 3, 5),
        PROJECT("dz kept, fours", TRAINED, MG_FILL_NORMAL, 3, 9, 8, 36, 4, 70),
        PROJECT("dz kept, ragged", TRAINED, MG_FILL_NORMAL, 2, 13, 7, 39, 4, 65),
        PROJECT("dz made again for the last time", TRAINED, MG_FILL_NORMAL, 1, 9, 8, 12, 2, 64),
        PROJECT("gated tensor, images for two turns", TRAINED, MG_FILL_NORMAL, 11, 2, 3, 20, 3, 9),
        PROJECT("running statistics, fours", RUNNING, MG_FILL_NORMAL, 2, 23, 17, 24, 3, 12),
    };
    check_cases(MG_OP_norm_gate_project, cases, MG_COUNT(cases));
}

/* Five images in groups of two, two and one; then one by one. */
EMULATOR_TEST(simt_sizes, norm_gate_project_in_groups) {
    static const mg_case cases[] = {
        PROJECT("groups, gated weights", TRAINED, MG_FILL_NORMAL, 5, 11, 9, 24, 2, 8),
        PROJECT("groups, chunks for two turns", TRAINED, MG_FILL_NORMAL, 3, 28, 28, 64, 2, 4),
        PROJECT("groups, gated tensor, dz kept", TRAINED, MG_FILL_NORMAL, 5, 8, 8, 36, 2, 72),
    };
    static const char *const sizes[] = {"20", "0"}; /* an image needs 9.3 or 9 KiB */
    for (int i = 0; i < MG_COUNT(sizes); i++) {
        setenv("MG_CUDA_SCRATCH_KIB", sizes[i], 1);
        check_cases(MG_OP_norm_gate_project, cases, MG_COUNT(cases));
    }
}

/* How many images make a group changes no bit but dw's, which is summed group by group. */
Test(simt_sizes, norm_gate_project_groups_keep_bits, .init = emulator_open) {
    static const mg_case c = PROJECT("groups", TRAINED, MG_FILL_NORMAL, 5, 11, 9, 24, 2, 8);
    static const char *const sizes[] = {"20", "0"};
    const mg_op *op = mg_op_get(MG_OP_norm_gate_project, MG_F32);
    const mg_kernels *kernels = mg_staged_kernels(MG_OP_norm_gate_project, emulator);
    mg_error err = {0};
    mg_trial t[2];
    for (int i = 0; i < MG_COUNT(sizes); i++) {
        setenv("MG_CUDA_SCRATCH_KIB", sizes[i], 1);
        cr_assert_eq(mg_trial_open(&t[i], op, &c, MG_F32, &err), MG_OK, "%s", err.message);
        cr_assert_eq(mg_trial_forward(&t[i], kernels, NULL, &err), MG_OK, "%s", err.message);
        cr_assert_eq(mg_trial_backward(&t[i], kernels, NULL, ~0u, &err), MG_OK, "%s", err.message);
    }
    memcpy(t[1].dx[9], t[0].dx[9], (size_t)mg_shape_elements(&c.shape[9]) * sizeof(float));
    cr_expect(mg_trial_same_bits(&t[0], &t[1]), "the size of groups changes bits");
    for (int i = 0; i < MG_COUNT(sizes); i++) mg_trial_close(&t[i]);
}

/* Designators close each initialiser: the braces come with the use. */
#define BLOCK(k, s, add, n, h, w, in, e, sq, out, ...)                                             \
    .attr = {.kernel = k, .stride = s, .residual = add}, .inputs = 11,                             \
    .shape = {MG_SHAPE(n, h, w, in), MG_SHAPE(in, e),  MG_SHAPE(e),  MG_SHAPE(k, k, e),            \
              MG_SHAPE(e),           MG_SHAPE(e, sq),  MG_SHAPE(sq), MG_SHAPE(sq, e),              \
              MG_SHAPE(e),           MG_SHAPE(e, out), MG_SHAPE(out)},                             \
    .fill = {MG_FILL_NORMAL, __VA_ARGS__,    MG_FILL_WEIGHT, MG_FILL_NORMAL, MG_FILL_WEIGHT,       \
             MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL}
#define EXPANDED   MG_FILL_WEIGHT, MG_FILL_NORMAL
#define UNEXPANDED MG_FILL_ABSENT, MG_FILL_ABSENT

EMULATOR_TEST(simt_sizes, mbconv) {
    static const mg_case cases[] = {
        {"tiles, residual, gated weights", BLOCK(3, 1, true, 2, 19, 11, 8, 48, 2, 8, EXPANDED)},
        {"5x5 stride 2", BLOCK(5, 2, false, 2, 21, 14, 8, 36, 2, 12, EXPANDED)},
        {"gated tensor", BLOCK(5, 1, true, 3, 3, 4, 16, 40, 4, 16, EXPANDED)},
        {"without expansion", BLOCK(3, 1, false, 2, 18, 9, 24, 24, 6, 16, UNEXPANDED)},
        {"any filter", BLOCK(7, 1, true, 2, 9, 6, 4, 12, 2, 4, EXPANDED)},
        {"any filter, without expansion", BLOCK(3, 3, false, 1, 9, 6, 12, 12, 2, 4, UNEXPANDED)},
    };
    check_cases(MG_OP_mbconv, cases, MG_COUNT(cases));
}

/* Five images in groups of two, two and one; then one by one. */
EMULATOR_TEST(simt_sizes, mbconv_in_groups) {
    static const mg_case cases[] = {
        {"groups, gated weights", BLOCK(3, 1, true, 5, 9, 8, 4, 24, 2, 4, EXPANDED)},
        {"groups, gated tensor", BLOCK(3, 2, false, 5, 9, 8, 4, 24, 2, 32, EXPANDED)},
    };
    static const char *const sizes[] = {"32", "0"}; /* an image of the first needs 13.5 KiB */
    for (int i = 0; i < MG_COUNT(sizes); i++) {
        setenv("MG_CUDA_SCRATCH_KIB", sizes[i], 1);
        check_cases(MG_OP_mbconv, cases, MG_COUNT(cases));
    }
}
