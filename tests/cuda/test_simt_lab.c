/* The teaching ladders in the emulator: every level of every ladder on every case of its op, like the
 * production kernels (test_simt_ops.c); and the table lists every file of cuda/lab. */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "ops/check.h"
#include "ops/device.h"

static const mg_device_plugin *plugin;

static void open_device(void) {
    mg_device device;
    mg_error err = {0};
    if (mg_device_open("simt", &device, &plugin, &err)) {
        cr_assert(strstr(err.message, "not built"), "%s", err.message);
        cr_skip_test("%s", err.message);
    }
}

static void check_ladder(mg_op_id id) {
    const mg_op *op = mg_op_get(id, MG_F32);
    int levels = 0;
    for (const mg_lab_level *const *l = plugin->lab; *l; l++) {
        if ((*l)->op != id) continue;
        cr_expect_eq((*l)->level, ++levels, "levels count up from 1");
        mg_device_check worst = {0};
        for (int k = 0; k < op->case_count; k++) {
            mg_device_check r;
            mg_error err = {0};
            mg_status s = mg_check_device(id, &op->cases[k], mg_staged_lab_kernels(*l, plugin),
                                          NULL, &r, &err);
            const char *failure = plugin->memory->failure(true);
            cr_expect(!failure, "level %d, %s: %s", levels, op->cases[k].name,
                      failure ? failure : "");
            cr_expect_eq(s, MG_OK, "level %d: %s", levels, err.message);
            if (r.forward > worst.forward) worst.forward = r.forward;
        }
        printf("simt     %s level %d, %-12s error %.2f of the bound\n", op->name, levels,
               (*l)->name, worst.forward);
    }
    cr_expect(levels >= 4 && levels <= 6, "%s has %d levels", op->name, levels);
}

Test(simt_lab, depthwise_conv, .init = open_device) { check_ladder(MG_OP_depthwise_conv); }
Test(simt_lab, batch_norm, .init = open_device) { check_ladder(MG_OP_batch_norm); }
Test(simt_lab, squeeze_excite, .init = open_device) { check_ladder(MG_OP_squeeze_excite); }

Test(simt_lab, every_file_is_listed, .init = open_device) {
    glob_t files;
    cr_assert_eq(glob("cuda/lab/*/level_*.cu", 0, NULL, &files), 0);
    size_t listed = 0;
    for (const mg_lab_level *const *l = plugin->lab; *l; l++, listed++) {
        size_t i = 0;
        while (i < files.gl_pathc && !strstr((*l)->file, files.gl_pathv[i])) i++;
        cr_expect_lt(i, files.gl_pathc, "%s is no file", (*l)->file);
    }
    cr_expect_eq(listed, files.gl_pathc, "%zu levels, %zu files", listed, files.gl_pathc);
    globfree(&files);
}
