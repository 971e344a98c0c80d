/* audit_machine.h: what this machine can do at best, measured: the two lines of the roofline. */
#ifndef MG_APPS_LIB_AUDIT_MACHINE_H
#define MG_APPS_LIB_AUDIT_MACHINE_H

#include "tensor/error.h"
#include "tensor/pool.h"

typedef struct mg_machine {
    char processor[80];
    const char *isa; /* instruction set in use */
    int threads;
    double flops; /* f32 multiply-adds on registers alone, per second, 2 flops each */
    double bytes; /* copying memory that no cache holds, read plus written, per second */
} mg_machine;

/* Takes about a third of a second with all threads of the pool and 2 x 32 MiB; best of several. */
mg_status mg_machine_measure(mg_pool *pool, mg_machine *out, mg_error *err);

/* The least time that so much work can take, and that as a share of the time it took. */
double mg_machine_floor(const mg_machine *machine, double flops, double bytes);
double mg_machine_share(const mg_machine *machine, double flops, double bytes, double seconds);

/* Seconds of a clock that only goes forward. */
double mg_seconds(void);

#endif
