// SPDX-License-Identifier: Apache-2.0
// The rules: a commit that was told stays, an end is never forgotten, only whole and allowed models are there.
#include "tests/system/machine_cut/ledger.h"

#include <algorithm>
#include <format>
#include <sstream>

namespace wayside::test {

void Ledger::power_on() {
  examined_ = frames_ = dead_ = pushed_in_this_life_ = false;
  outcomes_.clear();
}

std::string Ledger::orders() const {
  std::string text;
  for (const auto& [version, manifest] : manifests_) text += std::format("version {} {}\n", version, manifest);
  if (!pending_.empty()) {
    const auto target = std::ranges::find_if(manifests_, [this](const auto& one) { return one.second == target_; });
    text += std::format("pending {} {}\n", pending_, target->first);
  }
  return text + std::format("next {}\n", next_);
}

void Ledger::find(std::uint64_t& kind, std::string what) {
  ++kind;
  findings_.push_back(std::move(what));
}

bool Ledger::may_run(const std::string& manifest) const {
  return manifest == known_ || (!pending_.empty() && manifest == target_);
}

void Ledger::hear(const std::string& line, Time at) {
  std::istringstream words(line);
  std::string word, first, second, third;
  words >> word;
  if (word == "outcome" && words >> first >> second) outcomes_[first] = second == "committed";
  if (word == "unreadable") find(unreadable, line);
  if (word == "torn") find(torn, line);
  if (word == "dead") dead_ = true;
  if (word == "frames") frames_ = true;
  if (word == "fsck-repaired") ++repaired;
  if (word == "state" && words >> first) {
    words >> second >> second >> third >> third;
    examine(first, second.empty() ? "none" : second, third.empty() ? "none" : third);
  }
  if (word == "runs" && words >> first && !may_run(first)) find(lost, line + ", but committed is " + known_);
  if (word == "push" && words >> first >> second) {
    if (first != pending_) {
      ++next_;
      pushed_in_this_life_ = true;
      pushed_at_ = at;
    }
    pending_ = first;
    target_ = manifests_.at(second);
  }
  if (word == "end" && words >> first >> second) {
    std::getline(words, third);
    end(first, second == "successful", third, at);
  }
}

/// What a boot found on the disk, before any program of the device ran.
void Ledger::examine(const std::string& state, const std::string& committed, const std::string& active) {
  examined_ = true;
  ++found_in[state];
  if (state == "none" && (known_ != "none" || !last_ended_.empty())) find(lost, "the device's state is gone");
  if (!last_ended_.empty() && !outcomes_.contains(last_ended_))
    find(lost, std::format("the end of {} was told and is forgotten", last_ended_));
  const auto outcome = outcomes_.find(pending_);
  if (outcome != outcomes_.end() && outcome->second && committed != target_)
    find(lost, std::format("{} ended with a commit, but committed is {}", pending_, committed));
  if (!may_run(committed)) find(lost, std::format("committed is {}, was {}", committed, known_));
  if (!may_run(active) && active != committed) find(lost, std::format("active is {}, committed {}", active, committed));
  if (may_run(committed)) known_ = committed;
}

void Ledger::end(const std::string& id, bool good, const std::string& reason, Time at) {
  if (id != pending_) return find(lost, std::format("an end of {}, while {} is under way", id, pending_));
  if (good) {
    ++commits;
    known_ = target_;
  } else {
    ++failures;
    ++failed_because[reason];
  }
  if (pushed_in_this_life_) update_seconds.push_back(std::chrono::duration<double>(at - pushed_at_).count());
  last_ended_ = id;
  pending_.clear();
}

}  // namespace wayside::test
