// SPDX-License-Identifier: Apache-2.0
// wayside-fetch: parses downloaded bytes in a jail: one request after the other, or one delta.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "agent/sandbox/jail.h"
#include "agent/sandbox/parse_worker.h"
#include "ota/delta/delta.h"

namespace {

using wayside::base::Result;

/// No stdio after the jail is closed: it would ask the kernel about the descriptor.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// One of the two files of a delta; mapped before the jail is closed, read afterwards without a system call.
Result<wayside::ota::BytesView> map_file(int fd) {
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return wayside::base::fail_errno("fstat");
  if (facts.st_size == 0) return wayside::ota::BytesView();
  const auto size = static_cast<std::size_t>(facts.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) return wayside::base::fail_errno("mmap");
  return wayside::ota::BytesView(static_cast<const std::byte*>(bytes), size);
}

struct Output final : wayside::ota::ByteSink {
  Result<void> write(wayside::ota::BytesView bytes) override {
    if (write_all(STDOUT_FILENO, {reinterpret_cast<const char*>(bytes.data()), bytes.size()})) return {};
    return wayside::base::fail(wayside::base::Code::io, "nobody reads the new file");
  }
};

/// The new file from the delta on 0 and the old file on 3.
Result<void> make_delta(const wayside::ota::DeltaExpectation& expected) {
  constexpr int kOldFileFd = 3;
  constexpr std::size_t kStepBytes = 256 * 1024, kWorkBytes = std::size_t{256} << 20U;
  constexpr std::uint64_t kCpu_s = 3600;  // of a slow core and a large file; the updater's deadline is the real bound
  WAYSIDE_TRY(const auto delta, map_file(STDIN_FILENO));
  WAYSIDE_TRY(const auto old_file, map_file(kOldFileFd));
  WAYSIDE_CHECK(
      wayside::ota::sha256_of({}));  // OpenSSL reads its settings at the first hash: before the jail is closed
  WAYSIDE_CHECK(
      wayside::agent::enter_jail({.memory_bytes = kWorkBytes + delta.size() + old_file.size(), .cpu_s = kCpu_s}));
  const wayside::ota::SpanSource delta_source(delta), old_source(old_file);
  WAYSIDE_TRY(auto decoder, wayside::ota::DeltaDecoder::open(delta_source, old_source, expected));
  Output output;
  while (true) {
    WAYSIDE_TRY(const bool done, decoder.step(output, kStepBytes));
    if (done) return {};
  }
}

std::optional<wayside::ota::DeltaExpectation> expectation(char** arguments) {
  const auto target = wayside::ota::Digest::parse(arguments[0]), base = wayside::ota::Digest::parse(arguments[2]);
  const std::string_view size = arguments[1];
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (!target || !base || error != std::errc{} || end != size.data() + size.size()) return std::nullopt;
  return wayside::ota::DeltaExpectation{.base_hash = *base, .target_hash = *target, .target_bytes = bytes};
}

int complain(const wayside::base::Error& error) {
  (void)write_all(STDERR_FILENO, error.message + "\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == "delta") {
    if (const auto expected = expectation(argv + 2)) {
      const auto made = make_delta(*expected);
      return made ? 0 : complain(made.error());
    }
  }
  if (argc == 2 && std::string_view(argv[1]) == "parse") return wayside::agent::serve_parser();
  (void)write_all(STDERR_FILENO,
                  "usage: wayside-fetch parse (requests on 0, answers on 1)\n"
                  "       wayside-fetch delta HASH BYTES OLD-HASH <DELTA 3<OLD >NEW\n");
  return 2;
}
