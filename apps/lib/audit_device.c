#include "apps/lib/audit_device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mg_device_plugin *plugins[MG_DEVICE_COUNT];

mg_status mg_audit_device_open(const char *spec, mg_device *device, mg_error *err) {
    if (strncmp(spec, "simt", 4) == 0) {
        setenv("MG_SIMT", "check", 0);
        setenv("SIMT_ABORT", "0", 0);
    }
    const mg_device_plugin *plugin = NULL;
    mg_status s = mg_device_open(spec, device, &plugin, err);
    if (!s) plugins[*device] = plugin;
    return s;
}

const mg_kernels *mg_audit_kernels(mg_op_id id, mg_device device) {
    return plugins[device] ? mg_staged_kernels(id, plugins[device])
                           : mg_op_kernels(id, device, MG_F32);
}

int mg_audit_findings(mg_device device) {
    const mg_device_plugin *p = plugins[device];
    return p && p->findings ? p->findings() : -1;
}

/* --- ptxas ------------------------------------------------------------------------------------ */

/* "_Z10map_kernelI4siluEvT_…" -> "map_kernel": the first name of a mangled one. Inside a
 * namespace or an anonymous one the names come in a row; the last is the kernel's. */
static void plain_name(const char *mangled, char *out, size_t size) {
    const char *at = mangled;
    if (strncmp(at, "_Z", 2) == 0) at += 2;
    const bool nested = *at == 'N'; /* else what follows the name are types of parameters */
    if (nested) at++;
    snprintf(out, size, "%s", mangled);
    while (isdigit((unsigned char)*at)) {
        char *name;
        long n = strtol(at, &name, 10);
        if (n < 1 || (size_t)n > strlen(name)) return;
        snprintf(out, size, "%.*s", (int)n, name);
        at = name + n;
        if (!nested) return;
    }
}

/* The number before `unit` in a line such as "Used 30 registers, 128 bytes smem"; 0 without. */
static int number_before(const char *line, const char *unit) {
    const char *at = strstr(line, unit);
    if (!at || at == line) return 0;
    at--;
    while (at > line && *at == ' ') at--;
    while (at > line && isdigit((unsigned char)at[-1])) at--;
    return atoi(at);
}

int mg_ptxas_read(const char *source, const char *op, mg_ptxas *out, int room) {
    char path[1024], line[1024];
    snprintf(path, sizeof path, "%s/build/cuda/cuda/%s.ptxas", source, op);
    FILE *f = fopen(path, "r");
    int count = 0;
    while (f && fgets(line, sizeof line, f)) {
        const char *entry = strstr(line, "Compiling entry function '");
        if (entry) {
            if (count == room) break;
            mg_ptxas *k = &out[count++];
            *k = (mg_ptxas){0};
            char mangled[512] = "";
            sscanf(entry, "Compiling entry function '%511[^']' for '%11[^']'", mangled, k->arch);
            plain_name(mangled, k->kernel, sizeof k->kernel);
        } else if (count && strstr(line, "bytes stack frame")) {
            out[count - 1].stack_bytes = number_before(line, " bytes stack frame");
            out[count - 1].spill_bytes = number_before(line, " bytes spill stores") +
                                         number_before(line, " bytes spill loads");
        } else if (count && strstr(line, "Used ")) {
            out[count - 1].registers = number_before(line, " registers");
            out[count - 1].shared_bytes = number_before(line, " bytes smem");
        }
    }
    if (f) fclose(f);
    return count;
}
