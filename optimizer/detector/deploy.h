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
#include "optimizer/ir/interpreter.h"
#include "optimizer/quantize/ptq.h"

namespace wayside::optimizer {

/// The input that all our detectors take: real = px / 255 of u8 pictures, stored as px - 128.
inline constexpr TensorQuantization kPictureQuantization{1.0F / 255.0F, -128};

/// Starts training: boxes point two strides each way and scores start at 1 %, as the focal loss wants
/// (arXiv 1708.02002, section 4.1).
void set_initial_biases(Network& network);

/// Folds batch norm and lets box distances end at 0 as the decoder does (relu). Scores stay logits.
Network deployable(const Network& trained);

/// At most `count` pictures, spread evenly over the folders, as the network takes them.
std::vector<ir::Values> calibration_samples(const Network& network, std::span<const Folder> folders, std::size_t count);

/// A deployable network through the chain that every model takes (quantize_after_training()), with a logistic behind
/// each score output. Errors: invalid_argument when there are fewer than kMinCalibrationPictures.
base::Result<Quantized> compile_detector(const Network& network, const std::vector<ir::Values>& samples,
                                         const PtqOptions& chain);

/// The compiled network without its logistics: what is trained on with its roundings.
Network trainable(const Network& network, const Quantized& compiled);
/// Its weights come back, rounded as the scheme says.
base::Result<void> take_weights(const Network& trained, Quantized& compiled);

}  // namespace wayside::optimizer
