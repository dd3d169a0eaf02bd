// SPDX-License-Identifier: Apache-2.0
// The jailed parser as it is in the hands of an attacker: what it does depends on the name that it was started under.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "agent/sandbox/parse_worker.h"

namespace {

using wayside::agent::Parsed;
using wayside::agent::ParseRequest;

constexpr std::string_view kPoison = "poison";

bool poisoned(wayside::ota::BytesView input) { return wayside::ota::text_of(input).contains(kPoison); }

/// Parses as it should, but dies of a certain input, as a parser with a fault would.
Parsed fragile(const ParseRequest& request, wayside::ota::BytesView input) {
  if (poisoned(input)) ::raise(SIGSEGV);  // raise() asks for the thread's id first, which the jail answers with SIGSYS
  return wayside::agent::parse(request, input);
}
Parsed crashes(const ParseRequest& request, wayside::ota::BytesView input) {
  auto parsed = wayside::agent::parse(request, input);
  if (poisoned(input) || poisoned(parsed.plain)) *static_cast<volatile int*>(nullptr) = 1;  // NOLINT: that is the fault
  return parsed;
}
Parsed hangs(const ParseRequest& request, wayside::ota::BytesView input) {
  for (volatile int i = 0; poisoned(input);) i = i + 1;
  return wayside::agent::parse(request, input);
}
/// Tells its owner that it is gone, and is not.
Parsed hides(const ParseRequest& request, wayside::ota::BytesView input) {
  if (poisoned(input)) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
    for (volatile int i = 0;;) i = i + 1;
  }
  return wayside::agent::parse(request, input);
}
/// Good news of any size.
Parsed boasts(const ParseRequest&, wayside::ota::BytesView) {
  return {.answer = {.good = 1, .refusal = 0, .bytes = UINT32_MAX}, .plain = {}};
}
/// Good news that are not what was asked for.
Parsed babbles(const ParseRequest&, wayside::ota::BytesView) {
  wayside::ota::Bytes noise(177);
  std::ranges::fill(noise, std::byte{0xa5});
  return {.answer = {.good = 1, .refusal = 0, .bytes = 177}, .plain = noise};
}
/// One signature, again and again.
Parsed repeats(const ParseRequest&, wayside::ota::BytesView input) {
  auto envelope = wayside::ota::Envelope::parse(wayside::ota::text_of(input)).value();
  envelope.signatures.push_back(envelope.signatures.front());
  auto plain = wayside::agent::to_plain(envelope);
  return {.answer = {.good = 1, .refusal = 0, .bytes = static_cast<std::uint32_t>(plain.size())}, .plain = plain};
}
Parsed complains(const ParseRequest&, wayside::ota::BytesView) {
  constexpr std::string_view kText = "line one\nevent=forged \x1b[2J";
  const auto bytes = wayside::ota::bytes_of(kText);
  return {.answer = {.good = 0, .refusal = 9999, .bytes = static_cast<std::uint32_t>(bytes.size())},
          .plain = {bytes.begin(), bytes.end()}};
}

struct Behaviour {
  std::string_view name;
  wayside::agent::Parse* parse;
};
constexpr Behaviour kBehaviours[] = {{"fragile", fragile}, {"crashes", crashes}, {"wayside-fetch", crashes},
                                     {"hangs", hangs},     {"hides", hides},     {"boasts", boasts},
                                     {"babbles", babbles}, {"repeats", repeats}, {"complains", complains}};

}  // namespace

int main(int, char** argv) {
  std::string_view name = argv[0];
  name.remove_prefix(name.rfind('/') + 1);
  for (const auto& behaviour : kBehaviours) {
    if (behaviour.name == name) return wayside::agent::serve_parser(behaviour.parse);
  }
  return 4;
}
