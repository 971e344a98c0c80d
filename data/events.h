/* events.h: TensorBoard event files, so that people's usual viewer opens a run.
 *
 * A file is a sequence of TFRecords (u64 length, masked CRC-32C of the length, payload, masked
 * CRC-32C of the payload; little-endian); each payload is a protobuf `Event` (double wall_time = 1,
 * int64 step = 2, string file_version = 3, Summary summary = 5), here with scalar summaries only:
 * Summary.Value {string tag = 1, float simple_value = 2}. */
#ifndef MG_DATA_EVENTS_H
#define MG_DATA_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/error.h"

typedef struct mg_events mg_events;

/* Opens `path`; its name must contain "tfevents" for TensorBoard to see it
 * (RUN/events.out.tfevents.mammograd). keep_through < 0 starts a new file; otherwise whole, intact
 * records with step <= keep_through stay and what follows is cut off, so that a resumed run has
 * every step once. wall_time (seconds since 1970) stamps the file's first record. */
mg_events *mg_events_open(const char *path, int64_t keep_through, double wall_time, mg_error *err);

/* Appends one scalar; on the disk after mg_events_flush() or close. Step is the epoch or the
 * training step; tags with a slash are grouped ("loss/train"). */
mg_status mg_events_scalar(mg_events *events, const char *tag, int64_t step, double value,
                           double wall_time, mg_error *err);
mg_status mg_events_flush(mg_events *events, mg_error *err);
/* Flushes; the status of that. Frees in any case. */
mg_status mg_events_close(mg_events *events, mg_error *err);

/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) and TFRecord's mask of it:
 * rotate right by 15, add 0xa282ead8. */
uint32_t mg_crc32c(const void *data, size_t size);
uint32_t mg_crc32c_masked(const void *data, size_t size);

#endif
