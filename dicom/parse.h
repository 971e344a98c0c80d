/* parse.h: the state of a parse, shared by parse.c and meta.c. */
#ifndef MG_DICOM_PARSE_H
#define MG_DICOM_PARSE_H

#include "dicom/internal.h"

#define MOST_LEVELS (2 * 120 + 1)

typedef enum level_kind { DATA_SET, SEQUENCE, IN_ITEM } level_kind;

typedef struct level {
    level_kind kind;
    bool undefined; /* ends by a delimiter; `end` is then the parent's */
    bool implicit, big_endian;
    uint32_t element; /* its sequence or item in d->elements */
    uint8_t charset;  /* index of the Specific Character Set, from 1 */
    uint32_t last_tag;
    uint64_t end;
} level;

typedef struct parser {
    mg_dicom *d;
    mg_dicom_error *err;
    mg_dicom_status status;
    uint64_t position;
    int top;
    bool meta; /* still in the file meta information */
    bool stop;
    uint32_t warned; /* kinds of deviation that are reported once */
    level levels[MOST_LEVELS];
} parser;

void mg_dicom_parse_warn(parser *p, uint64_t at, const char *what);

/* dicom/meta.c: where the file meta information or the data set begins, or UINT64_MAX. */
uint64_t mg_dicom_find_start(parser *p);
/* Called once, where the file meta information ends: finds out how the data set is encoded, and
 * inflates it if need be. */
void mg_dicom_begin_data_set(parser *p);

#endif
