/* write.c: a data set as bytes, and bytes as a file that is there completely or not at all. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "dicom/dataset.h"

#define IMPLICIT       "1.2.840.10008.1.2"
#define EXPLICIT       "1.2.840.10008.1.2.1"
#define DEFLATED       "1.2.840.10008.1.2.1.99"
#define IMPLEMENTATION "2.25.226731478436530839120743110243826871973"

void mg_dicom_set_transfer_syntax(mg_dicom_dataset *s, const char *uid) {
    if (s) snprintf(s->transfer_syntax, sizeof s->transfer_syntax, "%s", uid);
}

/* --- sizes ------------------------------------------------------------------------------------ */

static bool is_sequence(const mg_dicom_node *n) { return n->vr[0] == 'S' && n->vr[1] == 'Q'; }

static bool long_form(const char *vr) {
    static const char list[] = "OBODOFOLOVOWSQSVUCUNURUTUV";
    for (size_t i = 0; i + 1 < sizeof list; i += 2)
        if (memcmp(list + i, vr, 2) == 0) return true;
    return false;
}

/* What a node is written as: text too long for 16 bits becomes UN (PS3.5 6.2.2). */
static const char *written_vr(const mg_dicom_node *n) {
    return !long_form(n->vr) && n->size > 0xFFFF ? "UN" : n->vr;
}

static uint64_t size_of_dataset(const mg_dicom_dataset *s, bool implicit);

static uint64_t size_of_value(const mg_dicom_node *n, bool implicit) {
    if (!is_sequence(n)) return n->size;
    uint64_t size = 0;
    for (uint32_t i = 0; i < n->item_count; i++) size += 8 + size_of_dataset(n->items[i], implicit);
    return size;
}

static uint64_t size_of_dataset(const mg_dicom_dataset *s, bool implicit) {
    uint64_t size = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const mg_dicom_node *n = &s->nodes[i];
        size += (implicit || !long_form(written_vr(n)) ? 8u : 12u) + size_of_value(n, implicit);
    }
    return size;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static uint8_t *put16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    return p + 2;
}
static uint8_t *put32(uint8_t *p, uint64_t v) {
    return put16(put16(p, (uint32_t)v), (uint32_t)(v >> 16));
}
static uint8_t *put_tag(uint8_t *p, uint32_t tag) { return put16(put16(p, tag >> 16), tag); }

static uint8_t *put_header(uint8_t *p, uint32_t tag, const char *vr, uint64_t length,
                           bool implicit) {
    p = put_tag(p, tag);
    if (implicit) return put32(p, length);
    *p++ = (uint8_t)vr[0];
    *p++ = (uint8_t)vr[1];
    if (!long_form(vr)) return put16(p, (uint32_t)length);
    return put32(put16(p, 0), length);
}

static uint8_t *put_dataset(uint8_t *p, const mg_dicom_dataset *s, bool implicit) {
    for (uint32_t i = 0; i < s->count; i++) {
        const mg_dicom_node *n = &s->nodes[i];
        uint64_t length = n->encapsulated ? UINT32_MAX : size_of_value(n, implicit);
        p = put_header(p, n->tag, written_vr(n), length, implicit);
        for (uint32_t k = 0; k < n->item_count; k++) {
            p = put32(put_tag(p, 0xFFFEE000), size_of_dataset(n->items[k], implicit));
            p = put_dataset(p, n->items[k], implicit);
        }
        if (n->size) memcpy(p, n->bytes, n->size);
        p += n->size;
    }
    return p;
}

/* A value of 4 GiB or more would need more than the 32 bits a length has. */
static mg_dicom_status check_lengths(const mg_dicom_dataset *s, bool implicit,
                                     mg_dicom_error *err) {
    for (uint32_t i = 0; i < s->count; i++) {
        const mg_dicom_node *n = &s->nodes[i];
        if (!n->encapsulated && size_of_value(n, implicit) >= UINT32_MAX)
            return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0,
                                 "(%04X,%04X) is longer than 4 GiB: compress it", n->tag >> 16,
                                 n->tag & 0xFFFF);
    }
    return MG_DICOM_OK;
}

/* --- file meta information -------------------------------------------------------------------- */

static mg_dicom_dataset *make_meta(const mg_dicom_dataset *s, mg_dicom_error *err) {
    const mg_dicom_node *class = mg_dicom_node_find(s, 0x00080016);
    const mg_dicom_node *instance = mg_dicom_node_find(s, 0x00080018);
    if (!class || !instance || !class->size || !instance->size) {
        mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                      "a DICOM file needs (0008,0016) SOPClassUID and (0008,0018) SOPInstanceUID");
        return NULL;
    }
    mg_dicom_dataset *meta = mg_dicom_dataset_create();
    mg_dicom_put_bytes(meta, 0x00020001, "OB", "\0\1", 2);
    mg_dicom_put_bytes(meta, 0x00020002, "UI", class->bytes, (size_t) class->size);
    mg_dicom_put_bytes(meta, 0x00020003, "UI", instance->bytes, (size_t)instance->size);
    mg_dicom_put_text(meta, 0x00020010, s->transfer_syntax[0] ? s->transfer_syntax : EXPLICIT);
    mg_dicom_put_text(meta, 0x00020012, IMPLEMENTATION);
    mg_dicom_put_text(meta, 0x00020013, "MAMMOGRAD_0_1");
    if (!meta || meta->error.code) {
        mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for the file meta information");
        mg_dicom_dataset_destroy(meta);
        return NULL;
    }
    return meta;
}

/* Replaces `size` bytes at `bytes` + `keep` by their deflate stream. */
static mg_dicom_status deflate_tail(uint8_t **bytes, uint64_t *size, uint64_t keep,
                                    mg_dicom_error *err) {
    z_stream z = {0};
    if (deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for deflate");
    uint64_t bound = deflateBound(&z, (uLong)(*size - keep)) + 2;
    uint8_t *out = *size - keep < UINT32_MAX ? malloc(keep + bound) : NULL;
    if (!out) {
        deflateEnd(&z);
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for deflate");
    }
    memcpy(out, *bytes, keep);
    z.next_in = *bytes + keep;
    z.avail_in = (uInt)(*size - keep);
    z.next_out = out + keep;
    z.avail_out = bound > UINT32_MAX ? UINT32_MAX : (uInt)bound;
    int code = deflate(&z, Z_FINISH);
    uint64_t written = keep + z.total_out;
    deflateEnd(&z);
    if (code != Z_STREAM_END) {
        free(out);
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "deflate did not finish");
    }
    if (written & 1) out[written++] = 0; /* PS3.5 A.5: padded to even length */
    free(*bytes);
    *bytes = out;
    *size = written;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_write_memory(mg_dicom_dataset *s, uint8_t **out, size_t *size,
                                      mg_dicom_error *err) {
    if (!s) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for a data set");
    if (s->not_ascii && !mg_dicom_node_find(s, 0x00080005))
        mg_dicom_put_text(s, 0x00080005, "ISO_IR 192");
    if (s->error.code) return mg_dicom_fail(err, s->error.code, 0, "%s", s->error.message);
    bool implicit = strcmp(s->transfer_syntax, IMPLICIT) == 0;
    mg_dicom_status status = check_lengths(s, implicit, err);
    if (status) return status;
    mg_dicom_dataset *meta = make_meta(s, err);
    if (!meta) return err ? err->code : MG_DICOM_ERR_ARG;
    uint64_t meta_size = size_of_dataset(meta, false);
    uint64_t head = 128 + 4 + 12 + meta_size, total = head + size_of_dataset(s, implicit);
    uint8_t *bytes = malloc(total);
    if (bytes) {
        memset(bytes, 0, 128);
        memcpy(bytes + 128, "DICM", 4);
        uint8_t *p = put32(put_header(bytes + 132, 0x00020000, "UL", 4, false), meta_size);
        p = put_dataset(p, meta, false);
        put_dataset(p, s, implicit);
    }
    mg_dicom_dataset_destroy(meta);
    if (!bytes) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "out of memory for a file");
    if (strcmp(s->transfer_syntax, DEFLATED) == 0 &&
        (status = deflate_tail(&bytes, &total, head, err)) != MG_DICOM_OK) {
        free(bytes);
        return status;
    }
    *out = bytes;
    *size = total;
    return MG_DICOM_OK;
}

/* --- files ------------------------------------------------------------------------------------ */

static bool write_all(int fd, const uint8_t *bytes, size_t size) {
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* The new name must survive a crash too: sync the directory. */
static void sync_directory(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = 0;
    int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

mg_dicom_status mg_dicom_write_file(mg_dicom_dataset *s, const char *path, mg_dicom_error *err) {
    uint8_t *bytes;
    size_t size;
    mg_dicom_status status = mg_dicom_write_memory(s, &bytes, &size, err);
    if (status) return status;
    char temporary[4200];
    struct stat old;
    if (stat(path, &old) == 0 && !S_ISREG(old.st_mode)) { /* rename would replace a device */
        free(bytes);
        return mg_dicom_fail(err, MG_DICOM_ERR_IO, 0,
                             "cannot write %s: it exists and is no regular file", path);
    }
    int n = snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    int fd = -1;
    if (n > 0 && (size_t)n < sizeof temporary)
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    else errno = ENAMETOOLONG;
    bool ok = fd >= 0 && write_all(fd, bytes, size) && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    free(bytes);
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        if (fd >= 0) unlink(temporary);
        return mg_dicom_fail(err, MG_DICOM_ERR_IO, 0, "cannot write %s: %s", path, strerror(why));
    }
    sync_directory(temporary);
    return MG_DICOM_OK;
}
