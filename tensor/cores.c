#include "tensor/cores.h"

#include <sched.h>
#include <unistd.h>

int mg_cores(void) {
    cpu_set_t set;
    int cores = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
    if (cores < 1) cores = (int)sysconf(_SC_NPROCESSORS_ONLN); /* over 1024 processors */
    return cores < 1 ? 1 : cores;
}
