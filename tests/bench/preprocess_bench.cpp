// SPDX-License-Identifier: Apache-2.0
// Pre-processing against the best way with libyuv, interleaved in one run: NV12 1080p to int8 NHWC, one thread.
// Usage: preprocess_bench [ROUNDS [FRAMES]]; FRAMES 1 keeps the picture in the caches. Prints Markdown; compare minima
// and the per-round ratios, not medians.
#include <libyuv.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "accel/preprocess/preprocess.h"

namespace {

using wayside::accel::CropRect;
using wayside::accel::Fit;
using wayside::accel::Preprocessor;
using wayside::accel::PreprocessSpec;
using wayside::base::ImageView;
using wayside::base::PixelFormat;

constexpr int kWidth = 1920, kHeight = 1080;
/// 24 frames are 75 MB: every frame comes from memory, as from a camera, and not from the caches.
constexpr unsigned kFrameCount = 24;

struct Frame {
  std::vector<std::uint8_t> luma, chroma;
};

/// A picture of blobs with some noise: neither constant (saturation) nor white noise.
Frame make_frame(unsigned seed) {
  std::mt19937 random(seed);
  Frame frame{std::vector<std::uint8_t>(std::size_t{kWidth} * kHeight),
              std::vector<std::uint8_t>(std::size_t{kWidth} * kHeight / 2)};
  for (auto* plane : {&frame.luma, &frame.chroma}) {
    for (std::size_t i = 0; i < plane->size(); ++i) {
      (*plane)[i] = static_cast<std::uint8_t>(64 + (i / 37 + i / kWidth * 3 + seed * 11) % 128 + random() % 16);
    }
  }
  return frame;
}

ImageView view_of(const Frame& frame) {
  ImageView view{.format = PixelFormat::nv12, .width_px = kWidth, .height_px = kHeight};
  view.planes[0] = {.data = frame.luma.data(), .stride_bytes = kWidth, .size_bytes = frame.luma.size()};
  view.planes[1] = {.data = frame.chroma.data(), .stride_bytes = kWidth, .size_bytes = frame.chroma.size()};
  return view;
}

PreprocessSpec spec_of(int side, Fit fit) {
  PreprocessSpec spec;
  spec.input = {.name = "input",
                .type = wayside::accel::DType::i8,
                .shape = {1, side, side, 3},
                .quantization = {1.0F / 255, -128}};
  spec.fit = fit;
  return spec;
}

struct Variant {
  std::string name;
  std::function<void(const Frame&)> run;
  std::vector<double> times_ms{};
};

/// What a careful user of libyuv writes: scale in NV12, convert the small picture, flip the sign bit.
class LibyuvWay {
 public:
  LibyuvWay(int side, Fit fit, libyuv::FilterMode filter) : side_(side), filter_(filter) {
    height_ = fit == Fit::letterbox ? (side * kHeight / kWidth + 1) / 2 * 2 : side;
    luma_.resize(static_cast<std::size_t>(side_ * height_));
    chroma_.resize(luma_.size() / 2 + static_cast<std::size_t>(side_));
    rgb_.resize(luma_.size() * 3);
    out_.resize(static_cast<std::size_t>(side * side * 3));
  }
  void operator()(const Frame& frame) {
    libyuv::NV12Scale(frame.luma.data(), kWidth, frame.chroma.data(), kWidth, kWidth, kHeight, luma_.data(), side_,
                      chroma_.data(), side_, side_, height_, filter_);
    libyuv::NV12ToRAW(luma_.data(), side_, chroma_.data(), side_, rgb_.data(), side_ * 3, side_, height_);
    const std::size_t bar = (out_.size() - rgb_.size()) / 2;
    std::memset(out_.data(), 114 ^ 0x80, bar);
    for (std::size_t i = 0; i < rgb_.size(); ++i) out_[bar + i] = rgb_[i] ^ 0x80;
    std::memset(out_.data() + bar + rgb_.size(), 114 ^ 0x80, out_.size() - bar - rgb_.size());
  }

 private:
  int side_, height_ = 0;
  libyuv::FilterMode filter_;
  std::vector<std::uint8_t> luma_, chroma_, rgb_, out_;
};

class OurWay {
 public:
  OurWay(int side, Fit fit, const char* level)
      : preprocessor_(std::move(*Preprocessor::create(spec_of(side, fit)))),
        out_(static_cast<std::size_t>(side * side * 3)) {
    usable_ = preprocessor_.set_level(level);
  }
  [[nodiscard]] bool usable() const { return usable_; }
  void operator()(const Frame& frame) {
    if (!preprocessor_.run(view_of(frame), CropRect{}, std::as_writable_bytes(std::span(out_)))) std::abort();
  }

 private:
  Preprocessor preprocessor_;
  std::vector<std::uint8_t> out_;
  bool usable_ = false;
};

/// A detector's 320x320, a classifier's 96x96 and two crops of 64x64 from one frame.
class ManyWays {
 public:
  explicit ManyWays(bool together) : together_(together) {
    const int sides[] = {320, 96, 64, 64};
    const CropRect crops[] = {{}, {}, {200, 300, 240, 500}, {1200, 400, 300, 600}};
    preprocessors_.reserve(std::size(sides));
    tensors_.reserve(std::size(sides));
    for (std::size_t i = 0; i < std::size(sides); ++i) {
      preprocessors_.push_back(std::move(*Preprocessor::create(spec_of(sides[i], Fit::letterbox))));
      tensors_.emplace_back(static_cast<std::size_t>(sides[i] * sides[i] * 3));
      jobs_.push_back({.preprocessor = &preprocessors_[i], .crop = crops[i], .tensor = tensors_[i]});
    }
  }
  void operator()(const Frame& frame) {
    const auto view = view_of(frame);
    if (together_) {
      if (!Preprocessor::run_together(view, jobs_)) std::abort();
      return;
    }
    for (auto& job : jobs_) {
      if (!job.preprocessor->run(view, job.crop, job.tensor)) std::abort();
    }
  }

 private:
  bool together_;
  std::vector<Preprocessor> preprocessors_;
  std::vector<std::vector<std::byte>> tensors_;
  std::vector<Preprocessor::Job> jobs_;
};

volatile std::uint64_t g_sink;

void read_only(const Frame& frame) {
  std::uint64_t sum = 0;
  for (const auto* plane : {&frame.luma, &frame.chroma}) {
    const auto* words = reinterpret_cast<const std::uint64_t*>(plane->data());
    for (std::size_t i = 0; i < plane->size() / 8; ++i) sum ^= words[i];
  }
  g_sink = sum;
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

void run_interleaved(std::vector<Variant>& variants, int rounds, const std::vector<Frame>& frames) {
  std::size_t next = 0;
  for (int round = 0; round < rounds; ++round) {
    for (auto& variant : variants) {
      const auto& frame = frames[next++ % frames.size()];
      const auto start = std::chrono::steady_clock::now();
      variant.run(frame);
      variant.times_ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
  }
}

void measure(int side, Fit fit, int rounds, const std::vector<Frame>& frames) {
  std::vector<Variant> variants;
  variants.push_back({"read the frame only (floor)", read_only});
  variants.push_back({"libyuv NV12Scale bilinear, NV12ToRAW, s8", LibyuvWay(side, fit, libyuv::kFilterBilinear)});
  variants.push_back({"libyuv NV12Scale box, NV12ToRAW, s8", LibyuvWay(side, fit, libyuv::kFilterBox)});
  for (const char* level : {"scalar", "avx2", "neon"}) {
    const auto ours = std::make_shared<OurWay>(side, fit, level);
    if (ours->usable())
      variants.push_back({std::string("wayside ") + level, [ours](const Frame& frame) { (*ours)(frame); }});
  }
  run_interleaved(variants, rounds, frames);
  std::printf(
      "\n%dx%d, %s, %d rounds\n\n| way | min ms | median ms | p95 ms | best / libyuv bilinear | / libyuv box "
      "|\n|---|---|---|---|---|---|\n",
      side, side, fit == Fit::letterbox ? "letterbox" : "stretch", rounds);
  const auto low = [](const Variant& variant) { return quantile(variant.times_ms, 0); };
  for (const auto& variant : variants) {
    std::printf("| %s | %.3f | %.3f | %.3f | %.2fx | %.2fx |\n", variant.name.c_str(), low(variant),
                quantile(variant.times_ms, 0.5), quantile(variant.times_ms, 0.95), low(variants[1]) / low(variant),
                low(variants[2]) / low(variant));
  }
}

void measure_together(int rounds, const std::vector<Frame>& frames) {
  std::vector<Variant> variants;
  variants.push_back({"read the frame only (floor)", read_only});
  for (const bool together : {false, true}) {
    const auto ways = std::make_shared<ManyWays>(together);
    variants.push_back(
        {together ? "in one pass" : "one after the other", [ways](const Frame& frame) { (*ways)(frame); }});
  }
  run_interleaved(variants, rounds, frames);
  std::printf(
      "\n320x320, 96x96 and two crops of 64x64 of one frame, letterbox, %d rounds\n\n| way | min ms | median ms "
      "|\n|---|---|---|\n",
      rounds);
  for (const auto& variant : variants) {
    std::printf("| %s | %.3f | %.3f |\n", variant.name.c_str(), quantile(variant.times_ms, 0),
                quantile(variant.times_ms, 0.5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 120;
  std::vector<Frame> frames;
  const unsigned count = argc > 2 ? static_cast<unsigned>(std::max(1, std::atoi(argv[2]))) : kFrameCount;
  for (unsigned i = 0; i < count; ++i) frames.push_back(make_frame(i));
  std::printf("NV12 %dx%d -> int8 NHWC, 1 thread, libyuv %d\n", kWidth, kHeight, LIBYUV_VERSION);
  for (const auto fit : {Fit::stretch, Fit::letterbox}) {
    for (const int side : {320, 640}) measure(side, fit, rounds, frames);
  }
  measure_together(rounds, frames);
}
