/* weights.h: what the fuzz targets do with a weight file that was read. */
#ifndef MG_TESTS_FUZZ_WEIGHTS_H
#define MG_TESTS_FUZZ_WEIGHTS_H

#include <stdlib.h>
#include <string.h>

#include "tensor/weights.h"

/* Opens, reads every element of every tensor, closes. A reader promises that counts fit the file,
 * so a buffer as large as the tensor is no danger. */
static inline void open_and_read(const uint8_t *data, size_t size) {
    mg_error err = {0};
    mg_weights *w = mg_weights_open_memory(data, size, &err);
    MG_ASSERT(w ? err.code == MG_OK : err.code != MG_OK && *err.message);
    for (size_t i = 0; w && i < mg_weights_count(w); i++) {
        const mg_stored_tensor *t = mg_weights_at(w, i);
        MG_ASSERT(mg_weights_find(w, t->name) == t);
        MG_ASSERT((uint64_t)t->count <= size);
        double *values = malloc((size_t)t->count * sizeof *values + 1);
        MG_ASSERT(mg_stored_to_f64(t, values, t->count, NULL) == MG_OK);
        free(values);
    }
    mg_weights_close(w);
}

#endif
