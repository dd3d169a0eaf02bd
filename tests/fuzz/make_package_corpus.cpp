// SPDX-License-Identifier: Apache-2.0
// Writes the corpora of the package's targets anew (after a change of the formats): make_package_corpus
// tests/fuzz/corpus
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ota/updater/updater.h"
#include "tests/ota/package/package_kit.h"

namespace {

using namespace wayside::ota;

void put(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
void put(const std::filesystem::path& path, const std::string& text) { put(path, std::as_bytes(std::span(text))); }

std::string envelope_of(std::string_view type, const std::string& body, const SecretKey& key) {
  Envelope envelope{.type = std::string(type), .body = body};
  envelope.signatures = {sign_document(key, type, body).value()};
  return envelope.serialize();
}

/// The text between checksum and end of a record.
std::string record_text(wayside::base::Storage& storage, const char* file) {
  const auto bytes = storage.read(file, 1 << 20).value();
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(65, text.size() - 66);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: make_package_corpus FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = arguments[1];
  PackageKit kit;
  put(folder / "package" / "two_variants", kit.package());
  put(folder / "manifest" / "two_variants", kit.manifest.serialize());
  kit.manifest.card = kit.add("card");
  kit.manifest.watch.shadow_frames = 100;
  put(folder / "package" / "card_and_shadow", kit.package());
  put(folder / "manifest" / "card_and_shadow", kit.manifest.serialize());
  put(folder / "signed_document" / "root", envelope_of(kRootType, kit.root.serialize(), kit.root_key));
  put(folder / "signed_document" / "manifest", envelope_of(kManifestType, kit.manifest.serialize(), kit.first));
  put(folder / "update_command" / "init",
      R"({"status":"init","exec":1,"role":"detector","not_after":"2026-09-02T06:00:00Z","target":{"manifest_sha256":")" +
          std::string(64, 'a') + R"("},"hints":{"max_bytes":600},"rollout":"2026w36"})");
  wayside::base::FaultyStorage storage(1);
  auto slots = Slots::load(storage).value();
  const Installed installed{.manifest = Digest{}, .variant = "cpu"};
  slots.commit("detector", installed, 5).value();
  put(folder / "update_command" / "slots", record_text(storage, "slots"));
  JournalEntry entry{.state = State::probation,
                     .job = Job{.command_id = "c-1", .role = "detector", .target = installed, .security_counter = 5},
                     .stores = 9,
                     .history = {{.command_id = "c-0", .manifest = Digest{}, .reason = "canceled"}}};
  Journal::store(storage, entry).value();
  put(folder / "update_command" / "journal", record_text(storage, "journal"));
  return 0;
}
