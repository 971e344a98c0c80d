/* rle.c: DICOM's run-length coding (PS3.5 annex G). A frame is up to 15 segments, one per byte of
 * the pixel's samples, most significant first; each is PackBits: a control byte n, then for
 * 0…127 n+1 literal bytes, for -1…-127 one byte that is repeated 1-n times; -128 is nothing. */
#include "dicom/codec_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 64,
    MAX_SEGMENTS = 15,
    LONGEST = 128, /* bytes that one control byte can make */
    CHUNK = 8192,  /* bytes of each plane that are decoded before they are interleaved */
};

/* A segment being decoded into a window of its byte plane. */
typedef struct plane {
    const uint8_t *at, *end; /* of the segment */
    size_t left;             /* bytes of the plane that are still to be decoded */
    size_t filled;           /* decoded bytes in `bytes` */
    uint8_t *bytes;          /* CHUNK + 2 * LONGEST */
} plane;

typedef struct rle {
    const uint8_t *data;
    size_t size;
    const mg_dicom_codec_frame *frame;
    const mg_dicom_codec_options *options;
    mg_dicom_error *err;
    int segments;
    plane planes[MAX_SEGMENTS];
    bool partial;
} rle;

static uint32_t le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* --- decoding --------------------------------------------------------------------------------- */

static mg_dicom_status read_header(rle *r, size_t pixels) {
    if (r->size < HEADER_BYTES)
        return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, 0,
                             "RLE: %zu bytes are less than the 64 of "
                             "the header",
                             r->size);
    uint32_t count = le32(r->data);
    if (count != (uint32_t)r->segments)
        return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, 0,
                             "RLE: %u segments; %d samples of %d "
                             "bytes need %d",
                             (unsigned)count, r->frame->samples, r->frame->word_bytes, r->segments);
    for (int i = 0; i < r->segments; i++) {
        size_t field = 4 + 4 * (size_t)i;
        size_t start = le32(r->data + field);
        size_t end = i + 1 < r->segments ? le32(r->data + field + 4) : r->size;
        if (end > r->size) end = r->size; /* the next segment's start then fails */
        if (start < HEADER_BYTES || start > end)
            return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, field,
                                 "RLE: segment %d is said to lie from offset %zu to %zu; segments "
                                 "follow one another between 64 and %zu",
                                 i + 1, start, end, r->size);
        r->planes[i].at = r->data + start;
        r->planes[i].end = r->data + end;
        r->planes[i].left = pixels;
    }
    return MG_DICOM_OK;
}

/* Decodes until `filled` reaches `wanted` (at most CHUNK), the plane is complete or the segment is
 * used up. Where the window and the segment have room, a whole LONGEST bytes are copied whatever
 * the run's length is: that is faster than a copy of unknown length. False: the segment is
 * broken. */
static bool fill(plane *p, size_t wanted) {
    const uint8_t *at = p->at, *end = p->end;
    size_t filled = p->filled, left = p->left;
    bool fits = true;
    while (filled < wanted && left && at < end) {
        unsigned control = *at++;
        if (control < 128) {
            size_t n = control + 1;
            size_t there = (size_t)(end - at);
            if (there >= LONGEST) {
                memcpy(p->bytes + filled, at, LONGEST);
            } else {
                if (n > there) n = there, fits = false;
                memcpy(p->bytes + filled, at, n);
            }
            at += n;
            if (n > left) n = left, fits = false;
            filled += n;
            left -= n;
        } else if (control > 128) {
            size_t n = 257 - control;
            if (at == end) {
                fits = false;
                break;
            }
            memset(p->bytes + filled, *at++, LONGEST);
            if (n > left) n = left, fits = false;
            filled += n;
            left -= n;
        }
        if (!fits) break;
    }
    p->at = at;
    p->filled = filled;
    p->left = left;
    return fits;
}

/* `n` pixels from byte planes to words. Blocks of constant size, which compilers vectorise. */
static void interleave(const rle *r, uint8_t *out, size_t n) {
    enum { BLOCK = 64 };
    int words = r->frame->word_bytes;
    size_t pixel = (size_t)r->segments;
    if (pixel == 1) {
        memcpy(out, r->planes[0].bytes, n);
        return;
    }
    if (pixel == 2 && words == 2) {
        const uint8_t *high = r->planes[0].bytes, *low = r->planes[1].bytes;
        uint16_t *word = (uint16_t *)(void *)out;
        size_t i = 0;
        for (; i + BLOCK <= n; i += BLOCK)
            for (size_t k = 0; k < BLOCK; k++)
                word[i + k] = (uint16_t)((unsigned)high[i + k] << 8 | low[i + k]);
        for (; i < n; i++) word[i] = (uint16_t)((unsigned)high[i] << 8 | low[i]);
        return;
    }
    for (int s = 0; s < r->segments; s++) {
        int sample = s / words, significance = words - 1 - s % words;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        significance = s % words;
#endif
        uint8_t *to = out + sample * words + significance;
        const uint8_t *from = r->planes[s].bytes;
        for (size_t i = 0; i < n; i++, to += pixel) *to = from[i];
    }
}

/* A complete plane's segment may hold padding: one byte of any value, for a control byte alone
 * makes nothing, or zeros, or -128. More data would mean another size of image. */
static mg_dicom_status check_rest(rle *r, int segment) {
    const plane *p = &r->planes[segment];
    size_t rest = (size_t)(p->end - p->at);
    for (size_t i = 0; i < rest && rest > 1; i++)
        if (p->at[i] != 0 && p->at[i] != 0x80)
            return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, (size_t)(p->at - r->data),
                                 "RLE: segment "
                                 "%d has %zu bytes left over at offset %zu",
                                 segment + 1, rest, (size_t)(p->at - r->data));
    if (rest > 1)
        mg_codec_warn(r->options, (size_t)(p->at - r->data),
                      "RLE: %zu padding bytes behind segment "
                      "%d",
                      rest, segment + 1);
    return MG_DICOM_OK;
}

static mg_dicom_status explain(rle *r, int segment, bool fits) {
    const plane *p = &r->planes[segment];
    size_t offset = (size_t)(p->at - r->data);
    if (!fits && p->left == 0)
        return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, offset,
                             "RLE: segment %d holds more than "
                             "the image's %u rows of %u (offset %zu)",
                             segment + 1, (unsigned)r->frame->rows, (unsigned)r->frame->columns,
                             offset);
    return mg_dicom_fail(r->err, MG_DICOM_ERR_PIXELS, offset,
                         "RLE: segment %d ends early, at offset "
                         "%zu, with %zu bytes of its plane missing",
                         segment + 1, offset, p->left);
}

/* Brings every plane's window to `n` bytes. */
static mg_dicom_status fill_all(rle *r, size_t n) {
    for (int s = 0; s < r->segments; s++) {
        plane *p = &r->planes[s];
        bool fits = fill(p, n);
        if (fits && p->filled >= n) continue;
        if (!r->options->allow_partial) return explain(r, s, fits);
        r->partial = true;
        p->at = p->end; /* nothing more from this segment */
        p->left = 0;
        if (p->filled < n) {
            memset(p->bytes + p->filled, 0, n - p->filled);
            p->filled = n;
        }
    }
    return MG_DICOM_OK;
}

static mg_dicom_status decode_planes(rle *r, size_t pixels, uint8_t *out) {
    for (size_t done = 0; done < pixels;) {
        size_t n = pixels - done < CHUNK ? pixels - done : CHUNK;
        mg_dicom_status status = fill_all(r, n);
        if (status) return status;
        interleave(r, out + done * (size_t)r->segments, n);
        for (int s = 0; s < r->segments; s++) { /* a run may reach into the next chunk */
            plane *p = &r->planes[s];
            p->filled -= n;
            memmove(p->bytes, p->bytes + n, LONGEST);
        }
        done += n;
    }
    if (r->partial) return MG_DICOM_OK;
    for (int s = 0; s < r->segments; s++) {
        mg_dicom_status status = check_rest(r, s);
        if (status) return status;
    }
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_rle_decode(const uint8_t *data, size_t size,
                                    const mg_dicom_codec_frame *frame, void *out,
                                    const mg_dicom_codec_options *options, mg_dicom_error *err) {
    static const mg_dicom_codec_options none;
    size_t samples = 0;
    mg_dicom_status status = mg_codec_check_frame(frame, out, &samples, err);
    if (status) return status;
    rle r = {.data = data,
             .size = data ? size : 0,
             .frame = frame,
             .options = options ? options : &none,
             .err = err,
             .segments = frame->samples * frame->word_bytes};
    size_t pixels = samples / (size_t)frame->samples;
    status = read_header(&r, pixels);
    if (status) return status;
    enum { WINDOW = CHUNK + 2 * LONGEST };
    uint8_t *windows = malloc((size_t)r.segments * WINDOW);
    if (!windows)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0,
                             "RLE: no memory for %d windows of %d bytes", r.segments, WINDOW);
    for (int s = 0; s < r.segments; s++) r.planes[s].bytes = windows + (size_t)s * WINDOW;
    status = decode_planes(&r, pixels, out);
    free(windows);
    if (!status && r.options->partial) *r.options->partial = r.partial;
    return status;
}
