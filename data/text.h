/* text.h: a growing string for writing HTML, SVG and CSV. A failed allocation is remembered
 * (failed = true) and further appends do nothing, so only the end needs a check. */
#ifndef MG_DATA_TEXT_H
#define MG_DATA_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mg_text {
    char *data; /* always terminated; NULL while empty */
    size_t size, capacity;
    bool failed;
} mg_text;

void mg_text_add(mg_text *text, const char *string);
void mg_text_bytes(mg_text *text, const void *data, size_t size);
void mg_text_format(mg_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With & < > " ' as entities and control characters as spaces; bytes that are no UTF-8 become
 * U+FFFD. For element content and quoted attributes. */
void mg_text_escaped(mg_text *text, const char *string);
void mg_text_base64(mg_text *text, const void *data, size_t size);
void mg_text_free(mg_text *text);

#endif
