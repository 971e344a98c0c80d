#include "tensor/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

mg_status mg_fail_at(mg_error *err, mg_status code, const char *file, int line, const char *format,
                     ...) {
    if (!err || err->code != MG_OK) return code;
    err->code = code;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

void mg_error_prefix(mg_error *err, const char *format, ...) {
    if (!err || err->code == MG_OK) return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof err->message) return;
    snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", old);
}

void mg_error_clear(mg_error *err) {
    if (err) *err = (mg_error){0};
}

const char *mg_status_name(mg_status code) {
    static const char *const names[MG_STATUS_COUNT] = {
        "ok",     "argument",    "shape",   "memory", "io",
        "format", "unsupported", "numeric", "device", "interrupted",
    };
    return (unsigned)code < MG_STATUS_COUNT ? names[code] : "unknown";
}

void mg_assert_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "mammograd: internal error: %s (%s:%d)\n", condition, file, line);
    abort();
}
