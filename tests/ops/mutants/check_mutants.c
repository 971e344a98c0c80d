/* Runs every planted bug through the checks that real ops pass and expects each to fail. Built by
 * tests/ops/test_mutants.c together with the mutated copies; a mutant may crash or hang, so each
 * runs in a process of its own. Prints one line a mutant; exit status 1 when one survives. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops/check.h"
#include "tests/lib/golden_ops.h"

typedef struct mutant {
    const mg_op *op;
    int number;
    const char *label;
} mutant;

#define MUTANT(number, label) extern const mg_op mg_mutant_##number;
#include "mutants.inc"
#undef MUTANT
#define MUTANT(number, label) {&mg_mutant_##number, number, label},
static const mutant mutants[] = {
#include "mutants.inc"
};

enum { SURVIVED, BY_GRADIENT, BY_GOLDEN, BY_CRASH };

static int examine(const mg_op *op) {
    int verdict = SURVIVED;
    for (int k = 0; k < op->case_count; k++) {
        char what[32];
        mg_gradient_check r;
        mg_error err = {0};
        bool differentiable = !(op->flags & MG_OP_NO_BACKWARD) && !op->cases[k].forward_only;
        if (differentiable && (mg_check_gradient(op, &op->cases[k], &r, &err) != MG_OK ||
                               !(r.worst < MG_GRADIENT_LIMIT)))
            return BY_GRADIENT;
        double e = golden_disagreement(op, &op->cases[k], what);
        if (!(e >= 0 && e < GOLDEN_LIMIT)) verdict = BY_GOLDEN;
    }
    return verdict;
}

static int examine_apart(const mg_op *op) {
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(examine(op));
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) exit(2);
    return WIFEXITED(status) && WEXITSTATUS(status) <= BY_GOLDEN ? WEXITSTATUS(status) : BY_CRASH;
}

int main(void) {
    static const char *const verdicts[] = {"SURVIVED", "gradient", "golden", "crash"};
    int survived = 0;
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        int v = examine_apart(mutants[i].op);
        survived += v == SURVIVED;
        printf("%-8s %-20s %s\n", verdicts[v], mutants[i].op->name, mutants[i].label);
    }
    printf("%zu planted bugs, %d survived\n", sizeof mutants / sizeof *mutants, survived);
    return survived != 0;
}
