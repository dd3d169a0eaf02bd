// SPDX-License-Identifier: Apache-2.0
// The gates of a simulated device.
#include "fleet/simulator/simulated_gates.h"

#include "ota/device_inventory.h"

namespace wayside::fleet {

using ota::Step;

/// True until the step has lasted its time.
bool SimulatedGates::takes_time(std::string_view step) {
  if (step_ != step) {
    step_ = step;
    until_ = clock_.now() + options_.step_time;
  }
  return clock_.now() < until_;
}

Step SimulatedGates::from_shelf(const std::vector<ota::Blob>& missing) {
  if (takes_time("download")) return Step::working();
  for (const auto& blob : missing) {
    const auto found = options_.shelf->find(blob.digest);
    if (found == options_.shelf->end()) return Step::failed("the shelf lacks a file");
    if (const auto put = store_.put(found->second); !put) return Step::failed(put.error().message);
    fetched_bytes_ += found->second.size();
  }
  return Step::done();
}

Step SimulatedGates::fetch(const ota::Task& task, const std::vector<ota::Blob>& missing) {
  if (options_.shelf != nullptr) return from_shelf(missing);
  if (!had_) {
    auto blobs = ota::blobs_in(store_);
    if (!blobs) return Step::failed(blobs.error().message);
    had_ = std::move(*blobs);
    had_->erase(task.job.target.manifest);
  }
  const auto& wanted = missing.front();
  if (fetching_ != wanted.digest) {
    fetching_ = wanted.digest;
    ota::FetchGoal goal{
        .target = wanted.digest, .target_bytes = wanted.size_bytes, .bases = ota::choose_bases(*had_, wanted.digest)};
    if (task.job.max_bytes > 0) goal.max_bytes = task.job.max_bytes - std::min(task.job.max_bytes, fetched_bytes_);
    fetcher_.start(std::move(goal), clock_.now());
  }
  if (fetcher_.state() == ota::FetchState::failed) {
    fetching_.reset();
    return Step::failed(fetcher_.failure_text());
  }
  if (fetcher_.state() != ota::FetchState::done) return Step::working();
  fetched_bytes_ += fetcher_.progress().spent_bytes;
  fetching_.reset();
  return missing.size() == 1 ? Step::done() : Step::working();
}

Step SimulatedGates::self_test(const ota::Task& task) {
  if (takes_time("self_test")) return Step::working();
  compared_ = disagreed_ = 0;
  return options_.model(task.manifest).golden ? Step::done() : Step::model_failed("golden set: outputs differ");
}

Step SimulatedGates::shadow(const ota::Task& task) {
  if (takes_time("shadow")) return Step::working();
  const auto verdict = options_.model(task.manifest);
  compared_ = verdict.compared;
  disagreed_ = verdict.disagreed;
  const bool over = disagreed_ * 1000 > compared_ * task.manifest.watch.max_disagree_permille;
  return over ? Step::model_failed("shadow: old and new model disagree") : Step::done();
}

Step SimulatedGates::watch(const ota::Task& task) {
  if (takes_time("probation")) return Step::working();
  return options_.model(task.manifest).probation ? Step::done() : Step::model_failed("probation: frame rate fell");
}

void SimulatedGates::forget(const ota::Job&) {
  step_.clear();
  fetching_.reset();
  had_.reset();
  fetcher_.cancel();
}

}  // namespace wayside::fleet
