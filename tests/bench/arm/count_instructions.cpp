// SPDX-License-Identifier: Apache-2.0
// Counts the guest instructions of a program under qemu-user, from QEMU's own log: which blocks were translated, and
// which ran. Usage: qemu-aarch64 -d in_asm,exec,nochain,strace -D /dev/fd/1 ... | count_instructions [PROFILE_LINES]
// The program marks what is to be counted by writing to its standard output: for each write, the instructions since the
// one before it are printed; with PROFILE_LINES, also the blocks that took most of them.
#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

struct Block {
  std::uint64_t address = 0;
  std::uint64_t instructions = 0;
  std::uint64_t runs = 0;
  std::string symbol;
};

/// The blocks by address of their first instruction. A block that is translated again replaces the old one.
class Counter {
 public:
  void translated(std::uint64_t address, std::uint64_t instructions, const std::string& symbol) {
    auto& block = blocks_[address];
    total_ += block.instructions * block.runs;  // of the old translation
    block = {address, instructions, 0, symbol};
  }
  /// False for a block whose translation was not logged.
  bool ran(std::uint64_t address) {
    const auto found = blocks_.find(address);
    if (found == blocks_.end()) return false;
    ++found->second.runs;
    return true;
  }
  void mark(std::size_t profile_lines) {
    std::vector<const Block*> hot;
    for (auto& [address, block] : blocks_) {
      total_ += block.instructions * block.runs;
      if (block.runs > 0) hot.push_back(&block);
    }
    std::printf("instructions %" PRIu64 "\n", total_);
    std::ranges::sort(hot, std::greater{}, [](const Block* block) { return block->instructions * block->runs; });
    for (std::size_t i = 0; i < std::min(profile_lines, hot.size()); ++i) {
      std::printf("  %12" PRIu64 " = %9" PRIu64 " x %4" PRIu64 "  %" PRIx64 " %s\n",
                  hot[i]->instructions * hot[i]->runs, hot[i]->runs, hot[i]->instructions, hot[i]->address,
                  hot[i]->symbol.c_str());
    }
    std::fflush(stdout);
    total_ = 0;
    for (auto& [address, block] : blocks_) block.runs = 0;
  }

 private:
  std::unordered_map<std::uint64_t, Block> blocks_;
  std::uint64_t total_ = 0;
};

/// "Trace 0: 0x7f.. [cs_base/pc/flags/cflags] symbol": the pc, or 0.
std::uint64_t address_of_trace(const char* line) {
  const char* bracket = std::strchr(line, '[');
  const char* slash = bracket != nullptr ? std::strchr(bracket, '/') : nullptr;
  return slash != nullptr ? std::strtoull(slash + 1, nullptr, 16) : 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::size_t profile_lines = count > 1 ? std::strtoul(arguments[1], nullptr, 10) : 0;
  Counter counter;
  std::vector<char> line(1 << 16);
  bool in_block = false;
  std::uint64_t first = 0, instructions = 0;
  std::string symbol;
  const auto end_block = [&] {
    if (in_block && instructions > 0) counter.translated(first, instructions, symbol);
    in_block = false;
  };
  while (std::fgets(line.data(), static_cast<int>(line.size()), stdin) != nullptr) {
    const char* text = line.data();
    if (std::strncmp(text, "Trace ", 6) == 0) {
      end_block();
      if (!counter.ran(address_of_trace(text))) {
        std::fprintf(stderr, "count_instructions: a block ran that was never translated: %s", text);
        return 1;
      }
    } else if (std::strncmp(text, "IN:", 3) == 0) {
      end_block();
      in_block = true;
      instructions = 0;
      symbol = std::strtok(line.data() + 3, " \n") != nullptr ? line.data() + 4 : "";
    } else if (in_block && std::strncmp(text, "0x", 2) == 0) {
      if (instructions++ == 0) first = std::strtoull(text, nullptr, 16);
    } else if (const char* call = std::strstr(text, " write(1,"); call != nullptr) {
      counter.mark(profile_lines);
    }
  }
  return 0;
}
