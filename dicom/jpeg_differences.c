/* jpeg_differences.c: the entropy-coded differences of JPEG Lossless (T.81 H.1.2.2): a Huffman code
 * for the category SSSS (0…16), then SSSS additional bits.
 *
 * Decoding is bound not by work but by waiting: where a code begins is known only when the one
 * before it has been looked up, some nine cycles each. Two things help.
 *
 * Groups. A table over the next GROUP_BITS bits yields all differences (code and additional bits)
 * that are complete within them, up to three at once.
 *
 * Lanes. Huffman codes synchronise themselves: a decoder that starts at any bit soon falls into
 * step with one that started at the beginning, usually after a dozen codes. So a few lanes decode
 * different stretches of the data at the same time, and the processor overlaps their waiting. Only
 * the first lane knows that it is right. When it reaches the next lane's stretch and one of its
 * codes begins at the very bit where one of that lane's codes began, all that the other decoded
 * from there on is what the first would have decoded, and is taken over; if none does, it is thrown
 * away. The result is therefore the same as with one lane, whatever the data. */
#include "dicom/jpeg_lossless.h"

#include <stdlib.h>
#include <string.h>

enum {
    SMALL = 1 << 14, /* scans of fewer samples are done before the table would be */
    GROUP_BITS = 13, /* 8192 groups of 8 bytes; lanes hide that they outgrow the first cache */
    GROUPS_PER_REFILL = 56 / GROUP_BITS,
    STEP_ROOM = 4 * GROUPS_PER_REFILL, /* a group writes 4 samples, of which up to 3 count */

    LANES = 3,
    STRETCH = 8192,                  /* bytes that each lane decodes before they are joined */
    LEAST_STRETCH = 256,             /* shorter ones are not worth the joining */
    LANE_SPACE = 8 * STRETCH + 1024, /* differences of a stretch at one bit each */
    PROBES = 64,                     /* codes of a stretch whose first bits are remembered */
    GIVE_UP = 4,                     /* stretches lost in a row until lanes are given up */
};
_Static_assert(MG_JPEG_DIFFERENCES_ROOM >= LANES * LANE_SPACE, "room for full stretches");

/* What the next GROUP_BITS bits begin with: differences that are complete within them. The whole
 * struct is copied to the output; what is not a difference is overwritten by the next group. */
struct mg_jpeg_group {
    uint16_t difference[3];
    uint8_t bits;  /* of all the differences together */
    uint8_t count; /* 0: the first is longer than GROUP_BITS */
};
_Static_assert(sizeof(mg_jpeg_group) == 8, "a group is copied as four samples");

/* --- one difference, one group ---------------------------------------------------------------- */

/* One difference, or -1: no code is assigned. Needs 32 bits in the reservoir. */
static inline int32_t one_difference(mg_jpeg_bits *b, const mg_jpeg_huffman *table, bool extra_16) {
    int category = mg_jpeg_symbol(b, table);
    if (__builtin_expect(category < 0 || category > 15, 0)) {
        if (category != 16) return -1;
        /* SSSS 16 has no additional bits. An old encoder wrote 16 of them, of which only the two
         * patterns that mean -32768 and 32768 can occur. */
        uint32_t next = mg_jpeg_peek(b, 16);
        if (extra_16 && (next == 0x8000 || next == 0x7FFF)) mg_jpeg_skip(b, 16);
        return 0x8000;
    }
    unsigned n = (unsigned)category;
    return (uint16_t)mg_jpeg_extend(mg_jpeg_take(b, n), n);
}

mg_dicom_status mg_jpeg_differences_prepare(mg_jpeg_lossless *s) {
    enum { N = 1 << GROUP_BITS };
    if ((uint64_t)s->rows * s->columns < SMALL) return MG_DICOM_OK;
    if (!s->groups) s->groups = malloc(N * sizeof *s->groups);
    if (!s->lane_space) s->lane_space = malloc((LANES - 1) * LANE_SPACE * sizeof *s->lane_space);
    if (!s->groups || !s->lane_space)
        return mg_dicom_fail(s->j->err, MG_DICOM_ERR_MEMORY, s->j->scan.offset,
                             "JPEG: no memory for the decoding table");
    /* First every group of one difference, … */
    uint8_t bits[N];
    uint16_t difference[N];
    for (uint32_t i = 0; i < N; i++) {
        mg_jpeg_bits b = {.bits = (uint64_t)i << (64 - GROUP_BITS), .count = 56}, code = b;
        int32_t d = one_difference(&b, s->table[0], false);
        bool with_extra = s->extra_16 && mg_jpeg_symbol(&code, s->table[0]) == 16;
        unsigned used = 56 - b.count;
        bits[i] = d < 0 || with_extra || used > GROUP_BITS ? 0 : (uint8_t)used;
        difference[i] = (uint16_t)d;
    }
    /* … then as many of them in a row as fit. */
    for (uint32_t i = 0; i < N; i++) {
        mg_jpeg_group g = {0};
        while (g.count < 3) {
            uint32_t rest = (i << g.bits) & (N - 1);
            if (!bits[rest] || g.bits + bits[rest] > GROUP_BITS) break;
            g.difference[g.count++] = difference[rest];
            g.bits = (uint8_t)(g.bits + bits[rest]);
        }
        s->groups[i] = g;
    }
    return MG_DICOM_OK;
}

/* Someone decoding: the true stream, or one ahead of it. */
typedef struct lane {
    mg_jpeg_bits bits;
    uint16_t *out;
    size_t n; /* differences in out */
    bool failed;
    size_t end; /* of its stretch, in bytes */
} lane;

static __attribute__((noinline)) int32_t checked_difference(const mg_jpeg_lossless *s,
                                                            mg_jpeg_bits *b) {
    mg_jpeg_refill(b);
    int32_t d = one_difference(b, s->table[0], s->extra_16);
    return mg_jpeg_bits_overrun(b) ? -1 : d;
}

/* One code, however long. Only a copy's address is handed on, so that lanes stay in registers. */
static inline __attribute__((always_inline)) void step_code(const mg_jpeg_lossless *s, lane *l) {
    mg_jpeg_bits b = l->bits;
    int32_t d = checked_difference(s, &b);
    l->bits = b;
    if (d < 0) l->failed = true;
    else l->out[l->n++] = (uint16_t)d;
}

/* A few groups, for which 8 bytes of data must be left and STEP_ROOM differences have room. */
static inline __attribute__((always_inline)) void step_groups(const mg_jpeg_lossless *s, lane *l) {
    mg_jpeg_refill(&l->bits);
    uint16_t *out = l->out + l->n;
    for (int i = 0; i < GROUPS_PER_REFILL; i++) {
        const mg_jpeg_group *g = &s->groups[l->bits.bits >> (64 - GROUP_BITS)];
        if (__builtin_expect(g->count == 0, 0)) {
            l->n = (size_t)(out - l->out);
            step_code(s, l);
            return;
        }
        memcpy(out, g, sizeof *g);
        out += g->count;
        mg_jpeg_skip(&l->bits, g->bits);
    }
    l->n = (size_t)(out - l->out);
}

/* --- one lane --------------------------------------------------------------------------------- */

/* Up to `room` differences, one after the other to the very end of the data. */
static void decode_serially(const mg_jpeg_lossless *s, lane *l, size_t room) {
    lane local = *l; /* in registers, as far as they go */
    while (s->groups && local.n + STEP_ROOM <= room && local.bits.pos + 8 <= local.bits.size &&
           !local.failed)
        step_groups(s, &local);
    while (local.n < room && !local.failed) step_code(s, &local);
    *l = local;
}

/* --- several lanes ---------------------------------------------------------------------------- */

static inline bool in_stretch(const lane *l) {
    return l->bits.pos < l->end && l->n + STEP_ROOM <= LANE_SPACE && !l->failed;
}

/* Where the first codes of a lane ahead begin, in bits. */
typedef struct probes {
    int n;
    uint64_t start[PROBES];
} probes;

static void probe(const mg_jpeg_lossless *s, lane *l, probes *p) {
    for (p->n = 0; p->n < PROBES && !l->failed;) {
        p->start[p->n++] = mg_jpeg_bits_taken(&l->bits);
        step_code(s, l);
    }
}

/* All lanes to the ends of their stretches, in step as long as none is there. */
static void decode_stretches(const mg_jpeg_lossless *s, lane lanes[LANES]) {
    lane a = lanes[0], b = lanes[1], c = lanes[2];
    _Static_assert(LANES == 3, "a, b, c");
    while (in_stretch(&a) && in_stretch(&b) && in_stretch(&c)) {
        step_groups(s, &a);
        step_groups(s, &b);
        step_groups(s, &c);
    }
    while (in_stretch(&a)) step_groups(s, &a);
    while (in_stretch(&b)) step_groups(s, &b);
    while (in_stretch(&c)) step_groups(s, &c);
    lanes[0] = a, lanes[1] = b, lanes[2] = c;
}

/* Continues the true stream to where one of its codes begins with one of `ahead`, and takes over
 * what that lane has decoded from there on. False: it never does. */
static bool join(const mg_jpeg_lossless *s, lane *truth, const lane *ahead, const probes *p) {
    for (int i = 0; i < p->n && !truth->failed;) {
        uint64_t at = mg_jpeg_bits_taken(&truth->bits);
        if (at < p->start[i]) {
            step_code(s, truth);
        } else if (at > p->start[i]) {
            i++;
        } else {
            size_t n = ahead->n - (size_t)i;
            memcpy(truth->out + truth->n, ahead->out + i, n * sizeof *truth->out);
            truth->n += n;
            truth->bits = ahead->bits;
            truth->failed = ahead->failed;
            return true;
        }
    }
    return false;
}

static size_t decode_in_lanes(mg_jpeg_lossless *s, uint16_t *out, size_t stretch) {
    lane lanes[LANES];
    probes first[LANES];
    size_t start = s->j->bits.pos;
    for (int i = 0; i < LANES; i++) {
        size_t from = start + (size_t)i * stretch;
        lanes[i] = (lane){.bits = s->j->bits, .out = out, .end = from + stretch};
        if (i == 0) continue;
        lanes[i].bits =
            (mg_jpeg_bits){.data = s->j->bits.data, .size = s->j->bits.size, .pos = from};
        lanes[i].out = s->lane_space + (i - 1) * LANE_SPACE;
        probe(s, &lanes[i], &first[i]);
    }
    decode_stretches(s, lanes);
    int joined = 1;
    while (joined < LANES && join(s, &lanes[0], &lanes[joined], &first[joined])) joined++;
    s->lanes_lost = joined < LANES ? s->lanes_lost + 1 : 0;
    s->j->bits = lanes[0].bits;
    s->failed = lanes[0].failed;
    return lanes[0].n;
}

size_t mg_jpeg_differences(mg_jpeg_lossless *s, uint16_t *out, size_t room) {
    const mg_jpeg_bits *b = &s->j->bits;
    /* Stretches that lie within the data, and cannot hold more differences than there is room for
     * even at a bit each: a stretch, and the codes that are decoded one by one to join them. */
    size_t left = b->pos < b->size ? b->size - b->pos : 0;
    size_t stretch = left / LANES < STRETCH ? left / LANES : STRETCH;
    size_t fits = room / LANES / 8;
    stretch = stretch < fits ? stretch : fits;
    if (s->groups && stretch >= LEAST_STRETCH && s->lanes_lost < GIVE_UP)
        return decode_in_lanes(s, out, stretch - LEAST_STRETCH / 2);
    lane l = {.bits = *b, .out = out};
    decode_serially(s, &l, room < MG_JPEG_DIFFERENCES_ROOM ? room : MG_JPEG_DIFFERENCES_ROOM);
    s->j->bits = l.bits;
    s->failed = l.failed;
    return l.n;
}

/* --- several components ----------------------------------------------------------------------- */

void mg_jpeg_differences_interleaved(mg_jpeg_lossless *s, uint16_t *const line[4]) {
    mg_jpeg_bits b = s->j->bits;
    for (uint32_t x = 0; x < s->columns && !s->failed; x++) {
        for (int i = 0; i < s->n; i++) {
            mg_jpeg_refill(&b);
            int32_t d = one_difference(&b, s->table[i], s->extra_16);
            s->failed |= d < 0;
            line[i][x] = (uint16_t)d;
        }
    }
    s->j->bits = b;
    s->failed |= mg_jpeg_bits_overrun(&b);
}
