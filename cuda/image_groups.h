/* image_groups.h: an op that needs a wide tensor between two of its steps takes the images of a
 * batch in groups, so that its scratch memory does not grow with the batch. */
#ifndef MG_CUDA_IMAGE_GROUPS_H
#define MG_CUDA_IMAGE_GROUPS_H

#include <stdint.h>
#include <stdlib.h>

/* Images at once when each needs `image` bytes: groups of even size, at most `kib` KiB or one
 * image. MG_CUDA_SCRATCH_KIB sets another limit, for small devices and for tests. */
static inline int64_t mg_images_at_once(int64_t images, int64_t image, int64_t kib) {
    const char *text = getenv("MG_CUDA_SCRATCH_KIB");
    const int64_t fit = ((text ? atoll(text) : kib) << 10) / image, most = fit > 1 ? fit : 1;
    const int64_t groups = (images + most - 1) / most;
    return (images + groups - 1) / groups;
}

#endif
