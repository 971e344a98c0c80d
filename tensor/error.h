/* error.h: how every layer reports failure.
 *
 * Functions that can fail because of the outside world (files, memory, arguments) return an
 * mg_status and take an `mg_error *err` (may be NULL) that receives one formatted message. The
 * first failure wins: a later mg_fail() on the same mg_error leaves it as it is, so the cause is
 * never hidden by its consequences. No allocation, no printing, no exit. Impossible states (our
 * bugs) abort through MG_ASSERT with their location. */
#ifndef MG_TENSOR_ERROR_H
#define MG_TENSOR_ERROR_H

#include <stdarg.h>

typedef enum mg_status {
    MG_OK = 0,
    MG_ERR_ARG,         /* the caller asked for something that makes no sense */
    MG_ERR_SHAPE,       /* tensor shapes that do not fit an op */
    MG_ERR_MEMORY,      /* allocation failed or a stated limit was reached */
    MG_ERR_IO,          /* the operating system said no (message carries errno's text) */
    MG_ERR_FORMAT,      /* a file breaks its format's rules */
    MG_ERR_UNSUPPORTED, /* legal, but not something we read */
    MG_ERR_NUMERIC,     /* NaN or infinity where a number was needed */
    MG_ERR_DEVICE,      /* CUDA or another device failed */
    MG_ERR_INTERRUPTED, /* stopped on request */
    MG_STATUS_COUNT
} mg_status;

typedef struct mg_error {
    mg_status code;   /* MG_OK while nothing failed */
    const char *file; /* source location that reported it */
    int line;
    char message[480]; /* what failed, where, and what to do; UTF-8, one line */
} mg_error;

/* Records a failure and returns its code. err == NULL only returns the code. */
#define mg_fail(err, code, ...) mg_fail_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

mg_status mg_fail_at(mg_error *err, mg_status code, const char *file, int line, const char *format,
                     ...) __attribute__((format(printf, 5, 6)));

/* Puts "context: " before a message already recorded, for callers that know the file's name. */
void mg_error_prefix(mg_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the failure so that the struct can be used again. */
void mg_error_clear(mg_error *err);

/* A short lower-case name of the code ("format", "io", …). Never NULL. */
const char *mg_status_name(mg_status code);

/* Our own bug: print the location and abort. Stays in optimised builds. */
#define MG_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : mg_assert_failed(#condition, __FILE__, __LINE__))
void mg_assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
