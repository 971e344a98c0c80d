#include "tensor/cores.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* A container's share of the processors, rounded up: "QUOTA PERIOD" in microseconds in one file
 * (cgroup v2), or one number in each of two (v1). 0: no limit, or none that can be read. */
static int quota(const char *both, const char *of_quota, const char *of_period) {
    long long allowed = 0, period = 0;
    FILE *f = fopen(both, "r");
    if (f) {
        if (fscanf(f, "%lld %lld", &allowed, &period) != 2) allowed = 0; /* "max 100000" */
        fclose(f);
    } else if ((f = fopen(of_quota, "r"))) {
        if (fscanf(f, "%lld", &allowed) != 1) allowed = 0; /* -1: no limit */
        fclose(f);
        f = fopen(of_period, "r");
        if (f && fscanf(f, "%lld", &period) != 1) period = 0;
        if (f) fclose(f);
    }
    if (allowed <= 0 || period <= 0) return 0;
    long long cores = (allowed + period - 1) / period;
    return cores < 1 << 20 ? (int)cores : 0;
}

int mg_cores_within(const char *cgroup, int cores) {
    char both[512], of_quota[512], of_period[512];
    snprintf(both, sizeof both, "%s/cpu.max", cgroup);
    snprintf(of_quota, sizeof of_quota, "%s/cpu/cpu.cfs_quota_us", cgroup);
    snprintf(of_period, sizeof of_period, "%s/cpu/cpu.cfs_period_us", cgroup);
    int share = quota(both, of_quota, of_period);
    return share > 0 && share < cores ? share : cores;
}

int mg_cores(void) {
    cpu_set_t set;
    int cores = 0;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
    if (cores < 1) cores = (int)sysconf(_SC_NPROCESSORS_ONLN); /* over 1024 processors */
    return mg_cores_within("/sys/fs/cgroup", cores < 1 ? 1 : cores);
}
