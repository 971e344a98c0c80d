/* The teaching ladders in the emulator: every level of every ladder on every case of its op, like
 * the production kernels (test_simt_ops.c), plain and under the checker in random order; and the
 * table lists every file of cuda/lab. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/check.h"
#include "tests/lib/emulator.h"

static void check_case(const mg_lab_level *l, const mg_case *c, mg_device_check *worst) {
    mg_device_check r;
    mg_error err = {0};
    mg_status s = mg_check_device(l->op, c, mg_staged_lab_kernels(l, emulator), NULL, &r, &err);
    cr_assert_eq(s, MG_OK, "level %d: %s", l->level, err.message);
    emulator_expect_clean(c->name);
    if (r.forward > worst->forward) worst->forward = r.forward;
}

/* MG_LAB_FILE=cuda/lab/…/level_1_naive.cu picks one level (mutation test). */
static bool chosen(const mg_lab_level *l) {
    const char *file = getenv("MG_LAB_FILE");
    return !file || strstr(l->file, file);
}

/* On the op's cases, and on `more`: channels in fours and several blocks in every direction. */
static void check_ladder(mg_op_id id, const mg_case *more, int count) {
    const mg_op *op = mg_op_get(id, MG_F32);
    int levels = 0;
    for (const mg_lab_level *const *l = emulator->lab; *l; l++) {
        if ((*l)->op != id) continue;
        cr_expect_eq((*l)->level, ++levels, "levels count up from 1");
        if (!chosen(*l)) continue;
        mg_device_check worst = {0};
        for (int k = 0; k < op->case_count; k++) check_case(*l, &op->cases[k], &worst);
        for (int k = 0; k < count; k++) check_case(*l, &more[k], &worst);
        printf("simt     %s level %d, %-12s error %.2f of the bound\n", op->name, levels,
               (*l)->name, worst.forward);
    }
    cr_expect(levels >= 4 && levels <= 6, "%s has %d levels", op->name, levels);
}

#define DEPTHWISE(text, k, s, n, h, w, c)                                                          \
    {                                                                                              \
        text, {.kernel = k, .stride = s}, 2, {MG_SHAPE(n, h, w, c), MG_SHAPE(k, k, c)}, .fill = {  \
            MG_FILL_NORMAL,                                                                        \
            MG_FILL_WEIGHT                                                                         \
        }                                                                                          \
    }

static void check_depthwise_conv(void) {
    static const mg_case more[] = {
        DEPTHWISE("3x3, wide", 3, 1, 2, 17, 9, 40),
        DEPTHWISE("5x5, wide", 5, 1, 1, 18, 10, 36),
        DEPTHWISE("5x5 stride 2, wide", 5, 2, 1, 19, 11, 40),
        DEPTHWISE("7x7", 7, 1, 1, 5, 6, 4),
    };
    check_ladder(MG_OP_depthwise_conv, more, MG_COUNT(more));
}

static void check_batch_norm(void) {
    static const mg_case more[] = {
        {"wide, chunks",
         {.training = true, .eps = 1e-3, .momentum = 0.1},
         5,
         {MG_SHAPE(2, 17, 19, 40), MG_SHAPE(40), MG_SHAPE(40), MG_SHAPE(40), MG_SHAPE(40)},
         .fill = {MG_FILL_OFFSET, MG_FILL_NORMAL, MG_FILL_NORMAL, MG_FILL_NORMAL,
                  MG_FILL_POSITIVE}},
    };
    check_ladder(MG_OP_batch_norm, more, MG_COUNT(more));
}

static void check_squeeze_excite(void) {
    static const mg_case more[] = {
        {"wide, chunks", .inputs = 5,
         .shape = {MG_SHAPE(3, 17, 11, 264), MG_SHAPE(264, 10), MG_SHAPE(10), MG_SHAPE(10, 264),
                   MG_SHAPE(264)},
         .fill = {MG_FILL_NORMAL, MG_FILL_WEIGHT, MG_FILL_NORMAL, MG_FILL_WEIGHT}},
    };
    check_ladder(MG_OP_squeeze_excite, more, MG_COUNT(more));
}

#define LADDER(op)                                                                                 \
    EMULATOR_TEST(simt_lab, op) { check_##op(); }
LADDER(depthwise_conv)
LADDER(batch_norm)
LADDER(squeeze_excite)

Test(simt_lab, every_file_is_listed, .init = emulator_open) {
    glob_t files;
    cr_assert_eq(glob("cuda/lab/*/level_*.cu", 0, NULL, &files), 0);
    size_t listed = 0;
    for (const mg_lab_level *const *l = emulator->lab; *l; l++, listed++) {
        size_t i = 0;
        while (i < files.gl_pathc && !strstr((*l)->file, files.gl_pathv[i])) i++;
        cr_expect_lt(i, files.gl_pathc, "%s is no file", (*l)->file);
    }
    cr_expect_eq(listed, files.gl_pathc, "%zu levels, %zu files", listed, files.gl_pathc);
    globfree(&files);
}
