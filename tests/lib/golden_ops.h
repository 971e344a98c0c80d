/* golden_ops.h: compares an op's f64 reference with tests/golden/ops.txt (made by
 * tests/oracle/ops.py with PyTorch). The gradient check cannot see an error on which forward and
 * backward agree; this can. */
#ifndef MG_TESTS_LIB_GOLDEN_OPS_H
#define MG_TESTS_LIB_GOLDEN_OPS_H

#include "ops/op.h"

/* Largest disagreement over y, all gradients and state of one case, relative to the norm of the
 * quantity; `what` (32 bytes) receives its name. Negative when the file has no line for the
 * case. */
double golden_disagreement(const mg_op *op, const mg_case *test_case, char *what);
#define GOLDEN_LIMIT 1e-9

#endif
