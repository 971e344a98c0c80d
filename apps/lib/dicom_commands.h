/* dicom_commands.h: the subcommands of apps/dicom. Each gets its own name as argv[0] and returns an
 * exit code. */
#ifndef MG_APPS_LIB_DICOM_COMMANDS_H
#define MG_APPS_LIB_DICOM_COMMANDS_H

#include <stdio.h>

#include "dicom/writer.h"

int mg_dicom_command_info(int argc, char **argv);
int mg_dicom_command_dump(int argc, char **argv);
int mg_dicom_command_pixels(int argc, char **argv);
int mg_dicom_command_png(int argc, char **argv);
int mg_dicom_command_check(int argc, char **argv);
int mg_dicom_command_transcode(int argc, char **argv);

/* Opens a file or reports on stderr why not. */
mg_dicom *mg_dicom_command_open(const char *path, const mg_dicom_options *options);
/* Warnings of an open file to stderr. */
void mg_dicom_command_warn(const char *path, const mg_dicom *d);

/* The text of all values of an element, to be freed; NULL for numbers and bytes. next_value takes
 * it apart, value after value without blanks around it, and gives NULL behind the last. */
char *mg_dicom_command_values(const mg_dicom *d, const mg_dicom_element *e);
char *mg_dicom_command_next_value(const mg_dicom_element *e, char **rest);

/* apps/lib/dicom_overlay.c: overlays that lie in the pixel words of d go to Overlay Data of s.
 * Fails when that cannot be done: they would be lost. */
mg_dicom_status mg_dicom_move_overlays(const mg_dicom *d, const mg_dicom_image *image,
                                       mg_dicom_dataset *s, mg_dicom_error *err);

/* apps/lib/dicom_print.c */
void mg_dicom_print_dump(const mg_dicom *d, bool whole_values, FILE *to);
/* DICOM JSON model (PS3.18 annex F). Values of more than `most_inline` bytes become BulkDataURI. */
void mg_dicom_print_json(const mg_dicom *d, const char *path, uint64_t most_inline, FILE *to);
void mg_dicom_print_info(const mg_dicom *d, const char *path, FILE *to);

#endif
