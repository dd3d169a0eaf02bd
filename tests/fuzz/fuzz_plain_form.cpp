// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any bytes as the answer of a parser that was taken over; what is accepted has one spelling. The first
// byte names the form.
#include <algorithm>
#include <cstdlib>

#include "agent/sandbox/plain_form.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

namespace {

using namespace wayside;

/// Accepted or refused in one line.
template <class T>
bool judged(const base::Result<T>& result) {
  if (!result && (result.error().message.empty() || result.error().message.contains('\n'))) std::abort();
  if (result) ++fuzz::accepted_count;
  return result.has_value();
}

template <class T>
void expect_one_spelling(const base::Result<T>& result, ota::BytesView bytes) {
  if (judged(result) && !std::ranges::equal(agent::to_plain(*result), bytes)) std::abort();
}

void check_command(ota::BytesView bytes) {
  const auto command = agent::command_of(bytes);
  if (!judged(command)) return;
  // What lies behind the end of a name is dropped, therefore the second spelling is the one that must stay.
  const auto plain = agent::to_plain(*command);
  expect_one_spelling(agent::command_of(plain), plain);
  if (*command && !ota::is_command_name((*command)->role)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ota::BytesView bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: expect_one_spelling(agent::index_of(bytes), bytes); break;
    case 1: expect_one_spelling(agent::envelope_of(bytes), bytes); break;
    default: check_command(bytes);
  }
  return 0;
}
