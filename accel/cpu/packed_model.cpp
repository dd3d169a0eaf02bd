// SPDX-License-Identifier: Apache-2.0
// The file: header, rows of operators, then their tables, their constants and their weights at 64-byte boundaries, each
// kind together: a load touches all but the weights. Numbers as the processor has them: the file never leaves the
// device.
#include "accel/cpu/packed_model.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <format>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "packed_layout.h"

namespace wayside::accel::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::array<char, 8> kMagic{'W', 'S', 'P', 'A', 'C', 'K', '0', '2'};
constexpr std::size_t kAlign = 64;
constexpr std::size_t kMaxNodes = 100'000;
constexpr std::int32_t kMaxSumShift = 31;  // of an int32

struct Header {
  std::array<char, 8> magic;
  std::array<char, 64> layout;  // kPackedLayout
  std::uint64_t file_bytes;
  ContentDigest body;  // of everything after the header
  ContentDigest model;
  std::uint64_t model_bytes;
  std::uint32_t level, node_count;
};
struct ConvRow {
  std::uint32_t entry, set_count, mode;
  std::int32_t zero_point, clamp_min, clamp_max;
  std::uint32_t flip, round_down;
  std::uint64_t requant_at, requant_count, weights_at, weight_bytes;
};
struct Row {
  std::uint32_t index;
  std::uint32_t has_conv, has_sum, has_table;
  ConvRow conv;
  LinearSum sum;
  std::uint32_t sum_exists, unused;
  std::uint64_t table_at;
};
static_assert(std::is_trivially_copyable_v<RequantBlock> && std::has_unique_object_representations_v<Row> &&
              sizeof(kPackedLayout) == sizeof(Header::layout) + 1);

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
constexpr std::size_t kHeaderBytes = aligned(sizeof(Header));

bool lies_inside(std::uint64_t at, std::uint64_t bytes, std::size_t file_bytes) {
  return at % kAlign == 0 && at >= kHeaderBytes && at <= file_bytes && bytes <= file_bytes - at;
}

ConvRow row_of(const PackedConv& conv) {
  const auto& [entry, set_count, stage, requant, weights] = conv;
  return {.entry = entry,
          .set_count = set_count,
          .mode = static_cast<std::uint32_t>(stage.mode),
          .zero_point = stage.zero_point,
          .clamp_min = stage.clamp_min,
          .clamp_max = stage.clamp_max,
          .flip = stage.flip,
          .round_down = stage.round_down ? 1U : 0U,
          .requant_at = 0,
          .requant_count = requant.size(),
          .weights_at = 0,
          .weight_bytes = weights.size()};
}

/// The rows, with places in the order of for_each_piece(); `end` becomes the size of the file.
std::vector<Row> rows_of(std::span<const PackedNode> nodes, std::uint64_t& end) {
  std::vector<Row> rows;
  end = kHeaderBytes + aligned(nodes.size() * sizeof(Row));
  const auto take = [&](std::uint64_t bytes) { return std::exchange(end, end + aligned(bytes)); };
  for (const PackedNode& node : nodes) {
    Row& row = rows.emplace_back();
    row.index = node.index;
    row.has_conv = node.conv ? 1 : 0;
    row.has_sum = node.sum ? 1 : 0;
    row.has_table = node.table ? 1 : 0;
    if (node.conv) row.conv = row_of(*node.conv);
    if (node.sum) row.sum = node.sum->linear;
    row.sum_exists = node.sum && node.sum->exists ? 1 : 0;
    if (node.table) row.table_at = take(sizeof(LookupTable));
  }
  for (Row& row : rows) row.conv.requant_at = take(row.conv.requant_count * sizeof(RequantBlock));
  for (Row& row : rows) row.conv.weights_at = take(row.conv.weight_bytes);
  return rows;
}

/// What follows the header, in pieces of whole 64 bytes, without a copy of the weights: calls `write` for each.
template <class Write>
Result<void> for_each_piece(std::span<const Row> rows, std::span<const PackedNode> nodes, const Write& write) {
  const std::array<std::byte, kAlign> zeros{};
  const auto padded = [&](std::span<const std::byte> bytes) -> Result<void> {
    const std::size_t whole = bytes.size() / kAlign * kAlign;
    if (whole > 0) WAYSIDE_CHECK(write(bytes.first(whole)));
    if (whole == bytes.size()) return {};
    std::array<std::byte, kAlign> last = zeros;
    std::ranges::copy(bytes.subspan(whole), last.begin());
    return write(std::span<const std::byte>(last));
  };
  WAYSIDE_CHECK(padded(std::as_bytes(rows)));
  for (const PackedNode& node : nodes) {
    if (node.table) WAYSIDE_CHECK(padded(std::as_bytes(std::span(*node.table))));
  }
  for (const PackedNode& node : nodes) {
    if (node.conv) WAYSIDE_CHECK(padded(std::as_bytes(node.conv->requant)));
  }
  for (const PackedNode& node : nodes) {
    if (node.conv) WAYSIDE_CHECK(padded(node.conv->weights));
  }
  return {};
}

std::uint32_t index_of(std::span<const std::byte> file, std::size_t row) {
  std::uint32_t index = 0;
  std::memcpy(&index, file.data() + kHeaderBytes + (row * sizeof(Row)) + offsetof(Row, index), sizeof index);
  return index;
}

/// Nothing where the row leads out of the file or its numbers have no meaning.
std::optional<PackedConv> conv_of(const ConvRow& row, std::span<const std::byte> file) {
  const bool inside = row.requant_count <= file.size() / sizeof(RequantBlock) &&
                      lies_inside(row.requant_at, row.requant_count * sizeof(RequantBlock), file.size()) &&
                      lies_inside(row.weights_at, row.weight_bytes, file.size());
  if (!inside || row.mode > static_cast<std::uint32_t>(RequantMode::general)) return std::nullopt;
  return PackedConv{.entry = row.entry,
                    .set_count = row.set_count,
                    .stage = {.mode = static_cast<RequantMode>(row.mode),
                              .zero_point = static_cast<std::int16_t>(row.zero_point),
                              .clamp_min = static_cast<std::int8_t>(row.clamp_min),
                              .clamp_max = static_cast<std::int8_t>(row.clamp_max),
                              .flip = static_cast<std::uint8_t>(row.flip),
                              .round_down = row.round_down != 0},
                    .requant = {reinterpret_cast<const RequantBlock*>(file.data() + row.requant_at), row.requant_count},
                    .weights = file.subspan(row.weights_at, row.weight_bytes)};
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
  node_count_ = header.node_count;
  for (std::size_t i = 0; i < node_count_; ++i) {
    const bool ordered = i == 0 || index_of(bytes, i - 1) < index_of(bytes, i);
    if (!ordered || !node_at(i)) return fail(Code::corrupt, std::format("row {} of its table makes no sense", i));
  }
  return {};
}

std::optional<PackedNode> PackedModel::node_at(std::size_t number) const {
  const auto bytes = file_.bytes();
  Row row{};
  std::memcpy(&row, bytes.data() + kHeaderBytes + (number * sizeof row), sizeof row);
  PackedNode node{.index = row.index, .conv = {}, .sum = {}, .table = {}};
  if (row.has_conv != 0) {
    node.conv = conv_of(row.conv, bytes);
    if (!node.conv) return std::nullopt;
  }
  if (row.has_sum != 0) {
    if (row.sum.shift < 0 || row.sum.shift > kMaxSumShift) return std::nullopt;
    node.sum = {.exists = row.sum_exists != 0, .linear = row.sum};
  }
  if (row.has_table != 0) {
    if (!lies_inside(row.table_at, sizeof(LookupTable), bytes.size())) return std::nullopt;
    std::memcpy(&node.table.emplace(), bytes.data() + row.table_at, sizeof(LookupTable));
  }
  return node;
}

bool PackedModel::contents_are_whole() const {
  ContentHasher hasher;
  hasher.update(file_.bytes().subspan(kHeaderBytes));
  return hasher.digest() == body_;
}

std::optional<PackedNode> PackedModel::find(std::size_t node_index) const {
  const auto rows = std::views::iota(std::size_t{0}, node_count_);
  const auto index = [&](std::size_t row) { return index_of(file_.bytes(), row); };
  const auto found = std::ranges::lower_bound(rows, node_index, {}, index);
  if (found == rows.end() || index(*found) != node_index) return std::nullopt;
  return node_at(*found);
}

Result<void> write_packed_model(base::Storage& storage, const std::string& name, const PackedKey& key,
                                std::span<const PackedNode> nodes) {
  std::uint64_t end = 0;
  const std::vector<Row> rows = rows_of(nodes, end);
  ContentHasher hasher;
  WAYSIDE_CHECK(for_each_piece(rows, nodes, [&](std::span<const std::byte> piece) -> Result<void> {
    hasher.update(piece);
    return {};
  }));
  Header header{.magic = kMagic,
                .layout = {},
                .file_bytes = end,
                .body = hasher.digest(),
                .model = key.model,
                .model_bytes = key.model_bytes,
                .level = static_cast<std::uint32_t>(key.level),
                .node_count = static_cast<std::uint32_t>(nodes.size())};
  std::copy_n(kPackedLayout, header.layout.size(), header.layout.begin());
  std::array<std::byte, kHeaderBytes> first{};
  std::memcpy(first.data(), &header, sizeof header);
  WAYSIDE_CHECK(storage.write(name, first));
  return for_each_piece(rows, nodes, [&](std::span<const std::byte> piece) { return storage.append(name, piece); });
}

}  // namespace wayside::accel::cpu
