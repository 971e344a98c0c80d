/* cores.h: how many processors this process may use. */
#ifndef MG_TENSOR_CORES_H
#define MG_TENSOR_CORES_H

/* Processors in the process's affinity mask (taskset, cpusets of containers), or fewer where a
 * container's quota (docker --cpus) says so; at least 1. More threads than that would wait for each
 * other. */
int mg_cores(void);

/* `cores`, or fewer by the quota in a control group's folder (cgroup v2 or v1). */
int mg_cores_within(const char *cgroup, int cores);

#endif
