/* apps/audit as a user meets it: the table, a page, JSON, the committed documentation,
 * the atlas. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "apps/lib/audit.h"
#include "apps/lib/audit_highlight.h"
#include "data/files.h"
#include "tensor/json.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(audit_app, .init = setup, .fini = scratch_remove, .timeout = 240);

/* Runs it with these arguments ("@" stands for the scratch folder); output goes to @/out, @/err. */
static int run(const char *arguments) {
    const char *apps = getenv("MG_APPS");
    char command[4096], *to = command;
    to += sprintf(to, "%s/audit ", apps ? apps : "build/bin");
    for (const char *c = arguments; *c; c++) {
        if (*c == '@') to += sprintf(to, "%s", scratch_path("."));
        else *to++ = *c;
    }
    sprintf(to, " >%s 2>%s", scratch_path("out"), scratch_path("err"));
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *contents(const char *path) {
    uint8_t *data = NULL;
    size_t size;
    mg_error err = {0};
    cr_assert_eq(mg_file_read(path, 0, &data, &size, &err), MG_OK, "%s", err.message);
    return (char *)data;
}

/* B4's whole forward pass as launches moves little more than a third of what single ops would. */
Test(audit_app, launches_of_a_network) {
    if (run("--device simt --json silu") != 0) cr_skip_test("--device simt is not built");
    cr_assert_eq(run("--model b4 --size 955x500 --batch 16 --launches"), 0);
    char *text = contents(scratch_path("out"));
    const char *totals = strstr(text, " launches, "), *share = strstr(text, "; this is ");
    double megabytes = 0, of_it = 1;
    cr_assert(totals && sscanf(totals, " launches, %lf MB", &megabytes) == 1);
    cr_assert(share && sscanf(share, "; this is %lf", &of_it) == 1);
    cr_expect(megabytes > 20000 && megabytes < 26000, "%g MB", megabytes);
    cr_expect(of_it > 0.3 && of_it <= 0.6, "%g of op by op", of_it);
    free(text);
}

static bool says(const char *file, const char *text) {
    char *data = contents(scratch_path("%s", file));
    bool found = strstr(data, text) != NULL;
    if (!found) fprintf(stderr, "%s: %s", file, data);
    free(data);
    return found;
}

static size_t count_of(const char *text, const char *word) {
    size_t n = 0;
    for (; (text = strstr(text, word)) != NULL; text++) n++;
    return n;
}

/* The committed pages are what the table says now: `make docs` brings them up to date. */
Test(audit_app, documentation_is_up_to_date) {
    cr_assert_eq(run("--docs @/docs"), 0);
    for (int id = -1; id < MG_OP_COUNT; id++) {
        const char *name = id < 0 ? "index" : mg_op_get((mg_op_id)id, MG_F32)->name;
        char committed[256];
        snprintf(committed, sizeof committed, "docs/ops/%s.md", name);
        char *fresh = contents(scratch_path("docs/%s.md", name)), *old = contents(committed);
        cr_expect_str_eq(old, fresh, "%s is out of date: run make docs", committed);
        free(fresh);
        free(old);
    }
}

Test(audit_app, one_op_as_page_and_as_json) {
    cr_assert_eq(run("silu --quick"), 0);
    cr_assert(says("out", "x times its sigmoid") && says("out", "saturated") &&
              says("out", "arXiv:1702.03118") && says("out", "ops/cpu/silu.c"));
    cr_assert_eq(run("silu add --json --seconds 0.001 --threads 1"), 0);
    char *text = contents(scratch_path("out"));
    mg_error err = {0};
    mg_json_document *d = mg_json_parse(text, strlen(text), &err);
    cr_assert(d, "%s", err.message);
    const mg_json *machine = mg_json_get(mg_json_root(d), "machine");
    double flops = 0, bytes = 0;
    cr_assert(mg_json_get_real(machine, "flops_per_s", &flops) && flops > 1e8);
    cr_assert(mg_json_get_real(machine, "bytes_per_s", &bytes) && bytes > 1e7);
    cr_assert_eq(count_of(text, "\"passed\": true"), 2);
    cr_assert_eq(count_of(text, "\"gradient_error\""),
                 2 + (size_t)(mg_op_get(MG_OP_silu, MG_F32)->case_count +
                              mg_op_get(MG_OP_add, MG_F32)->case_count));
    mg_json_free(d);
    free(text);
}

Test(audit_app, atlas_holds_both_sources) {
    cr_assert_eq(run("silu --html @/silu.html"), 0);
    char *page = contents(scratch_path("silu.html"));
    cr_expect(strstr(page, "<code>ops/silu.c</code>") &&
              strstr(page, "<code>ops/cpu/silu.c</code>"));
    cr_expect(strstr(page, "dx += dy * s * (1 + x * (1 - s))"));
    cr_expect(strstr(page, "<span class=\"l bw\">"));
    cr_expect_eq(count_of(page, "<span "), count_of(page, "</span>"));
    cr_expect_eq(count_of(page, "<b "), count_of(page, "</b>"));
    free(page);
    cr_assert_eq(run("silu tanh --html @/atlas"), 0);
    cr_assert(says("atlas/index.html", "tanh.html") && says("atlas/tanh.html", "silu.html"));
    cr_assert_eq(run("silu --html @/x.html --source @/nowhere"), 1);
    cr_assert(says("err", "ops/silu.c") && says("err", "--source"));
}

/* What scripts read: one line a job, with numbers that hang together. */
static void expect_line(const char *text, const char *name) {
    char start[64];
    double seconds = 0, gflops = 0, share = 0, rss = 0;
    snprintf(start, sizeof start, "\n%s median_s=", name);
    cr_assert_eq(count_of(text, start), 1, "%s", text);
    int n = sscanf(strstr(text, start) + strlen(start), "%lf gflops=%lf peak_share=%lf rss_mb=%lf",
                   &seconds, &gflops, &share, &rss);
    cr_assert_eq(n, 4, "%s", text);
    cr_expect(seconds > 0 && gflops > 0 && share > 0 && share < 1.5 && rss > 1, "%s", text);
}

Test(audit_app, times_a_network) {
    cr_assert_eq(run("--model pico --size 64x48 --batch 2 --threads 2 --runs 2 --train "
                     "--unfreeze 2 --plot @/layers.png"),
                 0);
    char *text = contents(scratch_path("out"));
    expect_line(text, "forward");
    expect_line(text, "train_step");
    cr_expect(strstr(text, "depthwise_conv") && strstr(text, "mbconv") && strstr(text, " bwd "));
    free(text);
    char *png = contents(scratch_path("layers.png"));
    cr_expect_eq(memcmp(png, "\x89PNG", 4), 0);
    free(png);
    cr_assert_eq(run("--model pico --size 64x48 --runs 1"), 0);
    text = contents(scratch_path("out"));
    expect_line(text, "forward");
    cr_expect(!strstr(text, "train_step") && !strstr(text, " bwd "));
    free(text);
    cr_assert_eq(run("--model b9"), 2);
    cr_assert_eq(run("--model b0 --size 12"), 2);
    cr_assert_eq(run("--model b0 silu"), 2);
}

Test(audit_app, wrong_usage) {
    cr_assert_eq(run("no_such_op"), 2);
    cr_assert(says("err", "'no_such_op' is no op"));
    cr_assert_eq(run("--device toaster"), 2);
}

/* --- inside ----------------------------------------------------------------------------------- */

/* An element off by far more than its bound, and an element outside the buffer. */
static void wrong_forward(const mg_op_call *c) {
    mg_op_get(MG_OP_silu, MG_F32)->reference.forward(c);
    ((float *)c->y)[0] += 0.01f;
}
static void overrun_forward(const mg_op_call *c) {
    mg_op_get(MG_OP_silu, MG_F32)->reference.forward(c);
    ((float *)c->y)[mg_shape_elements(&c->y_shape)] = 1;
}
static int calls;
static void moody_forward(const mg_op_call *c) {
    mg_op_get(MG_OP_silu, MG_F32)->reference.forward(c);
    float *y = c->y;
    if (calls++ & 1) y[0] = y[0] * (1 + 0x1p-22f);
}

static mg_audit_op audit_with(void (*forward)(const mg_op_call *c)) {
    mg_kernels k = mg_op_get(MG_OP_silu, MG_F32)->reference;
    k.forward = forward;
    mg_op_bind(MG_OP_silu, MG_DEVICE_SIMT, &k);
    mg_audit_pools pools = {0};
    mg_audit_op a;
    mg_error err = {0};
    cr_assert_eq(mg_audit_pools_open(&pools, &err), MG_OK);
    cr_assert_eq(mg_audit_run(MG_OP_silu, MG_DEVICE_SIMT, &pools, &a, &err), MG_OK, "%s",
                 err.message);
    mg_audit_pools_close(&pools);
    return a;
}

Test(audit, broken_kernels_fail_the_check_they_break) {
    mg_audit_op a = audit_with(mg_op_get(MG_OP_silu, MG_F32)->reference.forward);
    cr_expect(!a.failed && a.verdict[MG_AUDIT_BITS] == MG_VERDICT_NONE);
    mg_audit_free(&a);
    a = audit_with(wrong_forward);
    cr_expect(a.failed && a.verdict[MG_AUDIT_BOUND] == MG_VERDICT_FAIL &&
              a.verdict[MG_AUDIT_GUARDS] == MG_VERDICT_PASS && a.forward_error > 1);
    mg_audit_free(&a);
    a = audit_with(overrun_forward);
    cr_expect_eq(a.verdict[MG_AUDIT_GUARDS], MG_VERDICT_FAIL);
    mg_audit_free(&a);
    a = audit_with(moody_forward);
    cr_expect_eq(a.verdict[MG_AUDIT_REPEAT], MG_VERDICT_FAIL);
    mg_audit_free(&a);
}

Test(audit, every_op_has_a_typical_call) {
    for (int id = 0; id < MG_OP_COUNT; id++) {
        mg_op_call call;
        mg_error err = {0};
        cr_expect_eq(mg_audit_workload_call((mg_op_id)id, &call, &err), MG_OK, "%s", err.message);
        mg_cost cost = mg_op_get((mg_op_id)id, MG_F32)->cost(&call);
        cr_expect(cost.forward_bytes > 0, "%s", mg_op_get((mg_op_id)id, MG_F32)->name);
    }
}

Test(audit, highlights_c) {
    mg_text t = {0};
    mg_highlight_c("/* a\n b */\nstatic int forward_x(int a) {\n    return a < 'x' + 1e-3f;\n}\n"
                   "#if X // \"y\"\nint z;",
                   &t);
    cr_expect_str_eq(
        t.data,
        "<span class=\"l\"><b class=\"c\">/* a</b>\n</span><span class=\"l\"><b class=\"c\"> b "
        "*/</b>\n"
        "</span><span class=\"l fw\"><b class=\"k\">static</b> <b class=\"t\">int</b> "
        "<b class=\"f\">forward_x</b>(<b class=\"t\">int</b> a) {\n</span><span class=\"l fw\">    "
        "<b class=\"k\">return</b> a &lt; <b class=\"s\">'x'</b> + <b "
        "class=\"n\">1e-3f</b>;\n</span>"
        "<span class=\"l fw\">}\n</span><span class=\"l\"><b class=\"p\">#if</b> X <b "
        "class=\"c\">// "
        "\"y\"</b>\n</span><span class=\"l\"><b class=\"t\">int</b> z;\n</span>");
    mg_text_free(&t);
}
