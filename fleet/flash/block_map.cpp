// SPDX-License-Identifier: Apache-2.0
// Reader of .bmap files over pugixml.
#include "fleet/flash/block_map.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <pugixml.hpp>
#include <string>

namespace wayside::fleet {
namespace {

using base::Code;
using base::Result;

constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 44U;

std::string_view trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::uint64_t> number_of(const pugi::xml_node& bmap, const char* element) {
  const auto value = whole_number(trimmed(bmap.child_value(element)));
  if (!value) return base::fail(Code::corrupt, std::format("block map: {} is missing or no number", element));
  return *value;
}

/// The file's checksum is that of the file with the checksum's own digits replaced by zeros.
Result<void> check_own_checksum(std::string_view xml, const pugi::xml_node& bmap) {
  const auto text = trimmed(bmap.child_value("BmapFileChecksum"));
  const auto expected = ota::Digest::parse(text);
  const auto at = xml.find(text);
  if (!expected || at == std::string_view::npos)
    return base::fail(Code::corrupt, "block map: BmapFileChecksum is missing or no SHA-256");
  std::string zeroed(xml);
  zeroed.replace(at, text.size(), text.size(), '0');
  WAYSIDE_TRY(const auto found, ota::sha256_of(std::as_bytes(std::span(zeroed))));
  if (found != *expected) return base::fail(Code::corrupt, "block map: its checksum is wrong; download it again");
  return {};
}

Result<BlockRange> read_range(const pugi::xml_node& node) {
  const auto text = trimmed(node.child_value());
  const auto dash = text.find('-');
  const auto first = whole_number(trimmed(text.substr(0, dash)));
  const auto last = dash == std::string_view::npos ? first : whole_number(trimmed(text.substr(dash + 1)));
  if (!first || !last || *last < *first)
    return base::fail(Code::corrupt, std::format("block map: range '{}' is not FIRST-LAST", text.substr(0, 40)));
  BlockRange range{*first, *last, std::nullopt};
  if (const auto attribute = node.attribute("chksum"); attribute) {
    const auto digest = ota::Digest::parse(attribute.value());
    if (!digest)
      return base::fail(Code::corrupt, std::format("block map: the checksum of range {} is no SHA-256", text));
    range.sha256 = *digest;
  }
  return range;
}

}  // namespace

std::uint64_t BlockMap::end_bytes(const BlockRange& range) const {
  return std::min(image_bytes, (range.last + 1) * block_bytes);
}

std::uint64_t BlockMap::mapped_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& range : ranges) sum += end_bytes(range) - begin_bytes(range);
  return sum;
}

Result<BlockMap> BlockMap::parse(std::string_view xml) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  const auto bmap = document.child("bmap");
  if (!parsed || !bmap) return base::fail(Code::corrupt, "block map: not a bmap file");
  const std::string_view version = bmap.attribute("version").value();
  if (!version.starts_with("1.") && !version.starts_with("2."))
    return base::fail(Code::unsupported, std::format("block map: version '{}'; 1.3 to 2.0 can be read", version));
  if (const auto type = trimmed(bmap.child_value("ChecksumType")); type != "sha256")
    return base::fail(Code::unsupported, std::format("block map: checksum type '{}'; make it with sha256", type));
  WAYSIDE_CHECK(check_own_checksum(xml, bmap));

  BlockMap map;
  WAYSIDE_TRY(map.image_bytes, number_of(bmap, "ImageSize"));
  WAYSIDE_TRY(map.block_bytes, number_of(bmap, "BlockSize"));
  if (map.image_bytes == 0 || map.image_bytes > kMaxImageBytes)
    return base::fail(Code::corrupt, "block map: ImageSize is zero or beyond 16 TiB");
  if (map.block_bytes < 512 || map.block_bytes > (1U << 20U) || map.block_bytes % 512 != 0)
    return base::fail(Code::corrupt, "block map: BlockSize is not a multiple of 512 up to 1 MiB");
  const auto blocks = (map.image_bytes + map.block_bytes - 1) / map.block_bytes;
  std::uint64_t free_from = 0;
  for (const auto& node : bmap.child("BlockMap").children("Range")) {
    WAYSIDE_TRY(const auto range, read_range(node));
    if (range.first < free_from || range.last >= blocks)
      return base::fail(Code::corrupt, std::format("block map: range {}-{} overlaps or lies behind the image's end",
                                                   range.first, range.last));
    free_from = range.last + 1;
    map.ranges.push_back(range);
  }
  if (map.ranges.empty()) return base::fail(Code::corrupt, "block map: no range");
  return map;
}

}  // namespace wayside::fleet
