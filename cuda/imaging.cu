/* The table of ops/imaging.h for the plugin. */
#include "cuda/imaging.h"

extern "C" const mg_device_imaging mg_cuda_imaging;
const mg_device_imaging mg_cuda_imaging = {
    mg_imaging_values,
    mg_imaging_look_up,
    mg_imaging_range,
    mg_imaging_range_scratch,
    mg_imaging_steady_range,
    mg_imaging_steady_range_scratch,
    mg_imaging_normalise,
    mg_imaging_lit,
    mg_imaging_block_means,
    mg_imaging_block_means_scratch,
    mg_imaging_resize_image,
    mg_imaging_resize_scratch,
    mg_imaging_quantise,
    mg_imaging_augment_image,
    MG_IMAGING_PARTS * sizeof(double) + MG_IMAGING_LEVELS * sizeof(float),
};
