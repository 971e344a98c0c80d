/* audit_highlight.h: C source as HTML, coloured, one element per line. */
#ifndef MG_APPS_LIB_AUDIT_HIGHLIGHT_H
#define MG_APPS_LIB_AUDIT_HIGHLIGHT_H

#include "data/text.h"

/* Each line becomes <span class="l">…</span>; lines of functions whose name speaks of the forward
 * or the backward pass also carry class "fw" or "bw". Inside, <b class="…">: c comment, s string,
 * n number, k keyword, t type, p preprocessor, f function. The text is escaped. */
void mg_highlight_c(const char *source, mg_text *out);

#endif
