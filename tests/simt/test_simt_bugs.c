/* The emulator finds every planted bug of tests/simt/bugs at its line, and nothing in the twins. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { MAX_CASES = 100, LINE = 512, OUTPUT = 16384 };

typedef struct planted {
    char name[64], kind[32], file[128];
    int both; /* must be found without instrumentation too */
} planted;

static const char *build(void) {
    const char *folder = getenv("BUILD");
    return folder ? folder : "build";
}

/* Runs a shell command; its standard error, and its exit status as the result. */
static int run(const char *command, char *output, size_t size) {
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe, "%s", command);
    const size_t n = fread(output, 1, size - 1, pipe);
    output[n] = 0;
    return pclose(pipe);
}

static int run_case(const char *program, const char *settings, const planted *p, const char *twin,
                    char *output) {
    char command[LINE];
    snprintf(command, sizeof command, "%s exec %s/%s %s %s 2>&1", settings, build(), program,
             p->name, twin);
    return run(command, output, OUTPUT);
}

/* The lines that may be reported: those marked "BUG: name", and those below such a mark. */
static int reported_at_mark(const planted *p, const char *output) {
    char line[LINE], mark[128], at[256];
    int number = 0, marked = 0, found = 0, marks = 0;
    snprintf(mark, sizeof mark, "BUG: %s */", p->name);
    FILE *source = fopen(p->file, "r");
    cr_assert_not_null(source, "%s", p->file);
    while (fgets(line, sizeof line, source)) {
        const int here = strstr(line, mark) != NULL;
        number++;
        marks += here;
        if (here || marked) {
            snprintf(at, sizeof at, "\n    at %s:%d\n", p->file, number);
            found |= strstr(output, at) != NULL;
        }
        marked = here;
    }
    fclose(source);
    cr_assert(marks > 0, "no line of %s is marked %s", p->file, mark);
    return found;
}

static void check_found(const char *program, const planted *p) {
    static char output[OUTPUT];
    char kind[64];
    const int status = run_case(program, "", p, "bug", output);
    snprintf(kind, sizeof kind, "simt: %s: ", p->kind);
    cr_expect(status != 0, "%s %s is not found", program, p->name);
    cr_expect(strstr(output, kind), "%s %s is not called %s:\n%s", program, p->name, p->kind,
              output);
    cr_expect(reported_at_mark(p, output), "%s %s is reported at another line:\n%s", program,
              p->name, output);
}

static void check_clean(const char *program, const planted *p) {
    static const char *const settings[] = {"SIMT_ORDER=asc", "SIMT_ORDER=desc SIMT_ASYNC=1",
                                           "SIMT_ORDER=rand",
                                           "SIMT_ORDER=rand SIMT_SEED=7 "
                                           "SIMT_ASYNC=1"};
    static char output[OUTPUT];
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const int status = run_case(program, settings[i], p, "fixed", output);
        cr_expect(status == 0 && !*output, "%s %s %s, without the bug:\n%s", settings[i], program,
                  p->name, output);
    }
}

static int list_cases(planted *cases) {
    static char list[OUTPUT];
    char command[LINE];
    snprintf(command, sizeof command, "%s/simt/bugs_plain --list", build());
    cr_assert_eq(run(command, list, sizeof list), 0);
    int n = 0;
    for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
        char builds[16];
        planted *p = &cases[n];
        cr_assert(n < MAX_CASES);
        cr_assert_eq(sscanf(line, "%63s %31s %127s %15s", p->name, p->kind, p->file, builds), 4);
        p->both = strcmp(builds, "both") == 0;
        n++;
    }
    return n;
}

ParameterizedTestParameters(simt_bugs, found_at_the_line_and_twin_clean) {
    static planted cases[MAX_CASES];
    const int n = list_cases(cases);
    return cr_make_param_array(planted, cases, (size_t)n);
}

ParameterizedTest(planted *p, simt_bugs, found_at_the_line_and_twin_clean) {
    check_found("simt-check/bugs_checked", p);
    check_clean("simt-check/bugs_checked", p);
    if (p->both) check_found("simt/bugs_plain", p);
    check_clean("simt/bugs_plain", p);
}

Test(simt_bugs, there_are_many) {
    planted cases[MAX_CASES];
    cr_assert(list_cases(cases) >= 50);
}
