/* audit_html_sources.c: the sources of an op in the atlas (audit_html.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/audit_highlight.h"
#include "apps/lib/audit_html.h"
#include "data/files.h"

enum { MOST_HEADERS = 12 };

typedef struct headers {
    char name[MOST_HEADERS][64];
    int count;
} headers;

static mg_status read_source(const char *folder, const char *name, char **out, mg_error *err) {
    char *path = mg_path_join(folder, name);
    if (!path) return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", name);
    size_t size;
    mg_status s = mg_file_read(path, 0, (uint8_t **)out, &size, err);
    if (s) mg_error_prefix(err, "source of the atlas (--source names the tree)");
    free(path);
    return s;
}

/* Headers that every op shares say nothing about this one. */
static bool telling(const char *name) {
    static const char *const shared[] = {"ops/op.h", "ops/table.h", "ops/cpu/vec.h",
                                         "cuda/kernel.h", "cuda/runtime.h"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (strcmp(name, shared[i]) == 0) return false;
    return strncmp(name, "ops/", 4) == 0 || strncmp(name, "cuda/", 5) == 0;
}

static void collect(headers *h, const char *text) {
    for (const char *at = text; (at = strstr(at, "#include \"")) != NULL;) {
        at += strlen("#include \"");
        char name[64];
        size_t size = strcspn(at, "\"\n");
        if (size >= sizeof name) continue;
        memcpy(name, at, size);
        name[size] = 0;
        bool known = !telling(name);
        for (int i = 0; i < h->count && !known; i++) known = strcmp(h->name[i], name) == 0;
        if (!known && h->count < MOST_HEADERS) memcpy(h->name[h->count++], name, sizeof name);
    }
}

static mg_status figure(mg_text *t, const char *folder, const char *name, const char *what,
                        headers *h, mg_error *err) {
    char *text = NULL;
    mg_status s = read_source(folder, name, &text, err);
    if (s) return s;
    collect(h, text);
    mg_text_add(t, "<figure><figcaption><code>");
    mg_text_escaped(t, name);
    mg_text_format(t,
                   "</code><span class=\"soft\">%s</span></figcaption>\n<pre class=\"code\" "
                   "tabindex=\"0\">",
                   what);
    mg_highlight_c(text, t);
    mg_text_add(t, "</pre></figure>\n");
    free(text);
    return MG_OK;
}

mg_status mg_audit_html_sources(mg_text *t, const mg_audit_op *a, const char *source,
                                mg_error *err) {
    char reference[96], kernel[96], cuda[96];
    headers h = {0};
    snprintf(reference, sizeof reference, "ops/%s.c", a->op->name);
    snprintf(kernel, sizeof kernel, "ops/cpu/%s.c", a->op->name);
    snprintf(cuda, sizeof cuda, "cuda/%s.cu", a->op->name);
    mg_text_add(t, "<p class=\"soft key\"><i></i>forward <i></i>backward</p>\n"
                   "<details open><summary>Reference: the definition</summary>\n");
    mg_status s = figure(t, source, reference, "reference and cases", &h, err);
    mg_text_add(t, "</details>\n<div class=\"pair\">");
    if (!s) s = figure(t, source, kernel, "CPU, every instruction set", &h, err);
    if (!s)
        s = figure(t, source, cuda, "GPU (checked in the emulator, not yet run on one)", &h, err);
    mg_text_add(t, "</div>\n");
    for (int i = 0; i < h.count && !s; i++) { /* collects on the way: headers of headers too */
        mg_text_format(t, "<details%s><summary><code>%s</code></summary>\n",
                       i == 0 ? " style=\"margin-top:18px\"" : "", h.name[i]);
        s = figure(t, source, h.name[i], "included", &h, err);
        mg_text_add(t, "</details>\n");
    }
    return s;
}
