/* audit_counts.h: what CUDA kernels ask of memory, counted by the emulator, as Markdown. */
#ifndef MG_APPS_LIB_AUDIT_COUNTS_H
#define MG_APPS_LIB_AUDIT_COUNTS_H

#include "ops/device.h"
#include "ops/check.h"

/* Counts of forward or backward kernels on one case, from the emulator with its checker; backward
 * for the gradients `wanted` (bits; ~0u: all), which it writes instead of adding where `staged`
 * says that it can (overwrites). */
mg_status mg_audit_count_wanted(mg_op_id id, const mg_case *test_case, const mg_kernels *staged,
                                bool backward, uint32_t wanted, mg_access_counts *out,
                                mg_error *err);
/* The same for all gradients. */
mg_status mg_audit_count(mg_op_id id, const mg_case *test_case, const mg_kernels *staged,
                         bool backward, mg_access_counts *out, mg_error *err);
/* Bytes that must move: inputs once, outputs once; backward without the gradients that are not
 * wanted. */
double mg_audit_compulsory(const mg_op *op, const mg_op_call *call, bool backward, uint32_t wanted);
/* Opens the emulator with its checker; fails where it is not built. */
mg_status mg_audit_counting(const mg_device_plugin **plugin, mg_error *err);

/* Prints a table of every op at its typical size (mg_audit_workload), and of some ops at others
 * where they go another way: bytes touched as a share of the compulsory ones, sectors per request,
 * turns of shared memory. */
mg_status mg_audit_print_counts(const mg_op_id *ids, size_t count, mg_error *err);
/* Prints the teaching ladders, a table an op; `source` is where `make cuda` left ptxas's
 * reports. */
mg_status mg_audit_print_ladders(const char *source, mg_error *err);

#endif
