/* progress.h: one line on a terminal that says how far a loop is. Nothing is drawn when stderr is
 * not a terminal; lines of text go through mg_progress_clear() first. */
#ifndef MG_APPS_LIB_PROGRESS_H
#define MG_APPS_LIB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mg_progress {
    const char *label;
    int64_t total, done;
    double started, drawn;
    bool terminal;
} mg_progress;

double mg_clock(void); /* seconds, monotonic */

void mg_progress_start(mg_progress *p, const char *label, int64_t total);
/* Redraws at most ten times a second. `detail` follows the bar, e.g. "loss 0.61  18 images/s". */
void mg_progress_update(mg_progress *p, int64_t done, const char *detail);
void mg_progress_clear(mg_progress *p);

/* "1:05", "2:03:09" */
void mg_duration_text(double seconds, char *out, unsigned long size);

#endif
