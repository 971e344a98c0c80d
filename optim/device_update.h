/* device_update.h: an optimizer's work handed to a device, one fused launch for all tensors. */
#ifndef MG_OPTIM_DEVICE_UPDATE_H
#define MG_OPTIM_DEVICE_UPDATE_H

#include "optim/optimizer.h"

/* Whether the parameters live on a device. If not, the functions below must not be called. */
bool mg_update_on_device(const mg_optimizer *o);
void mg_device_step(mg_optimizer *o);
void mg_device_zero_grad(mg_optimizer *o);
void mg_device_scale_grad(mg_optimizer *o, double factor);
double mg_device_grad_norm(const mg_optimizer *o);

#endif
