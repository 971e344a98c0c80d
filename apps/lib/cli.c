/* cli.c: option table to getopt_long, help text and back. */
#include "apps/lib/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#ifndef MG_VERSION
#define MG_VERSION "unknown"
#endif

enum { MOST_OPTIONS = 80, HELP_CODE = 1000, VERSION_CODE, FIRST_CODE, NEGATED = 500 };

int mg_cli_usage_error(const mg_cli_program *program, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry '%s --help'.\n", program->name);
    va_end(args);
    return MG_EXIT_USAGE;
}

static bool negatable(const mg_cli_option *o) {
    return o->kind == MG_CLI_FLAG && o->default_text && strcmp(o->default_text, "yes") == 0;
}

static void print_option(const mg_cli_option *o, FILE *to) {
    char left[160];
    char letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    int n = snprintf(left, sizeof left, "  %s--%s%s", letter, negatable(o) ? "[no-]" : "", o->name);
    if (o->kind != MG_CLI_FLAG && n > 0 && (size_t)n < sizeof left)
        snprintf(left + n, sizeof left - (size_t)n, "=%s", o->value ? o->value : "VALUE");
    fprintf(to, "%-30s", left);
    if (strlen(left) >= 30) fprintf(to, "\n%30s", "");
    fprintf(to, " %s", o->help);
    if (o->default_text) fprintf(to, " [%s]", o->default_text);
    fputc('\n', to);
}

void mg_cli_help(const mg_cli_program *program, FILE *to) {
    fprintf(to, "Usage: %s %s\n%s.\n\nOptions:\n", program->name, program->usage, program->summary);
    for (size_t i = 0; i < program->option_count; i++) print_option(&program->options[i], to);
    fprintf(to, "%-30s %s\n", "  -h, --help", "show this text");
    fprintf(to, "%-30s %s\n", "      --version", "show the version");
    if (program->description) fprintf(to, "\n%s\n", program->description);
}

static bool is_choice(const char *words, const char *text) {
    size_t n = strlen(text);
    for (const char *w = words; w && *w; w += strcspn(w, "|"), w += *w == '|')
        if (strcspn(w, "|") == n && strncmp(w, text, n) == 0) return true;
    return false;
}

static bool in_range(const mg_cli_option *o, double v) {
    return (o->least == 0 && o->most == 0) || (v >= o->least && v <= o->most);
}

bool mg_cli_whole(const char *text, int64_t least, int64_t most, int64_t *out) {
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most) return false;
    *out = v;
    return true;
}

/* Stores one value; MG_CLI_RUN or the exit code. */
static int store(const mg_cli_program *program, const mg_cli_option *o, const char *text) {
    char *end = NULL;
    switch (o->kind) {
    case MG_CLI_FLAG: *(bool *)o->target = true; return MG_CLI_RUN;
    case MG_CLI_STRING: *(const char **)o->target = text; return MG_CLI_RUN;
    case MG_CLI_LIST: {
        mg_cli_list *list = o->target;
        if (list->count == MG_CLI_LIST_MOST)
            return mg_cli_usage_error(program, "--%s: more than %d of them", o->name,
                                      MG_CLI_LIST_MOST);
        list->item[list->count++] = text;
        return MG_CLI_RUN;
    }
    case MG_CLI_CHOICE:
        if (!is_choice(o->value, text))
            return mg_cli_usage_error(program, "--%s: '%s' is none of %s", o->name, text, o->value);
        *(const char **)o->target = text;
        return MG_CLI_RUN;
    case MG_CLI_INT: {
        int64_t v = 0;
        if (!mg_cli_whole(text, INT64_MIN, INT64_MAX, &v))
            return mg_cli_usage_error(program, "--%s: '%s' is not a whole number", o->name, text);
        if (!in_range(o, (double)v))
            return mg_cli_usage_error(program, "--%s: %lld is not within %.15g to %.15g", o->name,
                                      (long long)v, o->least, o->most);
        *(int64_t *)o->target = v;
        return MG_CLI_RUN;
    }
    case MG_CLI_FLOAT: {
        double v = strtod(text, &end);
        if (end == text || *end || !isfinite(v))
            return mg_cli_usage_error(program, "--%s: '%s' is not a number", o->name, text);
        if (!in_range(o, v))
            return mg_cli_usage_error(program, "--%s: %.15g is not within %.15g to %.15g", o->name,
                                      v, o->least, o->most);
        *(double *)o->target = v;
        return MG_CLI_RUN;
    }
    }
    return MG_EXIT_USAGE;
}

typedef struct tables {
    struct option options[2 * MOST_OPTIONS + 3];
    char letters[2 * MOST_OPTIONS + 4];
    char negated[MOST_OPTIONS][64];
} tables;

static void fill_tables(const mg_cli_program *program, tables *t) {
    size_t n = 0, letters = 0;
    t->letters[letters++] = ':'; /* getopt stays silent; messages are ours */
    t->letters[letters++] = 'h';
    for (size_t i = 0; i < program->option_count && i < MOST_OPTIONS; i++) {
        const mg_cli_option *o = &program->options[i];
        int has_value = o->kind == MG_CLI_FLAG ? no_argument : required_argument;
        t->options[n++] = (struct option){o->name, has_value, NULL, FIRST_CODE + (int)i};
        if (negatable(o)) {
            snprintf(t->negated[i], sizeof t->negated[i], "no-%s", o->name);
            t->options[n++] =
                (struct option){t->negated[i], no_argument, NULL, FIRST_CODE + NEGATED + (int)i};
        }
        if (o->letter) {
            t->letters[letters++] = o->letter;
            if (has_value) t->letters[letters++] = ':';
        }
    }
    t->letters[letters] = 0;
    t->options[n++] = (struct option){"help", no_argument, NULL, HELP_CODE};
    t->options[n++] = (struct option){"version", no_argument, NULL, VERSION_CODE};
}

static const mg_cli_option *by_letter(const mg_cli_program *program, int letter) {
    for (size_t i = 0; i < program->option_count; i++)
        if (program->options[i].letter == letter) return &program->options[i];
    return NULL;
}

/* What one word that getopt recognised does; MG_CLI_RUN or the exit code. */
static int handle(const mg_cli_program *program, int code, const char *given) {
    switch (code) {
    case 'h':
    case HELP_CODE: mg_cli_help(program, stdout); return MG_EXIT_DONE;
    case VERSION_CODE:
        printf("%s (mammograd) %s\n", program->name, MG_VERSION);
        return MG_EXIT_DONE;
    case '?': return mg_cli_usage_error(program, "unknown or misused option %s", given);
    case ':': return mg_cli_usage_error(program, "option %s needs a value", given);
    default: break;
    }
    int index = code - FIRST_CODE;
    if (index >= NEGATED) {
        *(bool *)program->options[index - NEGATED].target = false;
        return MG_CLI_RUN;
    }
    const mg_cli_option *o = index >= 0 ? &program->options[index] : by_letter(program, code);
    return o ? store(program, o, optarg) : MG_EXIT_USAGE;
}

int mg_cli_parse(const mg_cli_program *program, int *argc, char ***argv) {
    tables t = {0};
    fill_tables(program, &t);
    optind = 0; /* glibc: start over, a subcommand may have been parsed before */
    opterr = 0;
    int code;
    while ((code = getopt_long(*argc, *argv, t.letters, t.options, NULL)) != -1) {
        int result = handle(program, code, (*argv)[optind > 0 ? optind - 1 : 0]);
        if (result != MG_CLI_RUN) return result;
    }
    *argc -= optind;
    *argv += optind;
    if (*argc < program->least_arguments)
        return mg_cli_usage_error(
            program, "%s", *argc == 0 ? "what to work on is missing" : "an argument is missing");
    if (program->most_arguments >= 0 && *argc > program->most_arguments)
        return mg_cli_usage_error(program, "too many arguments: '%s'",
                                  (*argv)[program->most_arguments]);
    return MG_CLI_RUN;
}

void mg_cli_echo(const mg_cli_program *program, FILE *to) {
    for (size_t i = 0; i < program->option_count; i++) {
        const mg_cli_option *o = &program->options[i];
        const char *text;
        fprintf(to, "%s = ", o->name);
        switch (o->kind) {
        case MG_CLI_FLAG: fprintf(to, "%s\n", *(bool *)o->target ? "yes" : "no"); break;
        case MG_CLI_INT: fprintf(to, "%lld\n", (long long)*(int64_t *)o->target); break;
        case MG_CLI_FLOAT: fprintf(to, "%.17g\n", *(double *)o->target); break;
        case MG_CLI_LIST: {
            const mg_cli_list *list = o->target;
            for (int k = 0; k < list->count; k++) fprintf(to, k ? " %s" : "%s", list->item[k]);
            fputc('\n', to);
            break;
        }
        default: text = *(const char **)o->target; fprintf(to, "%s\n", text ? text : "");
        }
    }
}
