/* dataset.h: the tree behind writer.h; shared by the writer's files only. */
#ifndef MG_DICOM_DATASET_H
#define MG_DICOM_DATASET_H

#include "dicom/internal.h"
#include "dicom/writer.h"

/* One element: bytes as they will stand in the file (even length), or items. */
typedef struct mg_dicom_node {
    uint32_t tag;
    char vr[3];
    bool encapsulated; /* bytes are items and the delimiter: undefined length */
    uint8_t *bytes;
    uint64_t size;
    mg_dicom_dataset **items;
    uint32_t item_count;
} mg_dicom_node;

struct mg_dicom_dataset {
    mg_dicom_node *nodes; /* ascending by tag */
    uint32_t count, capacity;
    mg_dicom_dataset *root; /* where errors are kept: the outermost data set */
    int depth;
    bool not_ascii; /* root: some text is beyond ASCII */
    char transfer_syntax[65];
    mg_dicom_error error;
};

/* The node with that tag, emptied or new; NULL after an error. */
mg_dicom_node *mg_dicom_node_of(mg_dicom_dataset *s, uint32_t tag, const char *vr);
const mg_dicom_node *mg_dicom_node_find(const mg_dicom_dataset *s, uint32_t tag);
/* Gives a node its bytes, which it then owns (also when the call fails). */
void mg_dicom_node_take(mg_dicom_dataset *s, uint32_t tag, const char *vr, uint8_t *bytes,
                        uint64_t size, bool encapsulated);

#endif
