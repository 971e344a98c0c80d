/* audit_html.h: inside of the atlas. */
#ifndef MG_APPS_LIB_AUDIT_HTML_H
#define MG_APPS_LIB_AUDIT_HTML_H

#include "apps/lib/audit.h"

extern const char mg_audit_style[];

/* Reference and kernel side by side, and below the headers they include. */
mg_status mg_audit_html_sources(mg_text *t, const mg_audit_op *a, const char *source,
                                mg_error *err);

/* Estimates for GPUs and what ptxas said, two entries of the facts. */
void mg_audit_html_gpu(mg_text *t, const mg_audit_op *a, const char *source);

#endif
