#include "nn/cam.h"

#include <math.h>

double mg_cam_map(const mg_efficientnet *net, const float *features, int64_t h, int64_t w,
                  float *map) {
    int64_t channels = net->arch.head;
    const float *weight = net->classifier_w->data;
    double total = 0;
    for (int64_t i = 0; i < h * w; i++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++)
            sum += (double)weight[c * net->options.logits] * (double)features[i * channels + c];
        map[i] = (float)sum;
        total += sum;
    }
    return total / (double)(h * w) + mg_tensor_get(net->classifier_b, 0);
}

double mg_cam_tolerance(double logit) { return 1e-4 * fmax(1, fabs(logit)); }
