#include "apps/lib/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double mg_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void mg_duration_text(double seconds, char *out, unsigned long size) {
    long s = seconds < 0 ? 0 : (long)(seconds + 0.5);
    if (s >= 3600) snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

void mg_progress_start(mg_progress *p, const char *label, int64_t total) {
    *p = (mg_progress){
        .label = label, .total = total, .started = mg_clock(), .terminal = isatty(STDERR_FILENO)};
}

void mg_progress_update(mg_progress *p, int64_t done, const char *detail) {
    p->done = done;
    double now = mg_clock();
    if (!p->terminal || (done < p->total && now - p->drawn < 0.1)) return;
    p->drawn = now;
    struct winsize window = {0};
    int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
    enum { BAR = 20 };
    double share = p->total ? (double)done / (double)p->total : 1;
    char bar[BAR + 1], left[24], line[512];
    for (int i = 0; i < BAR; i++) bar[i] = (double)i < share * BAR ? '#' : '.';
    bar[BAR] = 0;
    double elapsed = now - p->started;
    mg_duration_text(share > 0 ? elapsed / share - elapsed : 0, left, sizeof left);
    snprintf(line, sizeof line, "%s [%s] %lld/%lld  %s  %s left", p->label, bar, (long long)done,
             (long long)p->total, detail ? detail : "", left);
    if (columns > 1 && (int)strlen(line) >= columns) line[columns - 1] = 0;
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
}

void mg_progress_clear(mg_progress *p) {
    if (p->terminal) fputs("\r\033[K", stderr);
}
