/* The programs of examples/, which show the library's public interface. */
#include <criterion/criterion.h>

#include "tests/apps/programs.h"

Test(examples, two_layers_learn) {
    char *folder = scratch_folder();
    cr_assert_not_null(folder);
    cr_assert_eq(shell("%s/../examples/two_layers > %s/out", apps_folder(), folder), 0);
    char *text = slurp(folder, "out", NULL), *last = text ? strstr(text, "step 300") : NULL;
    double loss = 1;
    int right = 0;
    cr_assert(last && sscanf(last, "step 300: loss %lf, %d of 256", &loss, &right) == 2, "%s",
              text);
    cr_assert(loss < 0.1 && right > 250, "%s", last);
    free(text);
    shell("rm -rf %s", folder);
}

/* The header serves C++ programs too. */
Test(examples, header_in_cpp) {
    if (shell("command -v g++ > /dev/null 2>&1") != 0) cr_skip_test("g++ is not installed");
    cr_assert_eq(shell("printf '#include \"mammograd.h\"\\nint main() { "
                       "mg_pool_destroy(mg_pool_create(1)); }\\n' | "
                       "g++ -std=c++17 -I. -x c++ -fsyntax-only -"),
                 0);
}
