// SPDX-License-Identifier: Apache-2.0
// The update as one pure table: (state, event) -> (next state, effect). Everything else only carries it out.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace wayside::ota {

enum class State : std::uint8_t {
  idle,
  accepted,     ///< command checked; room is checked
  downloading,  ///< blobs are being fetched into staging
  verifying,    ///< blobs are read back and hashed
  staged,       ///< everything is on disk and right
  compile,      ///< an engine is built on the board, where the variant wants it
  self_test,    ///< golden inputs and limits on the real accelerator
  shadow,       ///< old and new on live frames, compared
  activating,   ///< the slot record points to the new model; the pipeline swaps
  probation,    ///< the new model works alone, watched
  committed,    ///< the slot record says so for good
  rolled_back   ///< the slot record says the old one
};
inline constexpr int kStateCount = 12;

enum class Event : std::uint8_t {
  accept,   ///< a valid command came
  done,     ///< the effect of this state ended well
  fail,     ///< it ended badly, or its deadline passed
  cancel,   ///< the operator wants it no more
  restart,  ///< the process or the board started with this state in the journal
  give_up   ///< the loop guard: too many stores or restarts for one update
};
inline constexpr int kEventCount = 6;

/// What is done on entering a state. Every effect may be cut anywhere and done again: all are idempotent.
enum class Effect : std::uint8_t {
  none,
  reserve,
  fetch,
  verify,
  stage,
  compile,
  self_test,
  shadow,
  activate,
  watch,
  commit,
  discard,  ///< nothing was activated: only forget what was staged
  restore   ///< point the slot record back to the committed model and swap back
};

struct Transition {
  State next = State::idle;
  Effect effect = Effect::none;
  bool operator==(const Transition&) const = default;
};

/// Nothing: the event means nothing in this state and is ignored.
[[nodiscard]] std::optional<Transition> transition(State state, Event event);
/// The effect that belongs to a state when it is entered going forward.
[[nodiscard]] Effect effect_of(State state);

[[nodiscard]] std::string_view to_string(State state);
[[nodiscard]] std::string_view to_string(Event event);
[[nodiscard]] std::optional<State> state_named(std::string_view name);

}  // namespace wayside::ota
