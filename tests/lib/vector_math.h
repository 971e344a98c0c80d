/* vector_math.h: measures the functions of ops/cpu/vec.h against the C library in double. */
#ifndef MG_TESTS_LIB_VECTOR_MATH_H
#define MG_TESTS_LIB_VECTOR_MATH_H

#include <stdint.h>

enum { VECTOR_FUNCTIONS = 6 }; /* exp, sigmoid, tanh, log1p on [0,1], softplus, silu */

const char *vector_function_name(int f);
/* The promise made in vec.h, in units in the last place. */
double vector_function_limit(int f);
float vector_function(int f, float x);
/* Largest error over every `stride`-th float of the function's domain; *at receives where. */
double vector_function_error(int f, uint32_t stride, float *at);

#endif
