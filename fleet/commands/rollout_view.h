// SPDX-License-Identifier: Apache-2.0
// How roll-outs are shown: plan, live progress, status as text and JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fleet/cost/cost_preview.h"
#include "fleet/rollout/driver.h"
#include "fleet/rollout/store.h"

namespace wayside::fleet {

/// Which devices each wave holds, and what they will fetch (where that is known).
[[nodiscard]] std::string plan_text(const ota::RolloutPolicy& policy, const std::vector<std::string>& devices,
                                    const std::optional<CostPreview>& cost, bool json);
/// Several lines without a trailing newline.
[[nodiscard]] std::string rollout_text(const Rollout& rollout, const Snapshot& seen);
[[nodiscard]] std::string rollout_json(const Rollout& rollout, const Snapshot& seen);
/// One line: "wave 2/4 (10 %)  [#####.....]  57 ok  1 failed  12 in flight  30 waiting  | why".
[[nodiscard]] std::string progress_line(const ota::RolloutPolicy& policy, const DriverView& view);

/// Draws progress: one line that is overwritten on a terminal, else a line whenever it changes, at most each second. On
/// standard error, so that standard output stays clean for the result.
class RolloutView {
 public:
  RolloutView(const ota::RolloutPolicy& policy, bool quiet);
  void draw(const DriverView& view, base::MonotonicTime now);
  void finish(const DriverView& view);

 private:
  const ota::RolloutPolicy& policy_;
  bool quiet_, terminal_;
  base::MonotonicTime next_{0};
  std::string last_;
};

}  // namespace wayside::fleet
