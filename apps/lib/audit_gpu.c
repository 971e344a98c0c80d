/* audit_gpu.c: what can be said of an op's CUDA kernels without a GPU: what the compiler made of
 * them, and how fast a GPU's memory and arithmetic would let a typical call be (audit.h). */
#include <stdio.h>

#include "apps/lib/audit.h"
#include "apps/lib/audit_device.h"
#include "apps/lib/audit_html.h"
#include "apps/lib/audit_launches.h"

enum { KERNELS = 64 };

static const char no_report[] = "no report of ptxas: `make cuda` writes one where nvcc is found";

void mg_audit_print_gpu(const mg_audit_op *a, const char *source) {
    printf("\non a GPU, estimated: max(bytes / bandwidth, flops / peak); not timed\n");
    for (int i = 0; i < mg_gpu_count; i++) {
        const mg_gpu *g = &mg_gpus[i];
        printf("    %-6s %6.1f TB/s %6.1f TFLOP/s  forward %8.2f us", g->name, g->bytes * 1e-12,
               g->flops * 1e-12,
               1e6 * mg_gpu_seconds(g, a->cost.forward_bytes, a->cost.forward_flops));
        if (a->has_backward)
            printf("  backward %8.2f us",
                   1e6 * mg_gpu_seconds(g, a->cost.backward_bytes, a->cost.backward_flops));
        printf("\n");
    }
    mg_ptxas k[KERNELS];
    int n = mg_ptxas_read(source, a->op->name, k, KERNELS);
    printf("\ncompiled      %s\n", n ? "registers, shared bytes, spilled bytes, stack" : no_report);
    for (int i = 0; i < n; i++)
        printf("    %-32s %-6s %4d %7d %5d %5d\n", k[i].kernel, k[i].arch, k[i].registers,
               k[i].shared_bytes, k[i].spill_bytes, k[i].stack_bytes);
}

static void html_estimates(mg_text *t, const mg_audit_op *a) {
    mg_text_add(t, "<div><h3>On a GPU, estimated</h3><table><thead><tr><th></th><th class=\"r\">"
                   "TB/s</th><th class=\"r\">TFLOP/s</th><th class=\"r\">forward</th>"
                   "<th class=\"r\">backward</th></tr></thead><tbody>\n");
    for (int i = 0; i < mg_gpu_count; i++) {
        const mg_gpu *g = &mg_gpus[i];
        mg_text_format(t,
                       "<tr><th>%s</th><td class=\"r\">%.1f</td><td class=\"r\">%.1f</td>"
                       "<td class=\"r\">%.1f µs</td>",
                       g->name, g->bytes * 1e-12, g->flops * 1e-12,
                       1e6 * mg_gpu_seconds(g, a->cost.forward_bytes, a->cost.forward_flops));
        if (a->has_backward)
            mg_text_format(t, "<td class=\"r\">%.1f µs</td></tr>\n",
                           1e6 * mg_gpu_seconds(g, a->cost.backward_bytes, a->cost.backward_flops));
        else mg_text_add(t, "<td class=\"r soft\">–</td></tr>\n");
    }
    mg_text_add(t, "</tbody></table><p class=\"soft\" style=\"margin-top:.5rem\">max(bytes / "
                   "bandwidth, flops / peak) of the typical call; nothing was timed on a GPU.</p>"
                   "</div>\n");
}

void mg_audit_html_gpu(mg_text *t, const mg_audit_op *a, const char *source) {
    html_estimates(t, a);
    mg_ptxas k[KERNELS];
    int n = mg_ptxas_read(source, a->op->name, k, KERNELS);
    mg_text_add(t, "<div><h3>CUDA kernels as compiled</h3>");
    if (!n) mg_text_format(t, "<p class=\"soft\">%s</p>", no_report);
    else
        mg_text_add(t, "<div class=\"scroll\"><table><thead><tr><th>kernel</th><th></th>"
                       "<th class=\"r\">registers</th><th class=\"r\">shared</th>"
                       "<th class=\"r\">spills</th></tr></thead><tbody>\n");
    for (int i = 0; i < n; i++)
        mg_text_format(t,
                       "<tr><td><code>%s</code></td><td>%s</td><td class=\"r\">%d</td>"
                       "<td class=\"r\">%d B</td><td class=\"r\">%d B</td></tr>\n",
                       k[i].kernel, k[i].arch, k[i].registers, k[i].shared_bytes, k[i].spill_bytes);
    mg_text_add(t, n ? "</tbody></table></div></div>\n" : "</div>\n");
}
