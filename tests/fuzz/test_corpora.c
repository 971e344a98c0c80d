/* Everything that fuzzing ever kept, once through its target: an answer, and soon. Under
 * SAN=address,undefined this is the regression test of every fault that fuzzing found. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

typedef int target(const unsigned char *data, size_t size);

#define LLVMFuzzerTestOneInput fuzz_cache
#define put                    fuzz_cache_put
#include "tests/fuzz/fuzz_cache.c"
#undef put
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_csv
#include "tests/fuzz/fuzz_csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_dicom_deflate
#include "tests/fuzz/fuzz_dicom_deflate.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_dicom_parser
#include "tests/fuzz/fuzz_dicom_parser.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_events
#include "tests/fuzz/fuzz_events.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_grey
#define put                    fuzz_grey_put
#include "tests/fuzz/fuzz_grey.c"
#undef put
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_j2k_gate
#include "tests/fuzz/fuzz_j2k_gate.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_jls_gate
#include "tests/fuzz/fuzz_jls_gate.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_jpeg
#include "tests/fuzz/fuzz_jpeg.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_json
#include "tests/fuzz/fuzz_json.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_metrics_csv
#include "tests/fuzz/fuzz_metrics_csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_pixels
#include "tests/fuzz/fuzz_pixels.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_png
#include "tests/fuzz/fuzz_png.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_pth
#include "tests/fuzz/fuzz_pth.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_rle
#include "tests/fuzz/fuzz_rle.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "tests/fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput

enum { LARGEST = 1 << 22 };

static void replay(const char *name, target *run) {
    char folder[256], path[1024];
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    DIR *list = opendir(folder);
    cr_assert(list, "%s: run from the root of the repository", folder);
    unsigned char *bytes = malloc(LARGEST);
    int files = 0;
    for (struct dirent *e; bytes && (e = readdir(list));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *f = fopen(path, "rb");
        cr_assert(f, "%s", path);
        size_t size = fread(bytes, 1, LARGEST, f);
        fclose(f);
        /* A copy of just its size: a read behind the end is seen by the sanitizer. */
        unsigned char *exact = malloc(size ? size : 1);
        cr_assert(exact);
        for (size_t i = 0; i < size; i++) exact[i] = bytes[i];
        run(exact, size);
        free(exact);
        files++;
    }
    free(bytes);
    closedir(list);
    cr_expect_gt(files, 0, "%s is empty", folder);
}

#define REPLAY(name)                                                                               \
    Test(corpus, name, .timeout = 120) { replay("fuzz_" #name, fuzz_##name); }
REPLAY(cache)
REPLAY(csv)
REPLAY(dicom_deflate)
REPLAY(dicom_parser)
REPLAY(events)
REPLAY(grey)
REPLAY(j2k_gate)
REPLAY(jls_gate)
REPLAY(jpeg)
REPLAY(json)
REPLAY(metrics_csv)
REPLAY(pixels)
REPLAY(png)
REPLAY(pth)
REPLAY(rle)
REPLAY(safetensors)
