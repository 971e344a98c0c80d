/* Runs one planted case: `bugs_check missing_barrier bug`, `… fixed`; `--list` names all. */
#include "planted.h"

Planted *Planted::first;

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (Planted *p = Planted::first; p; p = p->next)
            printf("%s %s %s %s\n", p->name, p->kind, p->file,
                   p->builds == BOTH ? "both" : "checked");
        return 0;
    }
    if (argc != 3) {
        fprintf(stderr, "usage: %s --list | NAME bug|fixed\n", argv[0]);
        return 2;
    }
    for (Planted *p = Planted::first; p; p = p->next) {
        if (strcmp(p->name, argv[1]) != 0) continue;
        (strcmp(argv[2], "bug") == 0 ? p->with : p->without)();
        const cudaError_t error = cudaDeviceSynchronize();
        if (error != cudaSuccess) fprintf(stderr, "%s\n", cudaGetErrorString(error));
        return error != cudaSuccess;
    }
    fprintf(stderr, "no case is called %s\n", argv[1]);
    return 2;
}
