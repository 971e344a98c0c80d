/* Option parsing: values, ranges, short forms, negation, what is left over. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include "apps/lib/cli.h"

static bool flag, cache;
static int64_t number;
static double rate;
static const char *text, *choice;
static mg_cli_list many;

static const mg_cli_option options[] = {
    {"flag", 'f', MG_CLI_FLAG, &flag, NULL, NULL, "a flag", 0, 0},
    {"cache", 0, MG_CLI_FLAG, &cache, NULL, "yes", "a flag that is on", 0, 0},
    {"number", 'n', MG_CLI_INT, &number, "N", "3", "a number", 1, 10},
    {"rate", 0, MG_CLI_FLOAT, &rate, "X", NULL, "a rate", 0, 0},
    {"text", 't', MG_CLI_STRING, &text, "TEXT", NULL, "a text", 0, 0},
    {"choice", 0, MG_CLI_CHOICE, &choice, "one|two", "one", "a choice", 0, 0},
    {"many", 'm', MG_CLI_LIST, &many, "FILE", NULL, "several", 0, 0},
};
static const mg_cli_program program = {.name = "example",
                                       .summary = "show options",
                                       .usage = "[OPTION]... FILE...",
                                       .options = options,
                                       .option_count = sizeof options / sizeof options[0],
                                       .least_arguments = 1,
                                       .most_arguments = 2};

static void reset(void) {
    flag = false;
    cache = true;
    number = 3;
    rate = 0.5;
    text = NULL;
    choice = "one";
    many.count = 0;
    cr_redirect_stderr();
    cr_redirect_stdout();
}

static int parse(int *argc, char ***argv, char **words) {
    *argv = words;
    for (*argc = 0; words[*argc];) ++*argc;
    return mg_cli_parse(&program, argc, argv);
}

#define WORDS(...)                                                                                 \
    (char *[]) { "example", __VA_ARGS__, NULL }

Test(cli, values_and_arguments, .init = reset) {
    int argc;
    char **argv;
    int code = parse(&argc, &argv,
                     WORDS("a.dcm", "--number=7", "-f", "--no-cache", "-t", "x y", "--rate", "1e-3",
                           "--choice=two", "b.dcm"));
    cr_assert_eq(code, MG_CLI_RUN);
    cr_assert_eq(argc, 2);
    cr_assert_str_eq(argv[0], "a.dcm");
    cr_assert_str_eq(argv[1], "b.dcm");
    cr_assert(flag && !cache && number == 7 && rate == 1e-3);
    cr_assert_str_eq(text, "x y");
    cr_assert_str_eq(choice, "two");
}

Test(cli, defaults_stay, .init = reset) {
    int argc;
    char **argv;
    /* Not within cr_assert_eq(): the words would live in its block alone. */
    int code = parse(&argc, &argv, WORDS("--", "-f"));
    cr_assert_eq(code, MG_CLI_RUN);
    cr_assert(!flag && cache && number == 3);
    cr_assert_str_eq(argv[0], "-f");
}

Test(cli, wrong_usage_is_two, .init = reset) {
    int argc;
    char **argv;
    char **wrong[] = {
        WORDS("--number=11", "a"), WORDS("--number=x", "a"), WORDS("--number=7x", "a"),
        WORDS("--rate=nan", "a"),  WORDS("--choice=t", "a"), WORDS("--bogus", "a"),
        WORDS("a", "--text"),      WORDS("a", "b", "c"),     WORDS("-f")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(parse(&argc, &argv, wrong[i]), MG_EXIT_USAGE, "case %zu", i);
}

/* In every way of writing an option; one too many is no silence. */
Test(cli, lists_collect, .init = reset) {
    int argc;
    char **argv;
    int code =
        parse(&argc, &argv, WORDS("-mA", "-m", "B", "x", "--many", "C", "--many=D", "--man=E"));
    cr_assert_eq(code, MG_CLI_RUN);
    cr_assert_eq(many.count, 5);
    for (int i = 0; i < 5; i++) cr_expect_eq(many.item[i][0], 'A' + i);
    char *words[MG_CLI_LIST_MOST + 4] = {"example", "x"};
    for (int i = 0; i <= MG_CLI_LIST_MOST; i++) words[2 + i] = "-mA";
    many.count = 0;
    cr_expect_eq(parse(&argc, &argv, words), MG_EXIT_USAGE);
    words[2 + MG_CLI_LIST_MOST] = NULL;
    many.count = 0;
    cr_expect_eq(parse(&argc, &argv, words), MG_CLI_RUN);
    cr_expect_eq(many.count, MG_CLI_LIST_MOST);
}

Test(cli, help_is_done, .init = reset) {
    int argc;
    char **argv;
    cr_assert_eq(parse(&argc, &argv, WORDS("--help")), MG_EXIT_DONE);
    cr_assert_eq(parse(&argc, &argv, WORDS("--version")), MG_EXIT_DONE);
}

Test(cli, whole_numbers_and_nothing_else) {
    int64_t v = 0;
    cr_expect(mg_cli_whole("12", 1, 20, &v) && v == 12);
    cr_expect(mg_cli_whole("-3", -5, 20, &v) && v == -3);
    static const char *const wrong[] = {"",  "x",  "1e3",        "12xyz",
                                        "0", "21", "4294967297", "18446744073709551617"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect(!mg_cli_whole(wrong[i], 1, 20, &v), "%s", wrong[i]);
}
