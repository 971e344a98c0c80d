/* interrupt.h: Ctrl-C and kill as a flag to look at between steps. A second Ctrl-C ends at once. */
#ifndef MG_APPS_LIB_INTERRUPT_H
#define MG_APPS_LIB_INTERRUPT_H

#include <stdbool.h>

void mg_interrupt_install(void); /* SIGINT, SIGTERM */
bool mg_interrupted(void);

#endif
