// SPDX-License-Identifier: Apache-2.0
// From a trained network to a quantised one: folding, calibration, scales, and fine-tuning with simulated INT8.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "optimizer/data/dataset.h"
#include "optimizer/detector/network.h"
#include "optimizer/detector/trainer.h"
#include "optimizer/ir/torch_model.h"
#include "optimizer/quantize/minmax.h"

namespace wayside::optimizer {

/// The input that all our detectors take: real = px / 255 of u8 pictures, stored as px - 128.
inline constexpr TensorQuantization kPictureQuantization{1.0F / 255.0F, -128};

/// Starts training: boxes point two strides each way and scores start at 1 %, as the focal loss wants
/// (arXiv 1708.02002, section 4.1).
void set_initial_biases(Network& network);

/// Folds batch norm and lets box distances end at 0 as the decoder does (relu). Scores stay logits.
Network deployable(const Network& trained);

struct CalibrateOptions {
  std::size_t pictures = 256;
  double clip = 0;
};

/// Runs pictures (spread evenly over the folders) through a deployable network and chooses the scales.
/// Errors: invalid_argument when there are fewer than kMinCalibrationPictures.
base::Result<std::vector<TensorQuantization>> calibrate(const Network& network, std::span<const Folder> folders,
                                                        const CalibrateOptions& options);

/// A logistic is put behind each score output, then weights and activations are rounded.
base::Result<QuantizedGraph> quantize_detector(const Network& network, const std::vector<TensorQuantization>& scales);

}  // namespace wayside::optimizer
