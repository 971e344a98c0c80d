/* ema.h: exponential moving average of parameters (Polyak averaging), for evaluation.
 *
 *     shadow = d · shadow + (1 - d) · w,  d = min(decay, (1 + t) / (10 + t))
 *
 * The warm-up of d keeps the first steps from being remembered for ever. */
#ifndef MG_OPTIM_EMA_H
#define MG_OPTIM_EMA_H

#include "autograd/context.h"

typedef struct mg_ema mg_ema;

mg_ema *mg_ema_create(double decay);
void mg_ema_destroy(mg_ema *ema);
/* Follows t from now on (its present value is the first shadow). */
mg_status mg_ema_add(mg_ema *ema, mg_context *ctx, mg_tensor *t);
void mg_ema_update(mg_ema *ema);
/* Exchanges parameters and shadows; call it twice around an evaluation. */
void mg_ema_swap(mg_ema *ema);
int mg_ema_count(const mg_ema *ema);
mg_tensor *mg_ema_shadow(const mg_ema *ema, int i);
int64_t *mg_ema_steps(mg_ema *ema); /* part of the saved state */

#endif
