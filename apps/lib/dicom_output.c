#include "apps/lib/dicom_output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

mg_status mg_dicom_output_open(mg_dicom_output *o, const char *path, const char *input,
                               mg_error *err) {
    struct stat in, out;
    *o = (mg_dicom_output){.path = path};
    if (strcmp(path, "-") == 0) {
        o->stream = stdout;
        o->path = "standard output";
        return MG_OK;
    }
    bool exists = stat(path, &out) == 0;
    if (exists && stat(input, &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        return mg_fail(err, MG_ERR_ARG, "%s is the file that is read: name another one to write",
                       path);
    if (exists && !S_ISREG(out.st_mode) && !S_ISDIR(out.st_mode)) {
        o->stream = fopen(path, "wb");
        return o->stream ? MG_OK
                         : mg_fail(err, MG_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    }
    o->file = mg_atomic_open(path, err);
    return o->file ? MG_OK : MG_ERR_IO;
}

mg_status mg_dicom_output_write(mg_dicom_output *o, const void *bytes, size_t size, mg_error *err) {
    if (o->file ? mg_atomic_write(o->file, bytes, size) == MG_OK
                : fwrite(bytes, 1, size, o->stream) == size)
        return MG_OK;
    return mg_fail(err, MG_ERR_IO, "cannot write %s: %s", o->path, strerror(errno));
}

mg_status mg_dicom_output_close(mg_dicom_output *o, bool keep, mg_error *err) {
    mg_status status = MG_OK;
    if (o->file) {
        if (keep) status = mg_atomic_commit(o->file, err);
        else mg_atomic_abandon(o->file);
    } else if (o->stream) {
        bool ok = fflush(o->stream) == 0;
        int why = errno;
        if (o->stream != stdout && fclose(o->stream) != 0 && ok) {
            ok = false;
            why = errno;
        }
        if (!ok) status = mg_fail(err, MG_ERR_IO, "cannot write %s: %s", o->path, strerror(why));
    }
    *o = (mg_dicom_output){0};
    return status;
}

mg_status mg_dicom_output_file(const char *path, const char *input, const void *bytes, size_t size,
                               mg_error *err) {
    mg_dicom_output o;
    mg_status status = mg_dicom_output_open(&o, path, input, err);
    if (status != MG_OK) return status;
    status = mg_dicom_output_write(&o, bytes, size, err);
    mg_status closed = mg_dicom_output_close(&o, status == MG_OK, err);
    return status != MG_OK ? status : closed;
}
