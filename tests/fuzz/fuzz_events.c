/* Resuming any file as an event file: it is cut to its intact records, and what is appended then
 * stays when it is resumed again. The first byte says which step to keep. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static off_t resume(const char *path, int64_t keep_through, int append) {
    mg_error err = {0};
    mg_events *e = mg_events_open(path, keep_through, 1, &err);
    MG_ASSERT(e);
    if (append) MG_ASSERT(mg_events_scalar(e, "loss", keep_through, 0.5, 2, &err) == MG_OK);
    MG_ASSERT(mg_events_close(e, &err) == MG_OK);
    FILE *f = fopen(path, "rb");
    MG_ASSERT(f && fseek(f, 0, SEEK_END) == 0);
    off_t size = ftell(f);
    fclose(f);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int file = memfd_create("events", 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    MG_ASSERT(file >= 0 && write(file, data + 1, size - 1) == (ssize_t)size - 1);
    off_t first = resume(path, data[0], 1);
    MG_ASSERT(resume(path, data[0], 0) == first);
    close(file);
    return 0;
}
