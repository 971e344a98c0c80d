/* cli.h: GNU long options from one declarative table; --help and --version come by themselves.
 *
 *     static int64_t epochs = 50;
 *     static const char *out;
 *     static const mg_cli_option options[] = {
 *         {"epochs", 'e', MG_CLI_INT, &epochs, "N", "50", "passes over the data", 1, 1e6},
 *         {"out", 'o', MG_CLI_STRING, &out, "DIR", NULL, "where results go", 0, 0},
 *     };
 *     static const mg_cli_program program = {
 *         .name = "train", .summary = "Train a model", .usage = "[OPTION]... FILE...",
 *         .options = options, .option_count = sizeof options / sizeof options[0],
 *         .least_arguments = 1, .most_arguments = -1};
 *     int main(int argc, char **argv) {
 *         int code = mg_cli_parse(&program, &argc, &argv);
 *         if (code != MG_CLI_RUN) return code;
 *         ... argv[0] … argv[argc-1] are the arguments that are not options ...
 *     }
 *
 * Help and version go to stdout and give exit code 0; wrong usage goes to stderr and gives 2. The
 * targets hold the defaults before parsing; default_text only says them in the help. */
#ifndef MG_APPS_LIB_CLI_H
#define MG_APPS_LIB_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum mg_cli_kind {
    MG_CLI_FLAG,   /* bool: --name sets true; with default_text "yes", --no-name sets false */
    MG_CLI_INT,    /* int64_t */
    MG_CLI_FLOAT,  /* double */
    MG_CLI_STRING, /* const char *, points into argv */
    MG_CLI_CHOICE, /* const char *, one of the words in `value`, "a|b|c" */
    MG_CLI_LIST,   /* mg_cli_list: every use of the option adds a value */
} mg_cli_kind;

enum { MG_CLI_LIST_MOST = 16 };

/* The values of an option that may come several times, in order; they point into argv. */
typedef struct mg_cli_list {
    const char *item[MG_CLI_LIST_MOST];
    int count;
} mg_cli_list;

typedef struct mg_cli_option {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    mg_cli_kind kind;
    void *target;             /* of the type that kind says */
    const char *value;        /* what the help calls the value: "FILE"; for choices the words */
    const char *default_text; /* shown in the help; NULL: nothing */
    const char *help;         /* one line, lower case, no full stop */
    double least, most;       /* allowed range of numbers; both 0: any */
} mg_cli_option;

typedef struct mg_cli_program {
    const char *name;        /* "dicom", or "dicom info" for a subcommand */
    const char *summary;     /* one line: what it does, no full stop */
    const char *usage;       /* what follows the name: "[OPTION]... FILE..." */
    const char *description; /* further lines of the help, after the options; may be NULL */
    const mg_cli_option *options;
    size_t option_count; /* at most 80 */
    int least_arguments;
    int most_arguments; /* -1: any number */
} mg_cli_program;

#define MG_CLI_RUN (-1) /* go on; everything else is the exit code */

enum { MG_EXIT_DONE = 0, MG_EXIT_FAILED = 1, MG_EXIT_USAGE = 2 };

/* Fills the targets; *argc and *argv become the arguments that are not options. */
int mg_cli_parse(const mg_cli_program *program, int *argc, char ***argv);

/* A whole number from least to most and nothing else around it: "1e3" and "12x" are none. */
bool mg_cli_whole(const char *text, int64_t least, int64_t most, int64_t *out);

/* Prints the help text. */
void mg_cli_help(const mg_cli_program *program, FILE *to);

/* Reports wrong usage found after parsing: "NAME: message" and a pointer to --help on stderr.
 * Returns MG_EXIT_USAGE. */
int mg_cli_usage_error(const mg_cli_program *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Every option with its value, "name = value" a line: for logs, so that a run can be repeated. */
void mg_cli_echo(const mg_cli_program *program, FILE *to);

#endif
