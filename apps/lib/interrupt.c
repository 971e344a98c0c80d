#include "apps/lib/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t requested;

static void handle(int number) {
    (void)number;
    requested = 1;
}

void mg_interrupt_install(void) {
    struct sigaction action = {.sa_handler = handle};
    sigemptyset(&action.sa_mask);
    action.sa_flags = (int)SA_RESETHAND; /* the next one has its default effect */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool mg_interrupted(void) { return requested != 0; }
