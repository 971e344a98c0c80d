/* initialise.c: first values of the parameters, the same for any machine and thread count. */
#include <math.h>

#include "nn/efficientnet.h"

void mg_efficientnet_initialise(mg_efficientnet *net, uint64_t seed) {
    for (int k = 0; k < net->parameters; k++) {
        mg_parameter_info *p = &net->parameter[k];
        mg_rng_key key = {.seed = seed, .purpose = MG_RNG_INIT, .epoch = (uint32_t)k};
        mg_shape torch = mg_parameter_torch_shape(p);
        int64_t n = mg_shape_elements(&torch);
        double fan_out = torch.rank == 4 ? (double)(torch.dim[0] * torch.dim[2] * torch.dim[3]) : 1;
        double deviation = sqrt(2.0 / fan_out);
        double range =
            1 / sqrt((double)(net->options.logits > 1 ? net->options.logits : net->arch.head));
        for (int64_t i = 0; i < n; i++) {
            double value = 0;
            switch (p->kind) {
            case MG_KIND_CONV:
            case MG_KIND_DEPTHWISE:
            case MG_KIND_POINTWISE: value = deviation * mg_rng_normal(&key, (uint32_t)i); break;
            case MG_KIND_LINEAR:
                value = range * (2.0 * (double)mg_rng_uniform(&key, (uint32_t)i) - 1);
                break;
            case MG_KIND_NORM_WEIGHT:
            case MG_KIND_RUNNING_VAR: value = 1; break;
            default: break;
            }
            mg_tensor_set(p->tensor, mg_parameter_offset(p, i), value);
        }
    }
    net->batches_tracked = 0;
}
