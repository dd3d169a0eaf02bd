// SPDX-License-Identifier: Apache-2.0
// Reading, following and keeping roots.
#include "agent/ota/root_store.h"

#include <format>

#include "base/log.h"
#include "base/mapped_file.h"

namespace wayside::agent {
namespace {

const std::filesystem::path kFolder = "roots";

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ota::Checked<RootStore> RootStore::open(base::Storage& storage, const std::filesystem::path& first_root) {
  const auto file = base::MappedFile::open(first_root);
  if (!file) {
    return ota::refuse(ota::Refusal::io, std::format("ota.root: {}: {}; give the device its first root document "
                                                     "(wayside keys root)",
                                                     first_root.string(), file.error().message));
  }
  if (file->bytes().size() > ota::kMaxDocumentBytes) {
    return ota::refuse(ota::Refusal::root_malformed, std::format("ota.root: {} is too large", first_root.string()));
  }
  auto root = ota::open_first_root(text_of(file->bytes()));
  if (!root) {
    return ota::refuse(root.error().reason, std::format("ota.root: {}: {}", first_root.string(), root.error().message));
  }
  WAYSIDE_CHECK_IO(storage.make_directory(kFolder));
  RootStore store(storage, std::move(*root));
  for (std::size_t followed = 0; followed < ota::kMaxRootChain; ++followed) {
    const auto next = storage.read(kFolder / std::to_string(store.root_.version + 1), ota::kMaxDocumentBytes);
    if (!next) break;
    auto root_after = ota::follow_root(store.root_, text_of(*next));
    if (!root_after) {
      base::log_error("ota event=stored_root_refused version={} reason=\"{}\"", store.root_.version + 1,
                      describe(root_after.error()));
      break;
    }
    store.root_ = std::move(*root_after);
  }
  return store;
}

ota::Checked<bool> RootStore::offer(std::uint32_t version, const ota::Envelope& envelope) {
  if (version <= root_.version) return false;
  if (version != root_.version + 1) {
    return ota::refuse(
        ota::Refusal::root_version,
        std::format("root version {} does not follow {}; give every root in between", version, root_.version));
  }
  auto next = ota::follow_root(root_, envelope);
  if (!next) return std::unexpected(next.error());
  const std::string text = envelope.serialize();
  WAYSIDE_CHECK_IO(base::replace_file(*storage_, kFolder / std::to_string(version), std::as_bytes(std::span(text))));
  root_ = std::move(*next);
  base::log_info("ota event=root_followed version={}", root_.version);
  return true;
}

}  // namespace wayside::agent
