// SPDX-License-Identifier: Apache-2.0
// Fuzz target: any text as a command from the broker, and as the updater's own records on a disk that rots.
#include <cstdlib>
#include <string>

#include "ota/updater/command.h"
#include "ota/updater/journal.h"
#include "tests/fuzz/target.h"

namespace wayside::fuzz {
std::size_t accepted_count = 0;
}

namespace {

/// The bytes under a right checksum, so that what is behind it is reached.
void as_record(const char* file, std::string_view text) {
  using namespace wayside;
  base::FaultyStorage storage(1);
  const auto digest = ota::sha256_of(std::as_bytes(std::span(text)));
  const std::string record = digest.value().hex() + "\n" + std::string(text) + "\n";
  if (!storage.write(file, std::as_bytes(std::span(record)))) return;
  bool damaged = false;
  const auto journal = ota::Journal::load(storage, damaged);
  const auto slots = ota::Slots::load(storage);
  if (!journal || !slots) std::abort();  // a damaged record must never keep the device from starting
  if (journal->state == ota::State::idle && journal->job) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayside;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto command = ota::parse_update_command("c-1", text);
  if (command && *command) {
    if ((*command)->role.empty() || (*command)->role.contains('/')) std::abort();
    ++fuzz::accepted_count;
  }
  as_record("journal", text);
  as_record("slots", text);
  return 0;
}
