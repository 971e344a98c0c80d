#include "tensor/torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mg_status failed(const mg_error *err) {
    return err && err->code ? err->code : MG_ERR_FORMAT;
}

/* The state dictionary's tensors, once every storage has its bytes. */
static mg_status collect(mg_torch_file *f, const mg_pickle_value *state, bool big_endian,
                         mg_error *err) {
    f->tensors = malloc((state->count / 2 + 1) * sizeof *f->tensors);
    if (!f->tensors) return mg_fail(err, MG_ERR_MEMORY, "out of memory for tensors");
    for (uint32_t i = 0; i + 1 < state->count; i += 2) {
        const mg_pickle_value *key = state->items[i];
        const mg_torch_tensor *tensor = mg_torch_as_tensor(state->items[i + 1]);
        if (!tensor) {
            f->skipped++;
            continue;
        }
        if (key->type != MG_PICKLE_STRING || strlen(key->string) != key->length)
            return mg_fail(err, MG_ERR_FORMAT, "a tensor's name is no plain string");
        mg_status status =
            mg_torch_store(tensor, key->string, big_endian, &f->tensors[f->count], err);
        if (status) return status;
        f->count++;
    }
    return MG_OK;
}

static mg_status too_short(const mg_torch_storage *s, uint64_t bytes, mg_error *err) {
    return mg_fail(err, MG_ERR_FORMAT, "storage %s should hold %lld %s elements but has %llu bytes",
                   s->key, (long long)s->count, mg_stored_name(s->type), (unsigned long long)bytes);
}

static bool fits(const mg_torch_storage *s, uint64_t bytes) {
    return (uint64_t)s->count <= bytes / mg_stored_size(s->type);
}

/* --- zip ------------------------------------------------------------------------------------- */

/* The entry PREFIX/name; *content is NULL if the archive has none. */
static mg_status open_entry(const mg_zip *zip, const char *prefix, const char *name,
                            const uint8_t **content, uint64_t *size, mg_error *err) {
    char path[1024];
    *content = NULL;
    int n = snprintf(path, sizeof path, "%s%s", prefix, name);
    mg_zip_entry *entry = n < (int)sizeof path ? mg_zip_find(zip, path) : NULL;
    if (!entry) return MG_OK;
    *size = entry->size;
    return mg_zip_content(zip, entry, content, err);
}

/* The folder of the archive's only data.pkl: "NAME/". */
static mg_status find_prefix(const mg_zip *zip, char *prefix, size_t room, mg_error *err) {
    static const char wanted[] = "data.pkl";
    size_t found = 0;
    for (size_t i = 0; i < zip->count; i++) {
        const char *name = zip->entries[i].name;
        size_t length = strlen(name), before = length - (sizeof wanted - 1);
        if (length < sizeof wanted - 1 || strcmp(name + before, wanted)) continue;
        if (before && name[before - 1] != '/') continue;
        if (before >= room)
            return mg_fail(err, MG_ERR_FORMAT, "the archive's folder name is too long");
        memcpy(prefix, name, before);
        prefix[before] = 0;
        found++;
    }
    if (found == 1) return MG_OK;
    return mg_fail(err, MG_ERR_FORMAT,
                   "a zip archive, but no PyTorch checkpoint (it has %zu data.pkl)", found);
}

static mg_status read_byte_order(const mg_zip *zip, const char *prefix, bool *big, mg_error *err) {
    const uint8_t *text;
    uint64_t size;
    mg_status status = open_entry(zip, prefix, "byteorder", &text, &size, err);
    if (status || !text) return status; /* files before 2.1 do not say: little */
    *big = size == 3 && !memcmp(text, "big", 3);
    if (*big || (size == 6 && !memcmp(text, "little", 6))) return MG_OK;
    return mg_fail(err, MG_ERR_FORMAT, "the checkpoint's byteorder is neither little nor big");
}

static mg_status find_storages(const mg_zip *zip, const char *prefix, mg_torch_file *f,
                               mg_error *err) {
    for (mg_torch_storage *s = f->objects.storages; s; s = s->next) {
        char name[300];
        uint64_t size = 0;
        snprintf(name, sizeof name, "data/%s", s->key);
        mg_status status = open_entry(zip, prefix, name, &s->bytes, &size, err);
        if (status) return status;
        if (!s->bytes)
            return mg_fail(err, MG_ERR_FORMAT, "the checkpoint lacks the storage data/%.200s",
                           s->key);
        if (!fits(s, size)) return too_short(s, size, err);
    }
    return MG_OK;
}

static mg_status read_zip(const mg_zip *zip, mg_torch_file *f, mg_error *err) {
    char prefix[512];
    bool big_endian = false;
    const uint8_t *program = NULL, *code;
    uint64_t size = 0, code_size;
    mg_status status = find_prefix(zip, prefix, sizeof prefix, err);
    if (!status) status = open_entry(zip, prefix, "constants.pkl", &code, &code_size, err);
    if (status) return status;
    if (code)
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "this is a TorchScript program, not a checkpoint: in Python, load it with "
                       "torch.jit.load and torch.save its state_dict()");
    status = open_entry(zip, prefix, "data.pkl", &program, &size, err);
    if (!status) status = read_byte_order(zip, prefix, &big_endian, err);
    if (status) return status;
    if (size > MG_TORCH_MAX_PICKLE)
        return mg_fail(err, MG_ERR_UNSUPPORTED, "data.pkl of %llu bytes; at most %d are read",
                       (unsigned long long)size, MG_TORCH_MAX_PICKLE);
    mg_pickle_handlers handlers = mg_torch_handlers(&f->objects);
    size_t used;
    const mg_pickle_value *root =
        mg_pickle_run(f->objects.heap, program, (size_t)size, &used, &handlers, err);
    const mg_pickle_value *state = root ? mg_torch_find_state(root, f->path, err) : NULL;
    if (!state) return failed(err);
    status = find_storages(zip, prefix, f, err);
    return status ? status : collect(f, state, big_endian, err);
}

static mg_status begin(mg_torch_file *f, mg_error *err) {
    *f = (mg_torch_file){0};
    f->objects.heap = mg_pickle_heap_create();
    return f->objects.heap ? MG_OK : mg_fail(err, MG_ERR_MEMORY, "out of memory");
}

mg_status mg_torch_parse_zip(const uint8_t *bytes, size_t size, mg_torch_file *out, mg_error *err) {
    mg_zip zip = {0};
    mg_status status = begin(out, err);
    if (!status) status = mg_zip_parse(bytes, size, &zip, err);
    if (!status) status = read_zip(&zip, out, err);
    mg_zip_free(&zip);
    if (status) mg_torch_free(out);
    return status;
}

/* --- legacy ---------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    return strcmp((*(mg_torch_storage *const *)a)->key, (*(mg_torch_storage *const *)b)->key);
}

/* Gives the storages of one key the bytes that follow at *at: a count, then the elements. */
static mg_status place_storage(mg_torch_storage **first, mg_torch_storage **end,
                               const uint8_t *bytes, size_t size, size_t *at, bool big_endian,
                               mg_error *err) {
    uint8_t raw[8];
    int64_t count;
    if (size - *at < sizeof raw)
        return mg_fail(err, MG_ERR_FORMAT,
                       "the checkpoint ends before its storages: it is cut off");
    for (size_t i = 0; i < sizeof raw; i++) raw[big_endian ? 7 - i : i] = bytes[*at + i];
    memcpy(&count, raw, sizeof count);
    *at += sizeof raw;
    size_t width = mg_stored_size((*first)->type), left = size - *at;
    if (count < 0 || (uint64_t)count > left / width)
        return mg_fail(err, MG_ERR_FORMAT,
                       "storage %s should have %lld elements but only %zu bytes follow: the "
                       "checkpoint is cut off",
                       (*first)->key, (long long)count, left);
    size_t length = (size_t)count * width;
    for (mg_torch_storage **s = first; s < end; s++) {
        if (!fits(*s, length)) return too_short(*s, length, err);
        (*s)->bytes = bytes + *at;
    }
    *at += length;
    return MG_OK;
}

/* The storages' bytes follow in the order of `keys`. */
static mg_status place_storages(mg_torch_file *f, const mg_pickle_value *keys, const uint8_t *bytes,
                                size_t size, size_t at, bool big_endian, mg_error *err) {
    size_t n = f->objects.storage_count, i = 0;
    mg_torch_storage **all = malloc((n + 1) * sizeof *all);
    if (!all) return mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu storages", n);
    for (mg_torch_storage *s = f->objects.storages; s; s = s->next) all[i++] = s;
    qsort(all, n, sizeof *all, by_key);
    mg_status status = MG_OK;
    for (uint32_t k = 0; k < keys->count && !status; k++) {
        const mg_pickle_value *key = keys->items[k];
        mg_torch_storage wanted = {.key = key->type == MG_PICKLE_STRING ? key->string : ""};
        mg_torch_storage *pointer = &wanted,
                         **found = bsearch(&pointer, all, n, sizeof *all, by_key);
        if (!found) {
            status = mg_fail(err, MG_ERR_FORMAT, "the checkpoint lists a storage nobody uses");
            break;
        }
        mg_torch_storage **end = found + 1;
        while (found > all && !by_key(found - 1, &pointer)) found--;
        while (end < all + n && !by_key(end, &pointer)) end++;
        status = (*found)->bytes
                     ? mg_fail(err, MG_ERR_FORMAT, "storage %s is listed twice", (*found)->key)
                     : place_storage(found, end, bytes, size, &at, big_endian, err);
    }
    for (i = 0; i < n && !status; i++)
        if (!all[i]->bytes)
            status =
                mg_fail(err, MG_ERR_FORMAT, "the checkpoint lacks the storage %s", all[i]->key);
    free(all);
    return status;
}

static mg_status read_legacy(const uint8_t *bytes, size_t size, mg_torch_file *f, mg_error *err) {
    /* 0x1950a86a20f9469cfc6c, little-endian as LONG1 stores it */
    static const uint8_t magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    mg_pickle_handlers handlers = mg_torch_handlers(&f->objects);
    const mg_pickle_value *part[5]; /* magic, protocol, system, object, keys */
    size_t at = 0;
    for (int i = 0; i < 5; i++) {
        size_t used, left = size - at < MG_TORCH_MAX_PICKLE ? size - at : MG_TORCH_MAX_PICKLE;
        part[i] = mg_pickle_run(f->objects.heap, bytes + at, left, &used, &handlers, err);
        if (!part[i]) return failed(err);
        at += used;
        if (i == 0 && (part[0]->type != MG_PICKLE_BIG_INTEGER || part[0]->length != sizeof magic ||
                       memcmp(part[0]->string, magic, sizeof magic)))
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "a pickle, but no PyTorch checkpoint (its magic number is missing)");
        if (i == 1 && (part[1]->type != MG_PICKLE_INTEGER || part[1]->integer != 1001))
            return mg_fail(err, MG_ERR_UNSUPPORTED, "the checkpoint's protocol is not 1001");
    }
    if (part[4]->type != MG_PICKLE_LIST)
        return mg_fail(err, MG_ERR_FORMAT, "the checkpoint has no list of storages");
    const mg_pickle_value *little = mg_pickle_lookup(part[2], "little_endian");
    bool big_endian = little && little->type == MG_PICKLE_BOOL && !little->integer;
    const mg_pickle_value *state = mg_torch_find_state(part[3], f->path, err);
    if (!state) return failed(err);
    mg_status status = place_storages(f, part[4], bytes, size, at, big_endian, err);
    return status ? status : collect(f, state, big_endian, err);
}

mg_status mg_torch_parse_legacy(const uint8_t *bytes, size_t size, mg_torch_file *out,
                                mg_error *err) {
    mg_status status = begin(out, err);
    if (!status) status = read_legacy(bytes, size, out, err);
    if (status) mg_torch_free(out);
    return status;
}

void mg_torch_free(mg_torch_file *file) {
    mg_pickle_heap_free(file->objects.heap);
    free(file->tensors);
    *file = (mg_torch_file){0};
}
