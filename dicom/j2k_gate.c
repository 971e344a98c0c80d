/* j2k_gate.c: the whole marker structure of a JPEG 2000 codestream (ITU-T T.800 annex A, T.814 for
 * HTJ2K), checked before the borrowed decoder sees it.
 *
 * The decoder allocates by what these numbers say: tiles, precincts, layers. A few hundred bytes
 * can ask for gigabytes or hours, so each number is held against the bytes that a stream with that
 * many parts would have to have. Codestreams inside a JP2 file are taken out; its boxes say nothing
 * that DICOM does not say itself. */
#include <stdio.h>

#include "dicom/pixel.h"

enum {
    SOC = 0xFF4F,
    SIZ = 0xFF51,
    COD = 0xFF52,
    COC = 0xFF53,
    QCD = 0xFF5C,
    SOT = 0xFF90,
    SOD = 0xFF93,
    EOC = 0xFFD9,
};

typedef struct gate {
    const uint8_t *p; /* the codestream */
    size_t size, base;
    mg_dicom_j2k_header *out;
    mg_dicom_error *err;
    bool has_cod, has_qcd;
    uint32_t layers;
    uint64_t precincts; /* of the costliest component of a tile */
} gate;

static uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t be32(const uint8_t *p) { return be16(p) << 16 | be16(p + 2); }

static mg_dicom_status refuse(gate *g, mg_dicom_status code, size_t at, const char *what) {
    return mg_dicom_fail(g->err, code, g->base + at, "JPEG 2000: %s at byte %zu", what,
                         g->base + at);
}
static mg_dicom_status broken(gate *g, size_t at, const char *what) {
    return refuse(g, MG_DICOM_ERR_PIXELS, at, what);
}

/* Data that is not all there: the decoder may still be asked for the part that is. */
static void note_damage(gate *g, size_t at, const char *what) {
    if (!g->out->complete) return;
    g->out->complete = false;
    g->out->damage = what;
    g->out->damage_offset = g->base + at;
}

/* --- JP2 -------------------------------------------------------------------------------------- */

/* Finds the contiguous codestream box among the top-level boxes (T.800 annex I). */
static mg_dicom_status find_codestream(const uint8_t *data, size_t size, mg_dicom_j2k_header *out,
                                       mg_dicom_error *err) {
    static const uint8_t signature[8] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    out->start = 0;
    out->size = size;
    if (size < 12 || memcmp(data, signature, sizeof signature) != 0) return MG_DICOM_OK;
    out->jp2 = true;
    for (size_t at = 0; size - at >= 8;) {
        uint64_t length = be32(data + at), header = 8;
        if (length == 1 && size - at >= 16) {
            length = (uint64_t)be32(data + at + 8) << 32 | be32(data + at + 12);
            header = 16;
        }
        if (length == 0) length = size - at;
        if (length < header)
            return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, at, "JP2: box length at byte %zu", at);
        bool codestream = memcmp(data + at + 4, "jp2c", 4) == 0;
        if (codestream) {
            if (length > size - at) length = size - at; /* judged by its own markers */
            out->start = at + (size_t)header;
            out->size = (size_t)(length - header);
            return MG_DICOM_OK;
        }
        if (length > size - at) break;
        at += (size_t)length;
    }
    return mg_dicom_fail(err, MG_DICOM_ERR_PIXELS, 0, "JP2: no codestream box in %zu bytes", size);
}

/* --- main header ------------------------------------------------------------------------------ */

static uint32_t ceil_div(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }

static mg_dicom_status read_components(gate *g, const uint8_t *p, size_t at) {
    mg_dicom_j2k_header *h = g->out;
    for (int c = 0; c < h->components; c++, p += 3) {
        int precision = (p[0] & 0x7F) + 1;
        bool is_signed = p[0] >> 7;
        if (c == 0) {
            h->precision = precision;
            h->is_signed = is_signed;
            h->xr = p[1];
            h->yr = p[2];
        }
        if (p[1] == 0 || p[2] == 0) return broken(g, at, "component sampling of 0");
        if (precision != h->precision || is_signed != h->is_signed || p[1] != h->xr ||
            p[2] != h->yr)
            return refuse(g, MG_DICOM_ERR_UNSUPPORTED, at,
                          "components of different precision, sign or sampling");
    }
    if (h->precision > 16)
        return refuse(g, MG_DICOM_ERR_UNSUPPORTED, at, "more than 16 bits per sample");
    return MG_DICOM_OK;
}

static mg_dicom_status read_siz(gate *g, size_t at, size_t length) {
    const uint8_t *p = g->p + at + 2;
    mg_dicom_j2k_header *h = g->out;
    if (length < 41) return broken(g, at, "SIZ too short");
    uint32_t components = be16(p + 36);
    if (components == 0 || length != 38 + 3 * (size_t)components)
        return broken(g, at, "SIZ length does not fit its components");
    if (components != 1 && components != 3)
        return refuse(g, MG_DICOM_ERR_UNSUPPORTED, at, "neither 1 nor 3 components");
    uint32_t tx0 = be32(p + 28), ty0 = be32(p + 32);
    h->components = (int)components;
    h->x1 = be32(p + 4);
    h->y1 = be32(p + 8);
    h->x0 = be32(p + 12);
    h->y0 = be32(p + 16);
    h->tile_w = be32(p + 20);
    h->tile_h = be32(p + 24);
    /* Larger coordinates are legal, but no image of 65535 pixels has them, and they overflow. */
    if (h->x1 > 1u << 26 || h->y1 > 1u << 26)
        return refuse(g, MG_DICOM_ERR_UNSUPPORTED, at, "reference grid beyond 2^26");
    if (h->x0 >= h->x1 || h->y0 >= h->y1) return broken(g, at, "empty image area");
    if (h->tile_w == 0 || h->tile_h == 0) return broken(g, at, "tile size of 0");
    if (tx0 > h->x0 || ty0 > h->y0 || (uint64_t)tx0 + h->tile_w <= h->x0 ||
        (uint64_t)ty0 + h->tile_h <= h->y0)
        return broken(g, at, "first tile outside the image");
    mg_dicom_status status = read_components(g, p + 38, at);
    if (status != MG_DICOM_OK) return status;
    h->columns = ceil_div(h->x1, h->xr) - ceil_div(h->x0, h->xr);
    h->rows = ceil_div(h->y1, h->yr) - ceil_div(h->y0, h->yr);
    if (h->rows == 0 || h->columns == 0 || h->rows > 65535 || h->columns > 65535)
        return broken(g, at, "image size not 1 to 65535");
    uint64_t tiles = (uint64_t)ceil_div(h->x1 - tx0, h->tile_w) * ceil_div(h->y1 - ty0, h->tile_h);
    /* Each tile takes at least its SOT and SOD markers, 14 bytes. */
    if (tiles > 65535 || tiles * 14 > g->size)
        return broken(g, at, "more tiles than the data can hold");
    /* The decoder keeps some kilobytes per tile; let pixels pay for them. */
    if (tiles > 2048 && tiles * 1024 > (uint64_t)h->rows * h->columns * components)
        return refuse(g, MG_DICOM_ERR_LIMIT, at, "too many tiny tiles");
    h->tiles = (uint32_t)tiles;
    return MG_DICOM_OK;
}

/* Precincts of one tile-component, rounded up: what the decoder has to allocate. */
static uint64_t count_precincts(const gate *g, int levels, const uint8_t *exponents) {
    const mg_dicom_j2k_header *h = g->out;
    uint64_t total = 0;
    uint64_t w = h->tile_w < h->x1 - h->x0 ? h->tile_w : h->x1 - h->x0;
    uint64_t t = h->tile_h < h->y1 - h->y0 ? h->tile_h : h->y1 - h->y0;
    for (int r = 0; r <= levels; r++) {
        int shift = levels - r;
        int px = exponents ? exponents[r] & 15 : 15, py = exponents ? exponents[r] >> 4 : 15;
        uint64_t across = ((w >> shift) >> px) + 2, down = ((t >> shift) >> py) + 2;
        if (px == 15 && py == 15) across = down = 1;
        total += across * down;
    }
    return total;
}

/* SPcod and SPcoc: levels, code-block size and style, transformation, precincts. */
static mg_dicom_status read_coding(gate *g, size_t at, const uint8_t *p, size_t length,
                                   bool own_precincts) {
    if (length < 5) return broken(g, at, "coding style segment too short");
    int levels = p[0];
    if (levels > 32) return broken(g, at, "more than 32 decomposition levels");
    if (p[1] > 8 || p[2] > 8 || p[1] + p[2] > 8) return broken(g, at, "code-block size");
    if (p[4] > 1) return refuse(g, MG_DICOM_ERR_UNSUPPORTED, at, "unknown wavelet");
    size_t need = 5 + (own_precincts ? (size_t)levels + 1 : 0);
    if (length < need) return broken(g, at, "precinct sizes missing");
    if (own_precincts)
        for (int r = 1; r <= levels; r++)
            if ((p[5 + r] & 15) == 0 || p[5 + r] >> 4 == 0)
                return broken(g, at, "precinct of half a sample");
    if (levels < g->out->levels) g->out->levels = levels;
    uint64_t n = count_precincts(g, levels, own_precincts ? p + 5 : NULL);
    if (n > g->precincts) g->precincts = n;
    return MG_DICOM_OK;
}

static mg_dicom_status read_segment(gate *g, uint32_t marker, size_t at, size_t length) {
    const uint8_t *p = g->p + at + 2;
    if (marker == COD) {
        if (length < 12) return broken(g, at, "COD too short");
        uint32_t layers = be16(p + 4);
        if (layers == 0) return broken(g, at, "no quality layers");
        if (p[6] > 1) return broken(g, at, "component transform");
        if (p[6] == 1 && g->out->components != 3)
            return broken(g, at, "component transform of less than 3 components");
        if (layers > g->layers) g->layers = layers;
        g->has_cod = true;
        return read_coding(g, at, p + 7, length - 7, p[2] & 1);
    }
    if (marker == COC) {
        if (length < 9) return broken(g, at, "COC too short");
        if (p[2] >= g->out->components) return broken(g, at, "COC of a missing component");
        return read_coding(g, at, p + 4, length - 4, p[3] & 1);
    }
    if (marker == QCD) g->has_qcd = true;
    return MG_DICOM_OK;
}

/* Reads segments from *at up to `stop`, which is left at *at. */
static mg_dicom_status read_segments(gate *g, size_t *at, uint32_t stop, bool main_header) {
    for (;;) {
        if (g->size - *at < 4) return broken(g, *at, "data ends inside a header");
        uint32_t marker = be16(g->p + *at);
        if (marker == stop) return MG_DICOM_OK;
        if (marker < 0xFF01) return broken(g, *at, "no marker");
        if (marker == SOC || marker == SOD || marker == EOC || marker == SOT || marker == SIZ)
            return broken(g, *at, "marker where it cannot be");
        if (marker >= 0xFF30 && marker <= 0xFF3F) return broken(g, *at, "marker without length");
        size_t length = be16(g->p + *at + 2);
        if (length < 2 || length > g->size - *at - 2)
            return broken(g, *at,
                          main_header ? "segment length in the main header"
                                      : "segment length in a tile header");
        mg_dicom_status status = read_segment(g, marker, *at, length);
        if (status != MG_DICOM_OK) return status;
        *at += 2 + length;
    }
}

/* --- tile-parts ------------------------------------------------------------------------------- */

static mg_dicom_status read_tile_part(gate *g, size_t *at, uint8_t *seen, bool *last) {
    const uint8_t *p = g->p + *at;
    size_t begin = *at, left = g->size - begin;
    *last = true;
    if (left < 12) {
        note_damage(g, begin, "the data ends inside a tile header");
        return MG_DICOM_OK;
    }
    uint32_t tile = be16(p + 4), psot = be32(p + 6);
    if (be16(p + 2) != 10) return broken(g, begin, "SOT length");
    if (tile >= g->out->tiles) return broken(g, begin, "tile number");
    if (psot != 0 && psot < 14) return broken(g, begin, "tile-part length");
    *at += 12;
    mg_dicom_status status = read_segments(g, at, SOD, false);
    if (status != MG_DICOM_OK) return status;
    if (psot != 0 && *at - begin + 2 > psot) return broken(g, begin, "tile-part length");
    seen[tile / 8] |= (uint8_t)(1u << tile % 8);
    if (psot == 0) { /* up to the end of the codestream, padding aside */
        size_t end = g->size;
        while (end > *at + 2 && end + 16 > g->size &&
               !(g->p[end - 2] == 0xFF && g->p[end - 1] == 0xD9))
            end--;
        if (!(g->p[end - 2] == 0xFF && g->p[end - 1] == 0xD9)) g->out->terminated = false;
        *at = g->size;
        return MG_DICOM_OK;
    }
    if (psot > left) {
        note_damage(g, g->size, "the data ends inside a tile-part");
        return MG_DICOM_OK;
    }
    *at = begin + psot;
    *last = false;
    return MG_DICOM_OK;
}

static mg_dicom_status read_tiles(gate *g, size_t at) {
    uint8_t seen[65536 / 8] = {0};
    bool last = false;
    while (!last) {
        if (g->size - at < 2) {
            g->out->terminated = false;
            break; /* nothing but the end marker is missing, if all tiles are there */
        }
        uint32_t marker = be16(g->p + at);
        if (marker == EOC) break;
        if (marker != SOT) {
            note_damage(g, at, "neither a tile-part nor the end marker");
            break;
        }
        mg_dicom_status status = read_tile_part(g, &at, seen, &last);
        if (status != MG_DICOM_OK) return status;
    }
    for (uint32_t t = 0; t < g->out->tiles; t++)
        if (!(seen[t / 8] >> t % 8 & 1)) {
            note_damage(g, at, "tiles are missing");
            break;
        }
    return MG_DICOM_OK;
}

mg_dicom_status mg_dicom_j2k_read_header(const uint8_t *data, size_t size, mg_dicom_j2k_header *out,
                                         mg_dicom_error *err) {
    *out = (mg_dicom_j2k_header){.levels = 33, .terminated = true, .complete = true};
    mg_dicom_status status = find_codestream(data, size, out, err);
    if (status != MG_DICOM_OK) return status;
    gate g = {
        .p = data + out->start, .size = out->size, .base = out->start, .out = out, .err = err};
    if (g.size < 6 || be16(g.p) != SOC) return broken(&g, 0, "no SOC marker");
    if (be16(g.p + 2) != SIZ) return broken(&g, 2, "no SIZ marker");
    size_t length = be16(g.p + 4);
    if (length < 2 || length > g.size - 4) return broken(&g, 2, "SIZ length");
    status = read_siz(&g, 2, length);
    size_t at = 4 + length;
    if (status == MG_DICOM_OK) status = read_segments(&g, &at, SOT, true);
    if (status == MG_DICOM_OK && (!g.has_cod || !g.has_qcd))
        status = broken(&g, at, "no COD or QCD marker before the first tile");
    if (status == MG_DICOM_OK) status = read_tiles(&g, at);
    if (status != MG_DICOM_OK) return status;
    /* A packet per precinct, layer and component takes at least a byte. Streams cut down to fewer
     * are let through up to a factor, which bounds memory and time by the size of the data. */
    uint64_t packets;
    if (!mg_dicom_mul(g.precincts, (uint64_t)g.layers * (uint64_t)out->components, &packets) ||
        !mg_dicom_mul(packets, out->tiles, &packets) || packets > 8 * (uint64_t)g.size + 65536)
        return refuse(&g, MG_DICOM_ERR_LIMIT, 0, "more packets than the data can hold");
    return MG_DICOM_OK;
}

uint32_t mg_dicom_j2k_reduced(uint32_t a, uint32_t b, uint32_t sampling, int reduce) {
    uint64_t unit = UINT64_C(1) << reduce;
    uint64_t from = ceil_div(a, sampling), to = ceil_div(b, sampling);
    return (uint32_t)((to + unit - 1) / unit - (from + unit - 1) / unit);
}
