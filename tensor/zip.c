#include "tensor/zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
};
#define END_MARK     0x06054b50u
#define END64_MARK   0x06064b50u
#define LOCATOR_MARK 0x07064b50u
#define CENTRAL_MARK 0x02014b50u
#define LOCAL_MARK   0x04034b50u

static uint16_t u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t u32(const uint8_t *p) { return u16(p) | (uint32_t)u16(p + 2) << 16; }
static uint64_t u64(const uint8_t *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

/* Where the directory of entries lies. */
typedef struct directory {
    uint64_t count, size, offset;
} directory;

/* The end record is searched backwards: a comment of up to 65,535 bytes may follow it. */
static mg_status find_directory(const uint8_t *bytes, size_t size, directory *out, mg_error *err) {
    size_t lowest = size > END_SIZE + 65535 ? size - END_SIZE - 65535 : 0, at = size;
    if (size >= END_SIZE)
        for (at = size - END_SIZE; at > lowest; at--)
            if (u32(bytes + at) == END_MARK && at + END_SIZE + u16(bytes + at + 20) == size) break;
    if (at + END_SIZE > size || u32(bytes + at) != END_MARK)
        return mg_fail(err, MG_ERR_FORMAT,
                       "the zip archive has no end record: it is cut off, get it again");
    const uint8_t *end = bytes + at;
    bool split = u16(end + 4) || u16(end + 6);
    *out = (directory){u16(end + 10), u32(end + 12), u32(end + 16)};
    if (at >= LOCATOR_SIZE && u32(end - LOCATOR_SIZE) == LOCATOR_MARK) {
        uint64_t at64 = u64(end - LOCATOR_SIZE + 8);
        if (at < END64_SIZE || at64 > at - END64_SIZE || u32(bytes + at64) != END64_MARK)
            return mg_fail(err, MG_ERR_FORMAT, "the zip archive's ZIP64 end record is damaged");
        const uint8_t *end64 = bytes + at64;
        split = u32(end64 + 16) || u32(end64 + 20);
        *out = (directory){u64(end64 + 32), u64(end64 + 40), u64(end64 + 48)};
    }
    if (split)
        return mg_fail(err, MG_ERR_UNSUPPORTED, "zip archives in several parts are not read");
    if (out->offset > at || out->size > at - out->offset || out->count > out->size / CENTRAL_SIZE)
        return mg_fail(err, MG_ERR_FORMAT, "the zip archive's directory lies outside of the file");
    return MG_OK;
}

/* The ZIP64 extra field holds, in this order, those of the values that were all ones. */
static bool read_zip64(const uint8_t *extra, size_t length, mg_zip_entry *e) {
    uint64_t *fields[] = {&e->size, &e->stored_size, &e->header};
    while (length >= 4) {
        size_t id = u16(extra), n = u16(extra + 2);
        extra += 4;
        length -= 4;
        if (n > length) return false;
        for (size_t i = 0, at = 0; id == 1 && i < 3; i++) {
            if (*fields[i] != UINT32_MAX) continue;
            if (n - at < 8) return false;
            *fields[i] = u64(extra + at);
            at += 8;
        }
        extra += n;
        length -= n;
    }
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const mg_zip_entry *)a)->name, ((const mg_zip_entry *)b)->name);
}

static mg_status read_entries(const directory *d, mg_zip *zip, mg_error *err) {
    const uint8_t *p = zip->bytes + d->offset;
    size_t left = (size_t)d->size;
    char *name = zip->names;
    uint64_t together = 0; /* entries that share their bytes would make checking them quadratic */
    for (size_t i = 0; i < d->count; i++) {
        if (left < CENTRAL_SIZE || u32(p) != CENTRAL_MARK)
            return mg_fail(err, MG_ERR_FORMAT, "the zip archive's directory is damaged (entry %zu)",
                           i);
        size_t name_size = u16(p + 28), extra = u16(p + 30), comment = u16(p + 32);
        size_t length = CENTRAL_SIZE + name_size + extra + comment;
        if (length > left)
            return mg_fail(err, MG_ERR_FORMAT, "the zip archive's directory is cut off (entry %zu)",
                           i);
        mg_zip_entry *e = &zip->entries[zip->count++];
        *e = (mg_zip_entry){.name = name,
                            .size = u32(p + 24),
                            .stored_size = u32(p + 20),
                            .header = u32(p + 42),
                            .crc = u32(p + 16),
                            .method = u16(p + 10),
                            .flags = u16(p + 8)};
        memcpy(name, p + CENTRAL_SIZE, name_size);
        name[name_size] = 0;
        name += name_size + 1;
        if (!read_zip64(p + CENTRAL_SIZE + name_size, extra, e))
            return mg_fail(err, MG_ERR_FORMAT, "zip entry %s has a damaged extra field", e->name);
        together += e->stored_size < zip->size ? e->stored_size : 0; /* else never read */
        p += length;
        left -= length;
    }
    if (together > zip->size)
        return mg_fail(err, MG_ERR_FORMAT, "entries of the zip archive overlap");
    qsort(zip->entries, zip->count, sizeof *zip->entries, by_name);
    for (size_t i = 1; i < zip->count; i++)
        if (strcmp(zip->entries[i - 1].name, zip->entries[i].name) == 0)
            return mg_fail(err, MG_ERR_FORMAT, "the zip archive holds %s twice",
                           zip->entries[i].name);
    return MG_OK;
}

mg_status mg_zip_parse(const uint8_t *bytes, size_t size, mg_zip *out, mg_error *err) {
    directory d = {0};
    *out = (mg_zip){.bytes = bytes, .size = size};
    mg_status status = find_directory(bytes, size, &d, err);
    if (!status) {
        out->entries = malloc((size_t)(d.count + 1) * sizeof *out->entries);
        out->names = malloc((size_t)d.size + 1); /* each name with its NUL: less than its record */
        status = out->entries && out->names
                     ? read_entries(&d, out, err)
                     : mg_fail(err, MG_ERR_MEMORY, "out of memory for a zip directory");
    }
    if (status) mg_zip_free(out);
    return status;
}

void mg_zip_free(mg_zip *zip) {
    free(zip->entries);
    free(zip->names);
    *zip = (mg_zip){0};
}

mg_zip_entry *mg_zip_find(const mg_zip *zip, const char *name) {
    mg_zip_entry wanted = {.name = name};
    return bsearch(&wanted, zip->entries, zip->count, sizeof wanted, by_name);
}

mg_status mg_zip_content(const mg_zip *zip, mg_zip_entry *e, const uint8_t **content,
                         mg_error *err) {
    if (e->flags & 1) return mg_fail(err, MG_ERR_UNSUPPORTED, "zip entry %s is encrypted", e->name);
    if (e->method != 0 || e->stored_size != e->size)
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "zip entry %s is compressed (method %u), which torch.save never does: save "
                       "the checkpoint again with torch.save",
                       e->name, e->method);
    if (zip->size < LOCAL_SIZE || e->header > zip->size - LOCAL_SIZE ||
        u32(zip->bytes + e->header) != LOCAL_MARK)
        return mg_fail(err, MG_ERR_FORMAT, "zip entry %s does not lie where the directory says",
                       e->name);
    const uint8_t *local = zip->bytes + e->header;
    size_t left = zip->size - (size_t)e->header - LOCAL_SIZE;
    size_t before = (size_t)u16(local + 26) + u16(local + 28);
    if (before > left || e->size > left - before)
        return mg_fail(err, MG_ERR_FORMAT, "zip entry %s reaches beyond the file: it is cut off",
                       e->name);
    *content = local + LOCAL_SIZE + before;
    if (!e->verified && e->crc && crc32_z(0, *content, (size_t)e->size) != e->crc)
        return mg_fail(err, MG_ERR_FORMAT, "zip entry %s is damaged (its CRC-32 differs)", e->name);
    e->verified = true;
    return MG_OK;
}
