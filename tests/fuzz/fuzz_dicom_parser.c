/* fuzz_dicom_parser.c: the parser and everything that reads elements. The input is a file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/dicom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Values of one element through every getter; nothing may lie outside of the input. */
static void use(const mg_dicom *d, const mg_dicom_element *e) {
    char text[64], all[512];
    double real;
    int64_t whole;
    int count = mg_dicom_count(d, e);
    for (int i = 0; i < 3; i++) {
        int n = mg_dicom_element_text(d, e, i, text, sizeof text);
        if (n >= 0 && strlen(text) > (size_t)n) abort();
        mg_dicom_element_double(d, e, i, &real);
        mg_dicom_element_int(d, e, i, &whole);
    }
    if (count < 0) abort();
    int n = mg_dicom_element_all_text(d, e, all, sizeof all);
    if (n >= 0 && n < (int)sizeof all && strlen(all) != (size_t)n) abort();
    volatile uint8_t sum = 0;
    if (e->length) sum = (uint8_t)(e->value[0] + e->value[e->length - 1]);
    (void)sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mg_dicom_options options = {.max_inflated = 1 << 22, .max_elements = 1 << 16};
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(data, size, &options, &err);
    if (!d) {
        if (err.code == MG_DICOM_OK || !err.message[0]) abort(); /* a failure without a reason */
        return 0;
    }
    size_t last = 0, n = 0;
    mg_dicom_iterator it = {0};
    for (const mg_dicom_element *e; (e = mg_dicom_next(d, &it)); n++) {
        if (e->next <= n) abort(); /* every subtree ends behind its beginning */
        if (n < 2000) use(d, e);
    }
    for (const mg_dicom_element *e = mg_dicom_first_in(d, NULL); e;
         e = mg_dicom_after(d, NULL, e)) {
        if (e->depth != 0) abort();
        last++;
    }
    if (last > n) abort();
    uint64_t offset, length;
    for (uint32_t i = 0; i < mg_dicom_fragment_count(d); i++) {
        const uint8_t *p = mg_dicom_fragment_bytes(d, i, &offset, &length);
        volatile uint8_t sum = 0;
        if (length) sum = (uint8_t)(p[0] + p[length - 1]);
        (void)sum;
    }
    mg_dicom_image image;
    mg_dicom_image_info(d, &image, &err);
    mg_dicom_window window;
    mg_dicom_window_of(d, 0, 0, &window);
    mg_dicom_close(d);
    return 0;
}
