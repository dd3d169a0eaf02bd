// SPDX-License-Identifier: Apache-2.0
// The table, pair by pair.
#include "ota/updater/transitions.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

using Pair = std::pair<State, Event>;

/// Every pair that means something, written out by hand; all others must be ignored.
std::map<Pair, Transition> expected() {
  using enum State;
  std::map<Pair, Transition> table;
  table[{idle, Event::accept}] = {accepted, Effect::reserve};
  table[{accepted, Event::done}] = {downloading, Effect::fetch};
  table[{downloading, Event::done}] = {verifying, Effect::verify};
  table[{verifying, Event::done}] = {staged, Effect::stage};
  table[{staged, Event::done}] = {compile, Effect::compile};
  table[{compile, Event::done}] = {self_test, Effect::self_test};
  table[{self_test, Event::done}] = {shadow, Effect::shadow};
  table[{shadow, Event::done}] = {activating, Effect::activate};
  table[{activating, Event::done}] = {probation, Effect::watch};
  table[{probation, Event::done}] = {committed, Effect::commit};
  table[{committed, Event::done}] = {idle, Effect::none};
  table[{rolled_back, Event::done}] = {idle, Effect::none};
  for (const Event event : {Event::fail, Event::cancel, Event::give_up}) {
    for (const State state : {accepted, downloading, verifying, staged, compile, self_test, shadow}) {
      table[{state, event}] = {rolled_back, Effect::discard};
    }
    for (const State state : {activating, probation}) table[{state, event}] = {rolled_back, Effect::restore};
  }
  table[{accepted, Event::restart}] = {accepted, Effect::reserve};
  table[{downloading, Event::restart}] = {downloading, Effect::fetch};
  table[{verifying, Event::restart}] = {verifying, Effect::verify};
  table[{staged, Event::restart}] = {staged, Effect::stage};
  table[{compile, Event::restart}] = {compile, Effect::compile};
  table[{self_test, Event::restart}] = {self_test, Effect::self_test};
  table[{shadow, Event::restart}] = {shadow, Effect::shadow};
  table[{activating, Event::restart}] = {activating, Effect::activate};
  table[{probation, Event::restart}] = {probation, Effect::watch};
  table[{committed, Event::restart}] = {committed, Effect::commit};
  table[{rolled_back, Event::restart}] = {rolled_back, Effect::restore};
  return table;
}

TEST(TransitionsTest, every_state_and_event) {
  const auto table = expected();
  int pairs = 0;
  for (int s = 0; s < kStateCount; ++s) {
    for (int e = 0; e < kEventCount; ++e, ++pairs) {
      const auto state = static_cast<State>(s);
      const auto event = static_cast<Event>(e);
      const auto found = table.find({state, event});
      const auto next = transition(state, event);
      ASSERT_EQ(next.has_value(), found != table.end()) << to_string(state) << " + " << to_string(event);
      if (next) {
        EXPECT_EQ(*next, found->second) << to_string(state) << " + " << to_string(event);
      }
    }
  }
  EXPECT_EQ(pairs, kStateCount * kEventCount);
  testing_support::figure("state_event_pairs", pairs);
}

TEST(TransitionsTest, idle_is_reached_from_everywhere_and_names_go_back) {
  for (int s = 0; s < kStateCount; ++s) {
    const auto state = static_cast<State>(s);
    EXPECT_EQ(state_named(to_string(state)), state);
    for (const Event event : {Event::done, Event::give_up}) {
      State at = state;
      int steps = 0;
      while (at != State::idle && steps < 20) {
        const auto next = transition(at, event);
        at = next ? next->next : transition(at, Event::done)->next;
        ++steps;
      }
      EXPECT_LT(steps, 20) << to_string(state) << " has no exit by " << to_string(event);
    }
  }
  EXPECT_FALSE(state_named("nowhere"));
}

TEST(TransitionsTest, nothing_leaves_committed_backwards) {
  for (const Event event : {Event::fail, Event::cancel, Event::give_up, Event::accept}) {
    EXPECT_FALSE(transition(State::committed, event)) << to_string(event);
  }
}

}  // namespace
}  // namespace wayside::ota
