// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without libFuzzer: every corpus file as it is, then seeded damages of each.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/mutate.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<std::filesystem::path> list_corpus(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The input under test, on disk where a crash leaves it for the report.
void keep_input(const char* folder, const Bytes& bytes) {
  if (folder == nullptr) return;
  std::ofstream(std::filesystem::path(folder) / "last_input.bin", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr,
                 "usage: %s MUTATIONS_PER_FILE CORPUS...   (files or folders)\n"
                 "FUZZ_SEED: first seed (default 1); FUZZ_KEEP: folder in which each input is kept while it runs\n",
                 arguments[0]);
    return 2;
  }
  const auto mutations = std::strtoull(arguments[1], nullptr, 10);
  const char* seed_text = std::getenv("FUZZ_SEED");
  const char* keep = std::getenv("FUZZ_KEEP");
  const std::uint64_t first_seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  std::size_t files = 0;
  for (int i = 2; i < count; ++i) {
    for (const auto& path : list_corpus(arguments[i])) {
      const auto original = read_file(path);
      LLVMFuzzerTestOneInput(original.data(), original.size());
      for (std::uint64_t k = 0; k < mutations; ++k) {
        const auto bytes = wayside::fuzz::mutate(original, first_seed + k);
        keep_input(keep, bytes);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
      }
      ++files;
    }
  }
  std::printf("%zu files, %llu seeded damages each, first seed %llu: %zu accepted, no fault\n", files, mutations,
              static_cast<unsigned long long>(first_seed), wayside::fuzz::accepted_count);
  return wayside::fuzz::accepted_count == 0 ? 1 : 0;  // a corpus of which nothing is accepted tests nothing
}
