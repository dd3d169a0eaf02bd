// SPDX-License-Identifier: Apache-2.0
// Parsing of YUV4MPEG2.
#include "drivers/camera/replay/y4m.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>

#include "base/codec/limits.h"

namespace wayside::drivers {
namespace {

using base::Code;
using base::fail;

// Above this no camera goes; a file that claims more has a broken header.
constexpr double kMaxRateHz = 1000;

/// The line at the start of `data` without its newline; nothing if there is none within kMaxY4mLineBytes.
std::optional<std::string_view> first_line(std::span<const std::byte> data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), std::min(data.size(), kMaxY4mLineBytes));
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  return text.substr(0, end);
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_rate(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto numerator = parse_number(text.substr(0, colon));
  const auto denominator = parse_number(text.substr(colon + 1));
  if (!numerator || !denominator) return std::nullopt;
  if (*numerator == 0 || *denominator == 0) return 0.0;  // "unknown"
  const double rate_hz = static_cast<double>(*numerator) / *denominator;
  if (rate_hz > kMaxRateHz) return std::nullopt;
  return rate_hz;
}

std::optional<Y4mChroma> parse_chroma(std::string_view text) {
  for (const std::string_view name : {"420", "420jpeg", "420mpeg2", "420paldv"}) {
    if (text == name) return Y4mChroma::c420;
  }
  if (text == "422") return Y4mChroma::c422;
  if (text == "mono") return Y4mChroma::mono;
  return std::nullopt;
}

base::Result<void> apply(std::string_view token, Y4mHeader& header) {
  const std::string_view value = token.substr(1);
  const auto bad = [&](Code code, std::string_view what) {
    return fail(code, std::format("Y4M header: '{}': {}", token, what));
  };
  switch (token[0]) {
    case 'W':
    case 'H': {
      const auto side = parse_number(value);
      if (!side) return bad(Code::corrupt, "not a size");
      (token[0] == 'W' ? header.width_px : header.height_px) = *side;
      return {};
    }
    case 'F': {
      const auto rate_hz = parse_rate(value);
      if (!rate_hz) return bad(Code::corrupt, "not a frame rate");
      header.rate_hz = *rate_hz;
      return {};
    }
    case 'I':
      if (value != "p" && value != "?") return bad(Code::unsupported, "interlaced; convert it to progressive");
      return {};
    case 'C': {
      const auto chroma = parse_chroma(value);
      if (!chroma) return bad(Code::unsupported, "use C420, C422 or Cmono with 8 bits");
      header.chroma = *chroma;
      return {};
    }
    case 'X':
      if (value == "COLORRANGE=FULL") header.range = base::ColorRange::full;
      return {};
    default: return {};  // pixel aspect and unknown parameters do not matter here
  }
}

}  // namespace

std::size_t Y4mHeader::frame_bytes() const {
  const std::size_t luma = std::size_t{width_px} * height_px;
  const std::size_t half_width = (std::size_t{width_px} + 1) / 2;
  switch (chroma) {
    case Y4mChroma::c420: return luma + 2 * half_width * ((std::size_t{height_px} + 1) / 2);
    case Y4mChroma::c422: return luma + 2 * half_width * height_px;
    case Y4mChroma::mono: return luma;
  }
  return luma;
}

base::Result<Y4mHeader> parse_y4m_header(std::span<const std::byte> file) {
  constexpr std::string_view kMagic = "YUV4MPEG2";
  const auto line = first_line(file);
  if (!line || !line->starts_with(kMagic)) return fail(Code::corrupt, "not a Y4M file (no YUV4MPEG2 header line)");
  Y4mHeader header;
  header.header_bytes = line->size() + 1;
  std::string_view rest = line->substr(kMagic.size());
  while (!rest.empty()) {
    const auto end = std::min(rest.find(' '), rest.size());
    if (end > 0) WAYSIDE_CHECK(apply(rest.substr(0, end), header));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (header.width_px == 0 || header.height_px == 0) return fail(Code::corrupt, "Y4M header: no width or height");
  if (!base::image_size_ok(header.width_px, header.height_px)) {
    return fail(Code::exhausted, std::format("Y4M header: {}x{} px is too large", header.width_px, header.height_px));
  }
  return header;
}

base::Result<Y4mFrame> first_y4m_frame(const Y4mHeader& header, std::span<const std::byte> rest) {
  const auto line = first_line(rest);
  if (!line || !(*line == "FRAME" || line->starts_with("FRAME "))) return fail(Code::corrupt, "Y4M: no FRAME line");
  const std::size_t start = line->size() + 1;
  const std::size_t pixel_bytes = header.frame_bytes();
  if (rest.size() - start < pixel_bytes) {
    return fail(Code::corrupt, std::format("Y4M: {} of {} bytes of a frame", rest.size() - start, pixel_bytes));
  }
  return Y4mFrame{rest.subspan(start, pixel_bytes), start + pixel_bytes};
}

}  // namespace wayside::drivers
