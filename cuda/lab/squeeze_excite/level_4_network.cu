/* Level 4: the small network over many blocks.
 *
 * Level 3 pulls both weight matrices, up to 2.4 MB in EfficientNet-B4's last stage, through one
 * multiprocessor per image, and its thread of a squeezed channel runs through all C products alone.
 * cuda/gate.h splits the two layers into launches of their own, with 8 outputs or 128 outputs a
 * block and 32 threads on each sum of the first, which also adds the chunks. One launch more, a
 * fraction of the waiting. */
#include "cuda/lab/squeeze_excite/common.h"

static void forward(const mg_op_call *c) {
    const lab_excite e = lab_excite_of(c);
    mg_pixel_sums_as<1, false>(e.x, NULL, e.g.images, e.pixels, e.g.channels, e.partial);
    mg_gate_forward(&e.g, e.partial, e.chunks, e.pixels);
    lab_scale(&e);
}

MG_LAB_BORROW(squeeze_excite, lab_excite_floats(c))
MG_LAB_LEVEL(squeeze_excite, 4, "network", "the two small layers over many blocks");
