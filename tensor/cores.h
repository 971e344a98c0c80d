/* cores.h: how many processors this process may use. */
#ifndef MG_TENSOR_CORES_H
#define MG_TENSOR_CORES_H

/* Processors in the process's affinity mask (taskset, cpusets of containers), at least 1: more
 * threads than that would wait for each other. */
int mg_cores(void);

#endif
