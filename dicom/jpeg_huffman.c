/* jpeg_huffman.c: decoding tables from the code lengths of DHT (T.81 annex C). */
#include "dicom/jpeg_huffman.h"

#include <string.h>

bool mg_jpeg_huffman_build(mg_jpeg_huffman *h, const uint8_t counts[17], const uint8_t *values) {
    memset(h, 0, sizeof *h);
    int n_values = 0;
    uint32_t code = 0; /* next free code, left-aligned in 16 bits; 0x10000: all used */
    for (unsigned length = 1; length <= 16; length++) {
        uint32_t step = 1u << (16 - length);
        h->counts[length] = counts[length];
        h->offset[length] = n_values - (int)(code >> (16 - length));
        for (int i = 0; i < counts[length]; i++) {
            if (code + step > 0x10000 || n_values == 256) return false;
            uint8_t value = h->values[n_values++] = values[i];
            if (length <= MG_JPEG_LOOKUP_BITS) {
                enum { SHIFT = 16 - MG_JPEG_LOOKUP_BITS };
                for (uint32_t k = code >> SHIFT; k < (code + step) >> SHIFT; k++)
                    h->lookup[k] = (uint16_t)(length << 8 | value);
            }
            code += step;
        }
        values += counts[length];
        h->limit[length] = code;
    }
    h->n_values = n_values;
    h->defined = true;
    return true;
}
