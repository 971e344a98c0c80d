/* mammograd.h: the public interface in one include. Layers build on each other from top to bottom;
 * a program may as well include only the headers it needs. dicom/ depends on none of the others. */
#ifndef MAMMOGRAD_H
#define MAMMOGRAD_H

#ifdef __cplusplus
extern "C" {
#endif

/* Errors, random numbers, threads, tensors, weight files. */
#include "tensor/error.h"
#include "tensor/pool.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"
#include "tensor/weights.h"

/* Operators, the tape, networks, optimisers. */
#include "ops/op.h"
#include "autograd/context.h"
#include "autograd/functions.h"
#include "nn/arch.h"
#include "nn/cam.h"
#include "nn/efficientnet.h"
#include "nn/keymap.h"
#include "nn/state.h"
#include "optim/ema.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

/* DICOM: reading, the grey pipeline, writing, derived objects. */
#include "dicom/dicom.h"
#include "dicom/writer.h"
#include "dicom/derived.h"

/* Data sets: files, preprocessing, loading, scores, pictures. */
#include "data/files.h"
#include "data/loader.h"
#include "data/manifest.h"
#include "data/metrics.h"
#include "data/png.h"
#include "data/preprocess.h"

#ifdef __cplusplus
}
#endif

#endif
