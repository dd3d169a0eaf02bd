// SPDX-License-Identifier: Apache-2.0
// The table itself.
#include "ota/updater/transitions.h"

#include <algorithm>
#include <array>

namespace wayside::ota {
namespace {

struct Row {
  State state;
  std::string_view name;
  Effect effect;                   ///< on entry, and again after a restart
  std::optional<State> done;       ///< next when the effect ended well
  std::optional<Transition> undo;  ///< on fail and give_up
  bool cancellable;
};

constexpr Transition kDiscard{State::rolled_back, Effect::discard};
constexpr Transition kRestore{State::rolled_back, Effect::restore};

// Once committed there is no way back; once rolled back there is no way but idle. Both only retry local disk writes.
// After a restart rolled_back always restores: pointing to the committed model is right whatever was undone.
constexpr std::array<Row, kStateCount> kTable = {{
    {State::idle, "idle", Effect::none, std::nullopt, std::nullopt, false},
    {State::accepted, "accepted", Effect::reserve, State::downloading, kDiscard, true},
    {State::downloading, "downloading", Effect::fetch, State::verifying, kDiscard, true},
    {State::verifying, "verifying", Effect::verify, State::staged, kDiscard, true},
    {State::staged, "staged", Effect::stage, State::compile, kDiscard, true},
    {State::compile, "compile", Effect::compile, State::self_test, kDiscard, true},
    {State::self_test, "self_test", Effect::self_test, State::shadow, kDiscard, true},
    {State::shadow, "shadow", Effect::shadow, State::activating, kDiscard, true},
    {State::activating, "activating", Effect::activate, State::probation, kRestore, true},
    {State::probation, "probation", Effect::watch, State::committed, kRestore, true},
    {State::committed, "committed", Effect::commit, State::idle, std::nullopt, false},
    {State::rolled_back, "rolled_back", Effect::restore, State::idle, std::nullopt, false},
}};

constexpr std::array<std::string_view, kEventCount> kEvents = {"accept", "done",    "fail",
                                                               "cancel", "restart", "give_up"};

const Row& row_of(State state) { return kTable[static_cast<std::size_t>(state)]; }

}  // namespace

std::optional<Transition> transition(State state, Event event) {
  const Row& row = row_of(state);
  switch (event) {
    case Event::accept:
      if (state != State::idle) return std::nullopt;
      return Transition{State::accepted, effect_of(State::accepted)};
    case Event::done:
      if (!row.done) return std::nullopt;
      return Transition{*row.done, effect_of(*row.done)};
    case Event::fail:
    case Event::give_up: return row.undo;
    case Event::cancel: return row.cancellable ? row.undo : std::nullopt;
    case Event::restart:
      if (state == State::idle) return std::nullopt;
      return Transition{state, row.effect};
  }
  return std::nullopt;
}

Effect effect_of(State state) { return row_of(state).effect; }

std::string_view to_string(State state) { return row_of(state).name; }
std::string_view to_string(Event event) { return kEvents[static_cast<std::size_t>(event)]; }

std::optional<State> state_named(std::string_view name) {
  const auto found = std::ranges::find(kTable, name, &Row::name);
  if (found == kTable.end()) return std::nullopt;
  return found->state;
}

}  // namespace wayside::ota
