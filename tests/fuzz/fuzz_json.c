/* Any text is either refused with a message or read; what is read is walked. */
#include <stdlib.h>
#include <string.h>

#include "tensor/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const mg_json *value) {
    size_t n = 1;
    if (value->type == MG_JSON_STRING) n += strlen(value->string);
    if (value->type != MG_JSON_ARRAY && value->type != MG_JSON_OBJECT) return n;
    size_t count = 0;
    for (const mg_json *m = value->first; m; m = m->next, count++) {
        MG_ASSERT((m->key != NULL) == (value->type == MG_JSON_OBJECT));
        n += walk(m);
    }
    MG_ASSERT(count == value->count);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mg_error err = {0};
    mg_json_document *d = mg_json_parse((const char *)data, size, &err);
    MG_ASSERT(d ? err.code == MG_OK : err.code != MG_OK && *err.message);
    if (d) MG_ASSERT(walk(mg_json_root(d)) > 0);
    mg_json_free(d);
    return 0;
}
