// SPDX-License-Identifier: Apache-2.0
// ModelLoader: makes the pipeline's model from an installed package, or from the configuration.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "accel/accelerator.h"
#include "agent/config.h"
#include "agent/frame_report.h"
#include "agent/payloads.h"
#include "base/clock.h"
#include "ota/updater/slots.h"
#include "ota/updater/updater.h"

namespace wayside::agent {

struct LoadedModel {
  std::optional<ota::Installed> installed{};    ///< nothing: the model of the configuration
  std::unique_ptr<FrameProcessor> processor{};  ///< empty while it is in the slot
  ModelFacts facts{};
  float score_threshold = 0;
  std::uint16_t index = 0;  ///< in the frame reports; another one for each load
  std::string description{};
};

/// One owner at a time. Everything passed in must outlive it.
class ModelLoader {
 public:
  /// `store_root`: folder of the store's Storage; the accelerator maps the files themselves.
  ModelLoader(const ModelConfig& model, std::filesystem::path store_root, const ota::BlobStore& store,
              accel::Accelerator& accelerator, base::Clock& clock)
      : model_(model), store_root_(std::move(store_root)), store_(store), accelerator_(accelerator), clock_(clock) {}

  /// Loads and checks everything, the hash of the model's file too. Errors name the file or manifest and what is wrong.
  base::Result<LoadedModel> load(const std::optional<ota::Installed>& installed);

 private:
  const ModelConfig& model_;
  std::filesystem::path store_root_;
  const ota::BlobStore& store_;
  accel::Accelerator& accelerator_;
  base::Clock& clock_;
  std::uint16_t next_index_ = 0;
};

}  // namespace wayside::agent
