// SPDX-License-Identifier: Apache-2.0
// Block-wise reservation of numbers.
#include "agent/persistent_counter.h"

#include <charconv>
#include <format>
#include <span>
#include <string>

namespace wayside::agent {

base::Result<PersistentCounter> PersistentCounter::open(base::Storage& storage, std::filesystem::path file,
                                                        std::uint64_t block) {
  constexpr std::size_t kMaxBytes = 64;  // 20 digits and a newline
  PersistentCounter counter(storage, std::move(file), block);
  const auto bytes = storage.read(counter.file_, kMaxBytes);
  if (!bytes) {
    if (bytes.error().code == base::Code::not_found) return counter;
    return std::unexpected(bytes.error());
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), counter.next_);
  const bool whole = error == std::errc{} && end + 1 == text.data() + text.size() && *end == '\n';
  if (!whole) {
    return base::fail(base::Code::corrupt,
                      std::format("counter {} is damaged; remove it to start again at 1", counter.file_.string()));
  }
  counter.reserved_end_ = counter.next_;
  return counter;
}

base::Result<std::uint64_t> PersistentCounter::next() {
  if (next_ >= reserved_end_) {
    const std::uint64_t end = next_ + block_;
    const std::string text = std::to_string(end) + "\n";
    WAYSIDE_CHECK(base::replace_file(*storage_, file_, std::as_bytes(std::span(text))));
    reserved_end_ = end;
  }
  return next_++;
}

}  // namespace wayside::agent
