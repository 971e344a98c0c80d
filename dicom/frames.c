/* frames.c: which bytes of the pixel data belong to which frame.
 *
 * Native pixel data is a multiplication. Encapsulated pixel data (PS3.5 A.4) comes in fragments,
 * and a frame may have several. What says where a frame begins, in the order of trust:
 *
 *   one frame                        it has all fragments
 *   extended, then basic table       if it has one entry per frame, rising, each on an item tag
 *   as many fragments as frames      one each
 *   codestream starts                as many fragments begin with a start marker as frames
 *   codestream ends                  as many end with an end marker
 *
 * A table that does not fit is reported and not used; when nothing fits, that is an error. The
 * result is kept in mg_dicom.frame_state, so any frame can be had at once. */
#include <stdlib.h>

#include "dicom/pixel.h"

#define EXTENDED_OFFSETS MG_DICOM_TAG(0x7FE0, 0x0001)
#define EXTENDED_LENGTHS MG_DICOM_TAG(0x7FE0, 0x0002)

/* --- offset tables ---------------------------------------------------------------------------- */

/* The fragment whose item tag is at `position`, or MG_DICOM_NONE. */
static uint32_t fragment_at(const mg_dicom *d, uint64_t position) {
    uint32_t low = 0, high = d->fragment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (d->fragments[middle].offset < position + 8) low = middle + 1;
        else high = middle;
    }
    return low < d->fragment_count && d->fragments[low].offset == position + 8 ? low
                                                                               : MG_DICOM_NONE;
}

typedef struct table {
    const uint8_t *entries;
    uint64_t length; /* bytes */
    unsigned width;  /* bytes of an entry: 4 or 8 */
    const char *name;
} table;

static uint64_t entry_of(const table *t, uint32_t index) {
    const uint8_t *p = t->entries + (uint64_t)index * t->width;
    return t->width == 8 ? mg_dicom_u64(p, false) : mg_dicom_u32(p, false);
}

/* The number is believed, so that what is not read has to be said. */
static void warn_more(mg_dicom *d, const mg_dicom_frames *f, uint64_t there) {
    mg_dicom_warn(d, 0,
                  "NumberOfFrames is %u, but the pixel data holds %llu frames: the others are "
                  "not read",
                  f->image.frames, (unsigned long long)there);
}

/* Fills span.first from the table; false if it does not fit. */
static bool follow_table(mg_dicom *d, mg_dicom_frames *f, const table *t) {
    uint64_t base = d->offset_table.offset ? d->offset_table.offset + d->offset_table.length
                                           : d->fragments[0].offset - 8;
    uint64_t count = t->length / t->width;
    uint32_t frames = f->image.frames, last = 0;
    if (count < frames) {
        mg_dicom_warn(d, 0, "%s has %llu entries for %u frames, ignored", t->name,
                      (unsigned long long)count, frames);
        return false;
    }
    for (uint32_t k = 0; k < count && k <= frames;
         k++) { /* one more says where the last one ends */
        uint64_t offset = entry_of(t, k);
        uint32_t at = offset < d->size ? fragment_at(d, base + offset) : MG_DICOM_NONE;
        if (at == MG_DICOM_NONE || (k == 0 ? at != 0 : at <= last)) {
            mg_dicom_warn(d, 0, "%s: entry %u (%llu) is not the start of a frame, table ignored",
                          t->name, k + 1, (unsigned long long)offset);
            return false;
        }
        if (k < frames) f->spans[k].first = at;
        else f->end = at;
        last = at;
    }
    if (count > frames) warn_more(d, f, count);
    return true;
}

/* --- codestream boundaries -------------------------------------------------------------------- */

static bool begins_codestream(const mg_dicom *d, uint32_t fragment) {
    static const uint8_t jp2[8] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    const mg_dicom_fragment *f = &d->fragments[fragment];
    const uint8_t *p = d->bytes + f->offset;
    if (f->length < 8) return false;
    return (p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF) ||
           (p[0] == 0xFF && p[1] == 0x4F && p[2] == 0xFF && p[3] == 0x51) ||
           memcmp(p, jp2, sizeof jp2) == 0;
}

/* JPEG's EOI and JPEG 2000's EOC are the same two bytes; padding may follow them. */
static bool ends_codestream(const mg_dicom *d, uint32_t fragment) {
    const mg_dicom_fragment *f = &d->fragments[fragment];
    const uint8_t *p = d->bytes + f->offset;
    uint64_t stop = f->length > 10 ? f->length - 10 : 0;
    for (uint64_t i = f->length; i >= stop + 2; i--)
        if (p[i - 2] == 0xFF && p[i - 1] == 0xD9) return true;
    return false;
}

static uint32_t count_starts(const mg_dicom *d) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < d->fragment_count; i++) found += begins_codestream(d, i);
    return found;
}

static bool follow_starts(mg_dicom *d, mg_dicom_frames *f) {
    uint32_t found = 0, frames = f->image.frames;
    if (!begins_codestream(d, 0)) return false;
    for (uint32_t i = 0; i < d->fragment_count; i++) {
        if (!begins_codestream(d, i)) continue;
        if (found < frames) f->spans[found].first = i;
        else if (found == frames) f->end = i;
        found++;
    }
    if (found > frames) warn_more(d, f, found);
    return found >= frames;
}

static bool follow_ends(const mg_dicom *d, mg_dicom_frames *f) {
    uint32_t found = 0, next = 0;
    for (uint32_t i = 0; i < d->fragment_count; i++) {
        if (!ends_codestream(d, i)) continue;
        if (found == f->image.frames) return false;
        f->spans[found++].first = next;
        next = i + 1;
    }
    return found == f->image.frames;
}

/* --- index ------------------------------------------------------------------------------------ */

static void finish_spans(const mg_dicom *d, mg_dicom_frames *f) {
    for (uint32_t k = 0; k < f->located; k++) {
        mg_dicom_span *s = &f->spans[k];
        uint32_t end = k + 1 < f->located ? f->spans[k + 1].first : f->end;
        s->count = end - s->first;
        s->size = 0;
        for (uint32_t i = s->first; i < end; i++) s->size += d->fragments[i].length;
    }
}

/* Extended Offset Table Lengths are without padding; they may only shorten. */
static void apply_lengths(mg_dicom *d, mg_dicom_frames *f) {
    const mg_dicom_element *e = mg_dicom_find(d, EXTENDED_LENGTHS);
    if (!e || e->length / 8 < f->located) return;
    for (uint32_t k = 0; k < f->located; k++) {
        uint64_t length = mg_dicom_u64(e->value + (uint64_t)k * 8, false);
        if (length > f->spans[k].size || length + 1 < f->spans[k].size)
            mg_dicom_warn(d, e->offset,
                          "extended offset table: length %llu of frame %u does not "
                          "fit its fragments, ignored",
                          (unsigned long long)length, k + 1);
        else f->spans[k].size = length;
    }
}

static mg_dicom_status index_fragments(mg_dicom *d, mg_dicom_frames *f, mg_dicom_error *err) {
    uint32_t n = d->fragment_count, frames = f->image.frames;
    const mg_dicom_element *extended = mg_dicom_find(d, EXTENDED_OFFSETS);
    if (n == 0)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, d->offset_table.offset,
                             "the encapsulated pixel data has no fragments");
    f->located = frames < n ? frames : n;
    f->spans = calloc(f->located, sizeof *f->spans);
    if (!f->spans)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for the index of %u frames",
                             f->located);
    f->end = n;
    if (n < frames)
        mg_dicom_warn(d, 0, "NumberOfFrames is %u, but there are only %u fragments", frames, n);
    bool found = frames == 1, by_extended = false;
    if (found && n > 1) {
        uint64_t starts = count_starts(d), entries = d->offset_table.length / 4;
        if (starts > 1 || (entries > 1 && !begins_codestream(d, 0)))
            warn_more(d, f, starts > 1 ? starts : entries);
    }
    if (!found && n >= frames && extended && extended->length) {
        table t = {extended->value, extended->length, 8, "extended offset table"};
        found = by_extended = follow_table(d, f, &t);
    }
    if (!found && n >= frames && d->offset_table.length) {
        table t = {d->bytes + d->offset_table.offset, d->offset_table.length, 4,
                   "basic offset table"};
        found = follow_table(d, f, &t);
    }
    if (!found && n <= frames) {
        for (uint32_t k = 0; k < f->located; k++) f->spans[k].first = k;
        found = true;
    }
    if (!found && !follow_starts(d, f) && !follow_ends(d, f))
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, d->fragments[0].offset,
                             "%u fragments for %u frames, and neither an offset table nor the "
                             "fragments say which belong together",
                             n, frames);
    finish_spans(d, f);
    if (by_extended) apply_lengths(d, f);
    return MG_DICOM_OK;
}

static uint64_t native_bits(const mg_dicom_frames *f) {
    uint64_t pixels = (uint64_t)f->image.rows * f->image.columns;
    if (mg_dicom_is_422(&f->image) && !f->full_422) return pixels * 16;
    return pixels * (uint64_t)f->image.samples * (uint64_t)f->image.bits_allocated;
}

static void index_native(mg_dicom *d, mg_dicom_frames *f) {
    const mg_dicom_element *e = &d->elements[d->pixel_element];
    uint64_t full = (uint64_t)f->image.rows * f->image.columns * 3, total;
    if (mg_dicom_is_422(&f->image) && mg_dicom_mul(full, f->image.frames, &total) &&
        e->length >= total) {
        f->full_422 = true;
        mg_dicom_warn(d, e->offset, "%s, but the pixel data has all samples of full colour",
                      f->image.photometric);
    }
    uint64_t bits = native_bits(f), have = e->length * 8;
    uint64_t frames = have / bits + (have % bits >= 8); /* the last one may be cut off */
    f->located = frames < f->image.frames ? (uint32_t)frames : f->image.frames;
    if (have / bits > f->image.frames) warn_more(d, f, have / bits);
    if (f->located < f->image.frames)
        mg_dicom_warn(d, e->offset, "NumberOfFrames is %u, but %llu bytes of pixel data hold %u",
                      f->image.frames, (unsigned long long)e->length, f->located);
}

static void free_frames(void *state) {
    mg_dicom_frames *f = state;
    free(f->spans);
    free(f);
}

mg_dicom_status mg_dicom_frames_of(mg_dicom *d, mg_dicom_frames **out, mg_dicom_error *err) {
    if (d->frame_state) {
        *out = d->frame_state;
        return MG_DICOM_OK;
    }
    mg_dicom_image image;
    if (d->options.stop_at_pixels)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "the file was opened with stop_at_pixels: frames cannot be read");
    mg_dicom_status status = mg_dicom_describe(d, NULL, &image, err);
    if (status != MG_DICOM_OK) return status;
    mg_dicom_frames *f = calloc(1, sizeof *f);
    if (!f) return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, 0, "no memory for the frame index");
    mg_dicom_describe(d, d, &f->image, NULL); /* once more, for the warnings */
    if (d->encapsulated) status = index_fragments(d, f, err);
    else index_native(d, f);
    if (status != MG_DICOM_OK) {
        free_frames(f);
        return status;
    }
    d->frame_state = f;
    d->free_frame_state = free_frames;
    *out = f;
    return MG_DICOM_OK;
}

/* --- one frame -------------------------------------------------------------------------------- */

static mg_dicom_status join(const mg_dicom *d, mg_dicom_frame_data *out, mg_dicom_error *err) {
    const mg_dicom_span *s = out->span;
    out->owned = malloc((size_t)s->size + 1);
    if (!out->owned)
        return mg_dicom_fail(err, MG_DICOM_ERR_MEMORY, out->offset,
                             "no memory to join %u fragments", s->count);
    uint64_t at = 0;
    for (uint32_t i = 0; i < s->count && at < s->size; i++) {
        const mg_dicom_fragment *f = &d->fragments[s->first + i];
        uint64_t n = f->length < s->size - at ? f->length : s->size - at;
        memcpy(out->owned + at, d->bytes + f->offset, (size_t)n);
        at += n;
    }
    out->bytes = out->owned;
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_frame_open(mg_dicom *d, const mg_dicom_frames *frames, uint32_t frame,
                                    mg_dicom_frame_data *out, mg_dicom_error *err) {
    *out = (mg_dicom_frame_data){0};
    if (frame >= frames->image.frames)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0, "frame %u of %u asked for", frame + 1,
                             frames->image.frames);
    if (frame >= frames->located)
        return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0,
                             "frame %u is missing: the pixel data holds %u of %u frames", frame + 1,
                             frames->located, frames->image.frames);
    if (d->encapsulated) {
        out->span = &frames->spans[frame];
        out->offset = d->fragments[out->span->first].offset;
        out->size = out->span->size;
        out->bytes = d->bytes + out->offset;
        if (out->span->count > 1) return join(d, out, err);
        return MG_DICOM_OK;
    }
    const mg_dicom_element *e = &d->elements[d->pixel_element];
    uint64_t first = frame * native_bits(frames); /* below 2^31 * 2^44: located frames only */
    out->bytes = e->value + first / 8;
    out->size = e->length - first / 8;
    out->offset = (uint64_t)(out->bytes - d->bytes);
    out->bit = (unsigned)(first % 8);
    out->odd = first / 8 % 2;
    return MG_DICOM_OK;
}

void mg_dicom_frame_close(mg_dicom_frame_data *data) {
    free(data->owned);
    data->owned = NULL;
}

uint64_t mg_dicom_frame_position(const mg_dicom *d, const mg_dicom_frame_data *data,
                                 uint64_t position) {
    if (!data->span) return data->offset + position;
    for (uint32_t i = 0; i < data->span->count; i++) {
        const mg_dicom_fragment *f = &d->fragments[data->span->first + i];
        if (position < f->length || i + 1 == data->span->count)
            return f->offset + (position < f->length ? position : f->length);
        position -= f->length;
    }
    return data->offset;
}
