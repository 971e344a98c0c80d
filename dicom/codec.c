/* codec.c: errors and checks that all codecs share. */
#include "dicom/codec_internal.h"

#include <stdarg.h>
#include <stdio.h>

void mg_codec_warn(const mg_dicom_codec_options *options, uint64_t offset, const char *format,
                   ...) {
    if (!options || !options->on_warning) return;
    char message[200];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    options->on_warning(options->warning_arg, offset, message);
}

mg_dicom_status mg_codec_check_frame(const mg_dicom_codec_frame *frame, const void *samples,
                                     size_t *count, mg_dicom_error *err) {
    if (frame->rows < 1 || frame->rows > 65535 || frame->columns < 1 || frame->columns > 65535)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "a frame of %u rows and %u columns: both must "
                             "be 1 to 65535",
                             (unsigned)frame->rows, (unsigned)frame->columns);
    int n = frame->samples, w = frame->word_bytes;
    if (n < 1 || w < 1 || n > 15 || w > 8 || n * w > 15)
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "%d samples of %d bytes per pixel cannot be "
                             "coded",
                             n, w);
    uint64_t samples_64 = (uint64_t)frame->rows * frame->columns * (unsigned)n;
    if (samples_64 > (uint64_t)PTRDIFF_MAX / 16)
        return mg_dicom_fail(err, MG_DICOM_ERR_LIMIT, 0, "%llu samples do not fit into memory",
                             (unsigned long long)samples_64);
    if (!samples || ((w & (w - 1)) == 0 && (uintptr_t)samples % (unsigned)w))
        return mg_dicom_fail(err, MG_DICOM_ERR_ARG, 0,
                             "the sample buffer is missing or not aligned "
                             "to %d bytes",
                             w);
    *count = (size_t)samples_64;
    return MG_DICOM_OK;
}
