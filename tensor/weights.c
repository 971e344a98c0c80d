#include "tensor/weights.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/mapped_file.h"
#include "tensor/safetensors.h"
#include "tensor/torch_file.h"

struct mg_weights {
    mg_mapped_file map;
    const char *format;
    const mg_stored_tensor *tensors;
    size_t count;
    const mg_stored_tensor **by_name;
    mg_safetensors safetensors;
    mg_torch_file torch;
};

static bool starts(const uint8_t *bytes, size_t size, const char *with) {
    return size >= strlen(with) && !memcmp(bytes, with, strlen(with));
}

/* Says what the file is instead, where people commonly pick the wrong one. */
static mg_status refuse(const uint8_t *bytes, size_t size, mg_error *err) {
    const char *is = "";
    if (size == 0) is = " (it is empty)";
    else if (*bytes == '<') is = " (it looks like a web page: the download went wrong)";
    else if (starts(bytes, size, "version https://git-lfs"))
        is = " (it is a Git LFS pointer: fetch the real file with git lfs pull)";
    else if (starts(bytes, size, "\x89HDF")) is = " (it is HDF5, of Keras)";
    else if (size > 262 && !memcmp(bytes + 257, "ustar", 5)) is = " (it is a tar archive)";
    return mg_fail(err, MG_ERR_UNSUPPORTED,
                   "not a checkpoint: neither safetensors nor PyTorch's .pth%s", is);
}

static mg_status parse(mg_weights *w, const uint8_t *bytes, size_t size, mg_error *err) {
    mg_status status;
    if (starts(bytes, size, "PK\x03\x04")) {
        w->format = "pth";
        status = mg_torch_parse_zip(bytes, size, &w->torch, err);
    } else if (size > 1 && bytes[0] == 0x80 && bytes[1] <= 5 && !(size > 8 && bytes[8] == '{')) {
        w->format = "legacy pth";
        status = mg_torch_parse_legacy(bytes, size, &w->torch, err);
    } else if (size > 8 && bytes[8] == '{') {
        w->format = "safetensors";
        status = mg_safetensors_parse(bytes, size, &w->safetensors, err);
    } else {
        return refuse(bytes, size, err);
    }
    w->tensors = w->torch.tensors ? w->torch.tensors : w->safetensors.tensors;
    w->count = w->torch.tensors ? w->torch.count : w->safetensors.count;
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const mg_stored_tensor *const *)a)->name,
                  (*(const mg_stored_tensor *const *)b)->name);
}

static mg_status sort_names(mg_weights *w, mg_error *err) {
    w->by_name = malloc((w->count + 1) * sizeof *w->by_name);
    if (!w->by_name) return mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu names", w->count);
    for (size_t i = 0; i < w->count; i++) w->by_name[i] = &w->tensors[i];
    qsort(w->by_name, w->count, sizeof *w->by_name, by_name);
    for (size_t i = 1; i < w->count; i++)
        if (by_name(&w->by_name[i - 1], &w->by_name[i]) == 0)
            return mg_fail(err, MG_ERR_FORMAT, "tensor %s occurs twice", w->by_name[i]->name);
    return MG_OK;
}

mg_weights *mg_weights_open_memory(const void *bytes, size_t size, mg_error *err) {
    mg_weights *w = calloc(1, sizeof *w);
    if (!w) {
        mg_fail(err, MG_ERR_MEMORY, "out of memory");
        return NULL;
    }
    if (parse(w, bytes, size, err) || sort_names(w, err)) {
        mg_weights_close(w);
        return NULL;
    }
    return w;
}

mg_weights *mg_weights_open(const char *path, mg_error *err) {
    mg_mapped_file map;
    if (mg_map_file(path, &map, err)) return NULL;
    mg_weights *w = mg_weights_open_memory(map.bytes, map.size, err);
    if (w) {
        w->map = map;
    } else {
        mg_error_prefix(err, "%s", path);
        mg_unmap_file(&map);
    }
    return w;
}

void mg_weights_close(mg_weights *w) {
    if (!w) return;
    mg_safetensors_free(&w->safetensors);
    mg_torch_free(&w->torch);
    free(w->by_name);
    mg_unmap_file(&w->map);
    free(w);
}

const char *mg_weights_format(const mg_weights *w) { return w->format; }
size_t mg_weights_count(const mg_weights *w) { return w->count; }

const mg_stored_tensor *mg_weights_at(const mg_weights *w, size_t index) {
    MG_ASSERT(index < w->count);
    return &w->tensors[index];
}

const mg_stored_tensor *mg_weights_find(const mg_weights *w, const char *name) {
    mg_stored_tensor wanted = {.name = name};
    const mg_stored_tensor *pointer = &wanted;
    const mg_stored_tensor **found =
        bsearch(&pointer, w->by_name, w->count, sizeof *w->by_name, by_name);
    return found ? *found : NULL;
}

const char *mg_weights_metadata(const mg_weights *w, const char *key) {
    for (size_t i = 0; i < w->safetensors.metadata_count; i++)
        if (!strcmp(w->safetensors.metadata[i].key, key)) return w->safetensors.metadata[i].value;
    return NULL;
}

const char *mg_weights_path(const mg_weights *w) { return w->torch.path; }
size_t mg_weights_skipped(const mg_weights *w) { return w->torch.skipped; }
