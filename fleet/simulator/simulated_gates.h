// SPDX-License-Identifier: Apache-2.0
// SimulatedGates: what the updater of a simulated device asks for: the real transfer; accelerator and camera are
// played.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "ota/transfer/fetcher.h"
#include "ota/updater/gates.h"

namespace wayside::fleet {

/// How a model does on this board; what a real one finds out with sessions and frames.
struct SimulatedVerdict {
  bool golden = true, probation = true;
  std::uint64_t compared = 100, disagreed = 0;  ///< shadow, where the manifest asks for it
};
using SimulatedModel = std::function<SimulatedVerdict(const ota::Manifest&)>;

/// Files by digest that are there without a transfer.
using Shelf = std::map<ota::Digest, ota::Bytes>;

struct SimulatedGatesOptions {
  std::chrono::milliseconds step_time{500};  ///< download from the shelf, self-test, shadow and probation take this
  SimulatedModel model = [](const ota::Manifest&) { return SimulatedVerdict{}; };
  const Shelf* shelf = nullptr;  ///< nothing: files are fetched over MQTT
};

class SimulatedGates final : public ota::Gates {
 public:
  SimulatedGates(SimulatedGatesOptions options, ota::Fetcher& fetcher, ota::BlobStore& store, base::Clock& clock)
      : options_(std::move(options)), fetcher_(fetcher), store_(store), clock_(clock) {}

  ota::Step fetch(const ota::Task& task, const std::vector<ota::Blob>& missing) override;
  ota::Step compile(const ota::Task&) override { return ota::Step::done(); }
  ota::Step self_test(const ota::Task& task) override;
  ota::Step shadow(const ota::Task& task) override;
  ota::Step swap(const std::string&, const std::optional<ota::Installed>&) override { return ota::Step::done(); }
  ota::Step watch(const ota::Task& task) override;
  void forget(const ota::Job& job) override;

  /// Since the last call.
  std::uint64_t take_fetched_bytes() { return std::exchange(fetched_bytes_, 0); }
  [[nodiscard]] std::uint64_t compared() const { return compared_; }
  [[nodiscard]] std::uint64_t disagreed() const { return disagreed_; }

 private:
  bool takes_time(std::string_view step);
  ota::Step from_shelf(const std::vector<ota::Blob>& missing);

  SimulatedGatesOptions options_;
  ota::Fetcher& fetcher_;
  ota::BlobStore& store_;
  base::Clock& clock_;
  std::string step_;  ///< the one that takes time now
  base::MonotonicTime until_{0};
  std::optional<ota::Digest> fetching_;
  std::optional<std::map<ota::Digest, std::uint64_t>> had_;  ///< before the first file of this update
  std::uint64_t fetched_bytes_ = 0, compared_ = 0, disagreed_ = 0;
};

}  // namespace wayside::fleet
