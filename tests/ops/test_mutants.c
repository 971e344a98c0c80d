/* Planted bugs: tests/ops/mutants/list.txt changes one place of an op's source at a time; the
 * checks must catch every one. The copies are compiled with the flags of this build ($BUILD/flags)
 * under another descriptor name and linked with the real library. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_MUTANTS = 200 };

static const char *build_folder(void) {
    const char *b = getenv("BUILD");
    return b ? b : "build";
}

static char *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    cr_assert(f, "cannot read %s (run from the root of the repository)", path);
    char *text = calloc(1, 1 << 16);
    size_t n = fread(text, 1, (1 << 16) - 1, f);
    cr_assert_gt(n, 0);
    fclose(f);
    return text;
}

/* text with its only occurrence of `from` replaced; NULL when there is none or more than one. */
static char *replace_once(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at || strstr(at + 1, from)) return NULL;
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

/* Writes the mutated copy of one op; its descriptor becomes mg_mutant_<number>. */
static void write_mutant(const char *folder, int number, const char *op, const char *from,
                         const char *to) {
    char path[640], declaration[64], renamed[160];
    snprintf(path, sizeof path, "ops/%s.c", op);
    char *source = read_file(path), *mutated = replace_once(source, from, to);
    cr_assert(mutated, "mutant %d: \"%s\" is not found exactly once in %s", number, from, path);
    snprintf(declaration, sizeof declaration, "MG_OP(%s) = {", op);
    snprintf(renamed, sizeof renamed,
             "extern const mg_op mg_mutant_%d;\nconst mg_op mg_mutant_%d = {", number, number);
    char *final = replace_once(mutated, declaration, renamed);
    cr_assert(final, "%s: no descriptor", path);
    snprintf(path, sizeof path, "%s/mutant_%03d.c", folder, number);
    FILE *f = fopen(path, "w");
    cr_assert(f);
    fputs(final, f);
    fclose(f);
    free(source), free(mutated), free(final);
}

/* Splits "a | b | c | d" in place; returns the number of fields. */
static int split(char *line, char *field[4]) {
    int n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *at = line; at && n < 4; n++) {
        char *bar = n < 3 ? strstr(at, " | ") : NULL;
        if (bar) *bar = 0;
        field[n] = at;
        at = bar ? bar + 3 : NULL;
    }
    return n;
}

static int write_mutants(const char *folder) {
    char path[640], line[1024];
    snprintf(path, sizeof path, "%s/mutants.inc", folder);
    FILE *list = fopen("tests/ops/mutants/list.txt", "r"), *inc = fopen(path, "w");
    cr_assert(list && inc, "run from the root of the repository");
    int count = 0;
    while (fgets(line, sizeof line, list)) {
        char *field[4];
        if (line[0] == '#' || line[0] == '\n') continue;
        cr_assert_eq(split(line, field), 4, "list.txt: four fields needed: %s", line);
        write_mutant(folder, ++count, field[0], field[1], field[2]);
        fprintf(inc, "MUTANT(%d, \"%s\")\n", count, field[3]);
    }
    fclose(list);
    fclose(inc);
    return count;
}

Test(mutants, every_planted_bug_is_caught, .timeout = 120) {
    char folder[512], command[4096];
    const char *build = build_folder();
    snprintf(folder, sizeof folder, "%s/mutants", build);
    mkdir(folder, 0777);
    cr_assert_geq(write_mutants(folder), 30);
    snprintf(command, sizeof command,
             "set -e; cc=$(cat %s/flags); rm -f %s/*.o; "
             "ls %s/*.c tests/ops/mutants/check_mutants.c tests/lib/golden_ops.c | "
             "xargs -P 2 -n 8 sh -c 'for f; do eval \"$0 -O1 -g0 -w -I%s -c $f "
             "-o %s/$(basename $f .c).o\" || exit 255; done' \"$cc\"; "
             "eval \"$cc %s/*.o %s/libmammograd.a -lpthread -lm -o %s/check_mutants\"; "
             "%s/check_mutants",
             build, folder, folder, folder, folder, folder, build, folder, folder);
    cr_assert_eq(system(command), 0, "a planted bug survived, or the mutants could not be built");
}
