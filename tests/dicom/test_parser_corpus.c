/* Everything that fuzzing ever kept, once through the parser: an answer, and soon. Among them
 * `sequence_in_meta`, a sequence in the file meta information that once never ended. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom/dicom.h"

enum { LARGEST = 1 << 20 };

static void open_one(const char *path) {
    static unsigned char bytes[LARGEST];
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    mg_dicom_error err = {0};
    mg_dicom *d = mg_dicom_open_memory(bytes, size, NULL, &err);
    cr_expect(d || err.message[0], "%s: refused without a reason", path);
    mg_dicom_close(d);
}

Test(parser, whole_corpus, .timeout = 60) {
    static const char folder[] = "tests/fuzz/corpus/fuzz_dicom_parser";
    DIR *list = opendir(folder);
    cr_assert(list, "run from the root of the repository");
    int files = 0;
    for (struct dirent *e; (e = readdir(list));) {
        if (e->d_name[0] == '.') continue;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        open_one(path);
        files++;
    }
    closedir(list);
    cr_expect_gt(files, 100);
    open_one("tests/fuzz/corpus/fuzz_dicom_parser/sequence_in_meta");
}
