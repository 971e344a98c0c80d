/* dicom: look into DICOM files, get pixels out of them, check them, rewrite them. */
#include <errno.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/dicom_commands.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"info", mg_dicom_command_info},     {"dump", mg_dicom_command_dump},
    {"pixels", mg_dicom_command_pixels}, {"png", mg_dicom_command_png},
    {"check", mg_dicom_command_check},   {"transcode", mg_dicom_command_transcode},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const mg_cli_program program = {
    .name = "dicom",
    .summary = "Read, check and convert DICOM files",
    .usage = "COMMAND [OPTION]... FILE...",
    .description = "Commands ('dicom COMMAND --help' says more):\n"
                   "  info        what a file is, in a few lines\n"
                   "  dump        every element, as text or JSON\n"
                   "  pixels      stored values as raw bytes, or their SHA-256\n"
                   "  png         one frame as PNG, windowed\n"
                   "  check       read everything and say what is wrong\n"
                   "  transcode   write a file with another transfer syntax",
    .least_arguments = 1,
    .most_arguments = -1};

/* What was printed may have got nowhere: a full disk is found out at the end. */
static int written(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    fprintf(stderr, "dicom: cannot write to standard output: %s\n", strerror(errno));
    return code == MG_EXIT_DONE ? MG_EXIT_FAILED : code;
}

int main(int argc, char **argv) {
    for (int i = 0; argc > 1 && i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return written(commands[i].run(argc - 1, argv + 1));
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return written(code);
    return mg_cli_usage_error(&program, "'%s' is no command", argv[0]);
}
