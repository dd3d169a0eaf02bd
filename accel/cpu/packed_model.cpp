// SPDX-License-Identifier: Apache-2.0
// The file: header, table of operators, then their constants and weights at 64-byte boundaries. Numbers as the
// processor has them: the file never leaves the device.
#include "accel/cpu/packed_model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <format>
#include <type_traits>

#include "packed_layout.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::array<char, 8> kMagic{'W', 'S', 'P', 'A', 'C', 'K', '0', '1'};
constexpr std::size_t kAlign = 64;
constexpr std::size_t kMaxNodes = 100'000;

struct Header {
  std::array<char, 8> magic;
  std::array<char, 64> layout;  // kPackedLayout
  std::uint64_t file_bytes;
  ContentDigest body;  // of everything after the header
  ContentDigest model;
  std::uint64_t model_bytes;
  std::uint32_t level, node_count;
};
struct Row {
  std::uint32_t index, entry, set_count;
  std::uint32_t mode;
  std::int32_t zero_point, clamp_min, clamp_max;
  std::uint32_t flip, round_down, unused;
  std::uint64_t requant_at, requant_count, weights_at, weight_bytes;
};
static_assert(std::is_trivially_copyable_v<RequantBlock> && sizeof(kPackedLayout) == sizeof(Header::layout) + 1);

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
constexpr std::size_t kHeaderBytes = aligned(sizeof(Header));

bool lies_inside(std::uint64_t at, std::uint64_t bytes, std::size_t file_bytes) {
  return at % kAlign == 0 && at >= kHeaderBytes && at <= file_bytes && bytes <= file_bytes - at;
}

Row row_of(const PackedNode& node) {
  const auto& [entry, set_count, stage, requant, weights] = node.conv;
  return {.index = node.index,
          .entry = entry,
          .set_count = set_count,
          .mode = static_cast<std::uint32_t>(stage.mode),
          .zero_point = stage.zero_point,
          .clamp_min = stage.clamp_min,
          .clamp_max = stage.clamp_max,
          .flip = stage.flip,
          .round_down = stage.round_down ? 1U : 0U,
          .unused = 0,
          .requant_at = 0,
          .requant_count = requant.size(),
          .weights_at = 0,
          .weight_bytes = weights.size()};
}

/// What follows the header, in pieces of whole 64 bytes, without a copy of the weights: calls `write` for each.
template <class Write>
Result<void> for_each_piece(std::span<const std::byte> table, std::span<const PackedNode> nodes, const Write& write) {
  const std::array<std::byte, kAlign> zeros{};
  const auto padded = [&](std::span<const std::byte> bytes) -> Result<void> {
    const std::size_t whole = bytes.size() / kAlign * kAlign;
    if (whole > 0) WAYSIDE_CHECK(write(bytes.first(whole)));
    if (whole == bytes.size()) return {};
    std::array<std::byte, kAlign> last = zeros;
    std::ranges::copy(bytes.subspan(whole), last.begin());
    return write(std::span<const std::byte>(last));
  };
  WAYSIDE_CHECK(padded(table));
  for (const PackedNode& node : nodes) {
    WAYSIDE_CHECK(padded(std::as_bytes(node.conv.requant)));
    WAYSIDE_CHECK(padded(node.conv.weights));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<PackedModel>> PackedModel::open(const std::filesystem::path& path) {
  WAYSIDE_TRY(auto file, base::MappedFile::open(path));
  std::unique_ptr<PackedModel> model(new PackedModel(std::move(file)));
  auto done = model->read();
  if (!done) return std::unexpected(done.error().context(path.string()));
  return model;
}

Result<void> PackedModel::read() {
  const auto bytes = file_.bytes();
  Header header{};
  if (bytes.size() < kHeaderBytes) return fail(Code::corrupt, "shorter than its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) return fail(Code::corrupt, "not a file of packed weights");
  if (!std::equal(header.layout.begin(), header.layout.end(), kPackedLayout)) {
    return fail(Code::unsupported, "packed by another build of the engine");
  }
  if (header.file_bytes != bytes.size()) return fail(Code::corrupt, "not of the length that it had");
  if (header.node_count > kMaxNodes || header.node_count * sizeof(Row) > bytes.size() - kHeaderBytes) {
    return fail(Code::corrupt, "its table does not fit");
  }
  key_ = {.model = header.model, .model_bytes = header.model_bytes, .level = static_cast<Level>(header.level)};
  body_ = header.body;
  for (std::size_t i = 0; i < header.node_count; ++i) {
    Row row{};
    std::memcpy(&row, bytes.data() + kHeaderBytes + (i * sizeof row), sizeof row);
    const bool inside = row.requant_count <= bytes.size() / sizeof(RequantBlock) &&
                        lies_inside(row.requant_at, row.requant_count * sizeof(RequantBlock), bytes.size()) &&
                        lies_inside(row.weights_at, row.weight_bytes, bytes.size());
    const bool ordered = nodes_.empty() || nodes_.back().index < row.index;
    if (!inside || !ordered || row.mode > static_cast<std::uint32_t>(RequantMode::general)) {
      return fail(Code::corrupt, std::format("row {} of its table makes no sense", i));
    }
    const auto* requant = reinterpret_cast<const RequantBlock*>(bytes.data() + row.requant_at);
    nodes_.push_back({.index = row.index,
                      .conv = {.entry = row.entry,
                               .set_count = row.set_count,
                               .stage = {.mode = static_cast<RequantMode>(row.mode),
                                         .zero_point = static_cast<std::int16_t>(row.zero_point),
                                         .clamp_min = static_cast<std::int8_t>(row.clamp_min),
                                         .clamp_max = static_cast<std::int8_t>(row.clamp_max),
                                         .flip = static_cast<std::uint8_t>(row.flip),
                                         .round_down = row.round_down != 0},
                               .requant = {requant, row.requant_count},
                               .weights = bytes.subspan(row.weights_at, row.weight_bytes)}});
  }
  return {};
}

bool PackedModel::contents_are_whole() const {
  ContentHasher hasher;
  hasher.update(file_.bytes().subspan(kHeaderBytes));
  return hasher.digest() == body_;
}

const PackedConv* PackedModel::find(std::size_t node_index) const {
  const auto found = std::ranges::lower_bound(nodes_, node_index, {}, &PackedNode::index);
  return found != nodes_.end() && found->index == node_index ? &found->conv : nullptr;
}

Result<void> write_packed_model(base::Storage& storage, const std::string& name, const PackedKey& key,
                                std::span<const PackedNode> nodes) {
  std::vector<Row> rows;
  std::uint64_t at = kHeaderBytes + aligned(nodes.size() * sizeof(Row));
  for (const PackedNode& node : nodes) {
    Row row = row_of(node);
    row.requant_at = at;
    row.weights_at = at + aligned(row.requant_count * sizeof(RequantBlock));
    at = row.weights_at + aligned(row.weight_bytes);
    rows.push_back(row);
  }
  const auto table = std::as_bytes(std::span(rows));
  ContentHasher hasher;
  WAYSIDE_CHECK(for_each_piece(table, nodes, [&](std::span<const std::byte> piece) -> Result<void> {
    hasher.update(piece);
    return {};
  }));
  Header header{.magic = kMagic,
                .layout = {},
                .file_bytes = at,
                .body = hasher.digest(),
                .model = key.model,
                .model_bytes = key.model_bytes,
                .level = static_cast<std::uint32_t>(key.level),
                .node_count = static_cast<std::uint32_t>(nodes.size())};
  std::copy_n(kPackedLayout, header.layout.size(), header.layout.begin());
  std::array<std::byte, kHeaderBytes> first{};
  std::memcpy(first.data(), &header, sizeof header);
  WAYSIDE_CHECK(storage.write(name, first));
  return for_each_piece(table, nodes, [&](std::span<const std::byte> piece) { return storage.append(name, piece); });
}

}  // namespace wayside::accel::cpu
