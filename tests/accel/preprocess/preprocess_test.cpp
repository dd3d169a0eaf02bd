// SPDX-License-Identifier: Apache-2.0
// Preprocessor against its written-down definition on every level, and the definition against values worked out by
// hand.
#include "accel/preprocess/preprocess.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <format>
#include <random>
#include <string>
#include <vector>

#include "accel/preprocess/preprocess_reference.h"
#include "tests/accel/preprocess/test_picture.h"

namespace wayside::accel {
namespace {

using base::ColorRange;
using base::PixelFormat;
using test::make_picture;
using test::random_picture;
using ::testing::HasSubstr;

TensorInfo tensor(DType type, int width, int height, int channels) {
  TensorInfo info{.name = "input", .type = type, .shape = {1, height, width, channels}, .quantization = {}};
  if (type == DType::u8) info.quantization = {1.0F / 128, 128};
  if (type == DType::i8) info.quantization = {1.0F / 255, -128};
  return info;
}

Preprocessor make(const PreprocessSpec& spec, std::string_view level = "scalar") {
  auto made = Preprocessor::create(spec);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  EXPECT_TRUE(made->set_level(level));
  return std::move(*made);
}

std::vector<std::uint8_t> run(Preprocessor& preprocessor, const PreprocessSpec& spec, const base::ImageView& view,
                              const CropRect& crop = {}) {
  std::vector<std::uint8_t> out(spec.input.byte_count());
  const auto mapping = preprocessor.run(view, crop, std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(mapping.has_value()) << mapping.error().message;
  return out;
}

std::vector<std::string> levels() {
  std::vector<std::string> result{"scalar"};
  auto probe = Preprocessor::create({.input = tensor(DType::u8, 8, 8, 3)});
  for (const char* name : {"avx2", "neon"}) {
    if (probe->set_level(name)) result.emplace_back(name);
  }
  return result;
}

/// Everything about one comparison that can vary.
struct Case {
  PixelFormat format;
  std::uint32_t width, height;
  CropRect crop;
  int tensor_width, tensor_height;
};

std::vector<Case> cases() {
  std::vector<Case> result;
  struct Size {
    std::uint32_t width, height;
    CropRect crop;
    int tensor_width, tensor_height;
  };
  const Size sizes[] = {
      {1, 1, {}, 1, 1},
      {1, 7, {}, 5, 3},
      {2, 2, {}, 40, 33},
      {37, 23, {}, 37, 23},
      {64, 48, {}, 33, 17},
      {97, 61, {}, 96, 31},
      {129, 70, {}, 32, 32},
      {161, 91, {3, 5, 131, 77}, 40, 24},
      {320, 180, {}, 64, 64},
      {333, 187, {}, 50, 24},
      {322, 190, {1, 1, 0, 0}, 19, 40},
      {640, 360, {}, 36, 36},
      {515, 389, {}, 17, 17},
      {700, 401, {}, 16, 9},
      {900, 300, {20, 10, 801, 200}, 8, 8},
      {250, 30, {}, 2, 30},
      {30, 256, {}, 30, 2},
      {128, 3, {}, 1, 3},
  };
  for (const auto format : test::kReadableFormats) {
    for (const auto& s : sizes) result.push_back({format, s.width, s.height, s.crop, s.tensor_width, s.tensor_height});
  }
  return result;
}

void compare_with_reference(const Case& c, const PreprocessSpec& spec, const base::ImageView& view) {
  std::vector<std::uint8_t> expected(spec.input.byte_count());
  const auto mapping = preprocess_reference(spec, view, c.crop, std::as_writable_bytes(std::span(expected)));
  ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
  for (const auto& level : levels()) {
    auto preprocessor = make(spec, level);
    const auto got = run(preprocessor, spec, view, c.crop);
    const auto [a, b] = std::ranges::mismatch(expected, got);
    ASSERT_EQ(a, expected.end()) << std::format("{}: {} {}x{} -> {}x{}: byte {}: {} instead of {}", level,
                                                base::to_string(c.format), c.width, c.height, c.tensor_width,
                                                c.tensor_height, a - expected.begin(), *b, *a);
  }
}

class PreprocessMatrix : public ::testing::TestWithParam<Fit> {};

TEST_P(PreprocessMatrix, EqualsReferenceBitForBit) {
  const unsigned seed = 20260901;
  std::mt19937 random(seed);
  RecordProperty("seed", static_cast<int>(seed));
  const DType types[] = {DType::i8, DType::u8, DType::f32};
  const ColorOrder orders[] = {ColorOrder::rgb, ColorOrder::bgr, ColorOrder::gray};
  std::size_t turn = 0;
  for (const auto& c : cases()) {
    auto picture = random_picture(c.format, c.width, c.height, random() % 7, random);
    picture.view.range = turn % 2 == 0 ? ColorRange::limited : ColorRange::full;
    for (const auto order : orders) {
      const int channels = order == ColorOrder::gray ? 1 : 3;
      PreprocessSpec spec{
          .input = tensor(types[turn % 3], c.tensor_width, c.tensor_height, channels),
          .order = order,
          .fit = GetParam(),
      };
      if (turn % 4 == 3) spec.normalization = Normalization{{123.7F, 116.3F, 103.5F}, {58.4F, 57.1F, 57.4F}};
      ++turn;
      compare_with_reference(c, spec, picture.view);
      if (HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fits, PreprocessMatrix, ::testing::Values(Fit::letterbox, Fit::stretch),
                         [](const auto& chosen) { return chosen.param == Fit::letterbox ? "letterbox" : "stretch"; });

TEST(Preprocess, SameObjectServesChangingSizesAndFormats) {
  std::mt19937 random(7);
  PreprocessSpec spec{.input = tensor(DType::i8, 48, 32, 3)};
  for (const auto& level : levels()) {
    auto reused = make(spec, level);
    for (const auto& c : cases()) {
      if (c.tensor_width < 8) continue;
      const auto picture = random_picture(c.format, c.width, c.height, 0, random);
      auto fresh = make(spec, level);
      ASSERT_EQ(run(reused, spec, picture.view, c.crop), run(fresh, spec, picture.view, c.crop));
    }
  }
}

/// A detector's and a classifier's picture and crops, alone and together.
TEST(Preprocess, OutputsMadeTogetherAreThoseMadeAlone) {
  std::mt19937 random(11);
  const PreprocessSpec specs[] = {
      {.input = tensor(DType::i8, 96, 96, 3)},
      {.input = tensor(DType::u8, 40, 24, 3), .order = ColorOrder::bgr, .fit = Fit::stretch},
      {.input = tensor(DType::f32, 17, 33, 1), .order = ColorOrder::gray},
      {.input = tensor(DType::i8, 32, 32, 3), .fit = Fit::stretch},
  };
  const CropRect crops[] = {{}, {}, {101, 7, 64, 100}, {300, 180, 0, 0}};
  for (const auto format : test::kReadableFormats) {
    const auto picture = random_picture(format, 417, 251, 5, random);
    std::vector<Preprocessor> preprocessors;
    std::vector<std::vector<std::byte>> tensors;
    std::vector<Preprocessor::Job> jobs;
    for (const auto& spec : specs) {
      preprocessors.push_back(make(spec));
      tensors.emplace_back(spec.input.byte_count());
    }
    for (std::size_t i = 0; i < std::size(specs); ++i) {
      jobs.push_back({.preprocessor = &preprocessors[i], .crop = crops[i], .tensor = tensors[i]});
    }
    ASSERT_TRUE(Preprocessor::run_together(picture.view, jobs));
    for (std::size_t i = 0; i < std::size(specs); ++i) {
      auto alone = make(specs[i]);
      std::vector<std::byte> expected(tensors[i].size());
      const auto mapping = alone.run(picture.view, crops[i], expected);
      ASSERT_TRUE(mapping.has_value());
      EXPECT_EQ(tensors[i], expected) << base::to_string(format) << " output " << i;
      EXPECT_EQ(jobs[i].mapping.offset_x, mapping->offset_x);
      EXPECT_EQ(jobs[i].mapping.y1_px, mapping->y1_px);
    }
  }
}

TEST(Preprocess, OneBadJobLeavesAllTensorsUntouched) {
  std::mt19937 random(12);
  const PreprocessSpec spec{.input = tensor(DType::u8, 16, 16, 3)};
  const auto picture = random_picture(PixelFormat::nv12, 64, 64, 0, random);
  auto good = make(spec), bad = make(spec);
  std::vector<std::byte> first(spec.input.byte_count(), std::byte{77}), second = first;
  std::array<Preprocessor::Job, 2> jobs{
      {{.preprocessor = &good, .tensor = first}, {.preprocessor = &bad, .crop = {64, 0, 1, 1}, .tensor = second}}};
  const auto refused = Preprocessor::run_together(picture.view, jobs);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("not inside the picture"));
  EXPECT_EQ(std::ranges::count(first, std::byte{77}), std::ssize(first));
  EXPECT_TRUE(Preprocessor::run_together(picture.view, {}).has_value());
}

TEST(Preprocess, SameSizeRgbIsCopied) {
  std::mt19937 random(1);
  const auto picture = random_picture(PixelFormat::rgb24, 19, 11, 0, random);
  const PreprocessSpec spec{.input = tensor(DType::u8, 19, 11, 3)};
  auto preprocessor = make(spec);
  EXPECT_EQ(run(preprocessor, spec, picture.view), picture.planes[0]);
}

/// BT.601 as the standard writes it, in floating point.
std::array<double, 3> bt601(double y, double u, double v, ColorRange range) {
  const bool limited = range == ColorRange::limited;
  const double luma = limited ? (y - 16) * 255 / 219 : y;
  const double chroma = limited ? 255.0 / 224 : 1;
  const double cb = (u - 128) * chroma, cr = (v - 128) * chroma;
  return {luma + 1.402 * cr, luma - 0.344136 * cb - 0.714136 * cr, luma + 1.772 * cb};
}

TEST(Preprocess, ColoursAreBt601WithinOne) {
  const PreprocessSpec spec{.input = tensor(DType::u8, 2, 2, 3)};
  auto preprocessor = make(spec);
  for (const auto range : {ColorRange::limited, ColorRange::full}) {
    for (int y = 0; y < 256; y += 15) {
      for (int u = 0; u < 256; u += 15) {
        for (int v = 0; v < 256; v += 15) {
          auto picture = make_picture(PixelFormat::i420, 2, 2, 0, [&](unsigned plane, std::size_t) {
            return static_cast<std::uint8_t>(plane == 0 ? y : plane == 1 ? u : v);
          });
          picture.view.range = range;
          const auto got = run(preprocessor, spec, picture.view);
          const auto expected = bt601(y, u, v, range);
          for (std::size_t c = 0; c < 3; ++c) {
            ASSERT_NEAR(got[c], std::clamp(expected[c], 0.0, 255.0), 0.7) << y << ' ' << u << ' ' << v;
          }
        }
      }
    }
  }
}

TEST(Preprocess, BlackAndWhiteStayExact) {
  const PreprocessSpec spec{.input = tensor(DType::u8, 4, 4, 3)};
  auto preprocessor = make(spec);
  const auto gray_of = [&](std::uint8_t y, ColorRange range) {
    auto picture = make_picture(PixelFormat::nv12, 8, 8, 0,
                                [&](unsigned plane, std::size_t) { return plane == 0 ? y : std::uint8_t{128}; });
    picture.view.range = range;
    const auto out = run(preprocessor, spec, picture.view);
    EXPECT_EQ(std::ranges::count(out, out[0]), static_cast<std::ptrdiff_t>(out.size()));
    return out[0];
  };
  EXPECT_EQ(gray_of(16, ColorRange::limited), 0);
  EXPECT_EQ(gray_of(235, ColorRange::limited), 255);
  EXPECT_EQ(gray_of(0, ColorRange::full), 0);
  EXPECT_EQ(gray_of(255, ColorRange::full), 255);
  EXPECT_EQ(gray_of(77, ColorRange::full), 77);
}

/// The ideal: the mean of the source over each target pixel's area, on a smooth picture.
TEST(Preprocess, ShrinkingASmoothPictureGivesTheMeanOfEachArea) {
  const std::uint32_t width = 600, height = 400;
  const auto at = [](double x, double y) { return 128 + 60 * std::sin(x / 40) + 50 * std::cos(y / 31); };
  auto picture = make_picture(PixelFormat::gray8, width, height, 0, [&](unsigned, std::size_t i) {
    return static_cast<std::uint8_t>(std::lround(at(static_cast<double>(i % width), static_cast<double>(i / width))));
  });
  picture.view.range = ColorRange::full;
  const PreprocessSpec spec{.input = tensor(DType::u8, 96, 64, 1), .order = ColorOrder::gray, .fit = Fit::stretch};
  auto preprocessor = make(spec);
  const auto out = run(preprocessor, spec, picture.view);
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 96; ++x) {
      const double expected = at((x + 0.5) * 6.25 - 0.5, (y + 0.5) * 6.25 - 0.5);
      ASSERT_NEAR(out[static_cast<std::size_t>(y * 96 + x)], expected, 2.0) << x << ',' << y;
    }
  }
}

TEST(Preprocess, FineStripesBecomeGreyInsteadOfAliasing) {
  auto picture = make_picture(PixelFormat::gray8, 640, 64, 0,
                              [](unsigned, std::size_t i) { return static_cast<std::uint8_t>(i % 2 == 0 ? 0 : 200); });
  picture.view.range = ColorRange::full;
  const PreprocessSpec spec{.input = tensor(DType::u8, 150, 15, 1), .order = ColorOrder::gray, .fit = Fit::stretch};
  auto preprocessor = make(spec);
  for (const auto value : run(preprocessor, spec, picture.view)) EXPECT_EQ(value, 100);
}

TEST(Preprocess, LetterboxCentresAndMapsBack) {
  const auto picture = make_picture(PixelFormat::rgb24, 200, 100, 0, [](unsigned, std::size_t) { return 255; });
  const PreprocessSpec spec{.input = tensor(DType::i8, 80, 80, 3), .pad_value = 114};
  auto preprocessor = make(spec);
  std::vector<std::int8_t> out(spec.input.byte_count());
  const auto mapping = preprocessor.run(picture.view, {}, std::as_writable_bytes(std::span(out)));
  ASSERT_TRUE(mapping.has_value());
  for (std::size_t y = 0; y < 80; ++y) {
    const int expected = y < 20 || y >= 60 ? 114 - 128 : 127;
    for (std::size_t i = 0; i < 240; ++i) ASSERT_EQ(out[y * 240 + i], expected) << y;
  }
  EXPECT_FLOAT_EQ(mapping->to_source_x(0), 0);
  EXPECT_FLOAT_EQ(mapping->to_source_x(80), 200);
  EXPECT_FLOAT_EQ(mapping->to_source_y(20), 0);
  EXPECT_FLOAT_EQ(mapping->to_source_y(60), 100);
  EXPECT_FLOAT_EQ(mapping->x1_px, 200);
  EXPECT_FLOAT_EQ(mapping->y1_px, 100);
}

TEST(Preprocess, CropMovesToEvenPixelsAndMapsBack) {
  std::mt19937 random(3);
  const auto picture = random_picture(PixelFormat::nv12, 100, 80, 0, random);
  const PreprocessSpec spec{.input = tensor(DType::u8, 16, 16, 3), .fit = Fit::stretch};
  auto preprocessor = make(spec);
  std::vector<std::byte> out(spec.input.byte_count());
  const auto mapping = preprocessor.run(picture.view, {11, 20, 31, 40}, out);
  ASSERT_TRUE(mapping.has_value());
  EXPECT_FLOAT_EQ(mapping->x0_px, 10);
  EXPECT_FLOAT_EQ(mapping->x1_px, 42);
  EXPECT_FLOAT_EQ(mapping->to_source_x(0), 10);
  EXPECT_FLOAT_EQ(mapping->to_source_x(16), 42);
  EXPECT_FLOAT_EQ(mapping->to_source_y(8), 40);
}

TEST(Preprocess, NormalizationQuantises) {
  auto input = tensor(DType::i8, 1, 1, 3);
  input.quantization = {0.0186F, -14};
  const PreprocessSpec spec{.input = input,
                            .normalization = Normalization{{123.675F, 116.28F, 103.53F}, {58.395F, 57.12F, 57.375F}}};
  const auto picture = make_picture(PixelFormat::rgb24, 1, 1, 0,
                                    [](unsigned, std::size_t i) { return static_cast<std::uint8_t>(50 + 70 * i); });
  auto preprocessor = make(spec);
  const auto out = run(preprocessor, spec, picture.view);
  EXPECT_EQ(std::bit_cast<std::int8_t>(out[0]), std::lround((50 - 123.675) / 58.395 / 0.0186) - 14);
  EXPECT_EQ(std::bit_cast<std::int8_t>(out[1]), std::lround((120 - 116.28) / 57.12 / 0.0186) - 14);
  EXPECT_EQ(std::bit_cast<std::int8_t>(out[2]), std::lround((190 - 103.53) / 57.375 / 0.0186) - 14);
}

TEST(Preprocess, RejectsWhatItCannotDo) {
  const auto error_of = [](const PreprocessSpec& spec) {
    const auto made = Preprocessor::create(spec);
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(error_of({.input = tensor(DType::i16, 8, 8, 3)}), HasSubstr("input tensor 'input' is i16"));
  EXPECT_THAT(error_of({.input = tensor(DType::i8, 8, 8, 2)}), HasSubstr("[1,8,8,2]"));
  EXPECT_THAT(error_of({.input = tensor(DType::i8, 8, 8, 3), .normalization = Normalization{{0, 0, 0}, {1, 0, 1}}}),
              HasSubstr("std must not be 0"));
  auto unscaled = tensor(DType::i8, 8, 8, 3);
  unscaled.quantization.scale = 0;
  EXPECT_THAT(error_of({.input = unscaled}), HasSubstr("scale 0"));
}

TEST(Preprocess, RejectsBadPicturesAndCrops) {
  std::mt19937 random(5);
  const PreprocessSpec spec{.input = tensor(DType::u8, 8, 8, 3)};
  auto preprocessor = make(spec);
  std::vector<std::byte> out(spec.input.byte_count());
  const auto error_of = [&](const base::ImageView& view, const CropRect& crop = {}) {
    const auto result = preprocessor.run(view, crop, out);
    return result ? std::string() : result.error().message;
  };
  const auto good = random_picture(PixelFormat::nv12, 32, 32, 0, random);
  EXPECT_EQ(error_of(good.view), "");
  EXPECT_THAT(error_of(good.view, {32, 0, 0, 0}), HasSubstr("not inside the picture of 32x32"));
  EXPECT_THAT(error_of(good.view, {4, 4, 29, 1}), HasSubstr("not inside"));
  EXPECT_THAT(error_of(good.view, {4, 4, 0xFFFFFFFF, 1}), HasSubstr("not inside"));
  auto view = good.view;
  view.planes[1].size_bytes -= 1;
  EXPECT_THAT(error_of(view), HasSubstr("plane 1 has 511 bytes"));
  view = good.view;
  view.planes[0].stride_bytes = 31;
  EXPECT_THAT(error_of(view), HasSubstr("plane 0"));
  view = good.view;
  view.planes[1].data = nullptr;
  EXPECT_THAT(error_of(view), HasSubstr("plane 1"));
  view = good.view;
  view.format = PixelFormat::mjpeg;
  EXPECT_THAT(error_of(view), HasSubstr("decode it"));
  view = good.view;
  view.height_px = 0;
  EXPECT_THAT(error_of(view), HasSubstr("32x0"));
  const auto wide = random_picture(PixelFormat::gray8, 1200, 1200, 0, random);
  EXPECT_THAT(error_of(wide.view), HasSubstr("shrinks by more than 128"));
  EXPECT_FALSE(preprocessor.run(good.view, {}, std::span(out).first(10)).has_value());
}

}  // namespace
}  // namespace wayside::accel
