// SPDX-License-Identifier: Apache-2.0
// render_scenes: writes pictures of many random streets with labels, to train detectors on.
//
// For picture NNNNNN: NNNNNN.jpg or .ppm; NNNNNN.txt with lines "class cx cy w h" (0 person, 1 car, 2 truck or bus,
// 3 two_wheeler; fractions of the picture); NNNNNN.plates.txt with lines "cx cy w h TEXT".
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <format>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "base/codec/jpeg_encoder.h"
#include "drivers/camera/synthetic/scene.h"

namespace wayside::drivers::synthetic {
namespace {

constexpr float kLeastVisible = 0.3F;  // what is hidden more than this is not labelled
constexpr float kLeastSide_px = 8;     // nor what is smaller
constexpr float kLeastPlateVisible = 0.7F;

struct Arguments {
  std::filesystem::path out;
  std::uint64_t count = 0, seed = 1;
  int width_px = 640, height_px = 360;
  std::uint64_t frames_per_scene = 2;
  bool jpeg = true;
  bool live = false;
};

template <class T>
bool read(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

base::Result<Arguments> parse(int argc, char** argv) {
  Arguments a;
  const auto bad = [](std::string message) { return base::fail(base::Code::invalid_argument, std::move(message)); };
  for (int i = 1; i < argc; ++i) {
    const std::string_view key = argv[i];
    if (key == "--live") {
      a.live = true;
      continue;
    }
    if (i + 1 == argc) return bad(std::format("{} needs a value", key));
    const std::string_view value = argv[++i];
    bool good = true;
    if (key == "--out")
      a.out = value;
    else if (key == "--count")
      good = read(value, a.count) && a.count > 0 && a.count <= 1'000'000;
    else if (key == "--seed")
      good = read(value, a.seed);
    else if (key == "--frames-per-scene")
      good = read(value, a.frames_per_scene) && a.frames_per_scene > 0;
    else if (key == "--size") {
      const auto cut = value.find('x');
      good = cut != value.npos && read(value.substr(0, cut), a.width_px) && read(value.substr(cut + 1), a.height_px) &&
             a.width_px % 2 == 0 && a.height_px % 2 == 0 && a.width_px >= 160 && a.height_px >= 120 &&
             a.width_px <= 1920 && a.height_px <= 1080;
    } else if (key == "--format") {
      good = value == "jpg" || value == "ppm";
      a.jpeg = value == "jpg";
    } else {
      return bad(std::format(
          "unknown option '{}'; known: --out --count --seed --size --format --frames-per-scene --live", key));
    }
    if (!good) return bad(std::format("{} {}: not a valid value", key, value));
  }
  if (a.out.empty() || a.count == 0)
    return bad(
        "usage: render_scenes --out DIR --count N [--seed S] [--size WxH] [--format jpg|ppm] [--frames-per-scene K] "
        "[--live]");
  return a;
}

/// BT.601 limited range to RGB in 8-bit fixed point (inverse of ITU-R BT.601-7).
std::string to_ppm(const std::vector<std::uint8_t>& nv12, int w, int h) {
  std::string out = std::format("P6\n{} {}\n255\n", w, h);
  const auto byte = [](int v) { return static_cast<char>(static_cast<unsigned char>(std::min(std::max(v, 0), 255))); };
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const int c = 298 * (nv12[static_cast<std::size_t>(y * w + x)] - 16) + 128;
      const auto uv = static_cast<std::size_t>(w * h + y / 2 * w + (x & ~1));
      const int d = nv12[uv] - 128, e = nv12[uv + 1] - 128;
      out += byte((c + 409 * e) >> 8);
      out += byte((c - 100 * d - 208 * e) >> 8);
      out += byte((c + 516 * d) >> 8);
    }
  }
  return out;
}

base::Result<void> save(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return base::fail_errno(std::format("write {}", path.string()));
  return {};
}

base::Result<void> save_labels(const std::filesystem::path& stem, const std::vector<TruthBox>& truth,
                               std::span<const PlateText> plates, int w, int h) {
  std::string objects, plate_lines;
  std::size_t plate = 0;
  for (const TruthBox& box : truth) {
    const auto width = static_cast<float>(w), height = static_cast<float>(h);
    const float bw = box.x1_px - box.x0_px, bh = box.y1_px - box.y0_px;
    const std::string place = std::format("{:.6f} {:.6f} {:.6f} {:.6f}", (box.x0_px + bw / 2) / width,
                                          (box.y0_px + bh / 2) / height, bw / width, bh / height);
    if (box.class_id == 4) {
      const PlateText& text = plates[plate++];
      if (box.visible_fraction >= kLeastPlateVisible) plate_lines += std::format("{} {}\n", place, text.text.data());
    } else if (box.visible_fraction >= kLeastVisible && std::max(bw, bh) >= kLeastSide_px) {
      objects += std::format("{} {}\n", box.class_id, place);
    }
  }
  WAYSIDE_CHECK(save(stem.string() + ".txt", objects));
  return save(stem.string() + ".plates.txt", plate_lines);
}

base::Result<void> run(const Arguments& a) {
  std::error_code error;
  std::filesystem::create_directories(a.out, error);
  if (error) return base::fail(base::Code::io, std::format("create {}: {}", a.out.string(), error.message()));
  WAYSIDE_TRY(base::JpegEncoder encoder, base::JpegEncoder::create());
  std::vector<std::uint8_t> nv12(static_cast<std::size_t>(a.width_px * a.height_px * 3 / 2));
  std::vector<TruthBox> truth;
  std::unique_ptr<Scene> scene;
  Random random(mix(a.seed, 0x5CE9E));
  for (std::uint64_t i = 0; i < a.count; ++i) {
    if (i % a.frames_per_scene == 0)
      scene = std::make_unique<Scene>(SceneOptions{.seed = mix(a.seed, i),
                                                   .width_px = a.width_px,
                                                   .height_px = a.height_px,
                                                   .variety = a.live ? Variety::live : Variety::varied});
    const std::size_t luma_bytes = nv12.size() * 2 / 3;
    scene->render(random.next() % 1'000'000, {nv12.data(), nv12.data() + luma_bytes}, truth);
    const std::filesystem::path stem = a.out / std::format("{:06}", i);
    if (a.jpeg) {
      base::ImageView image;
      image.format = base::PixelFormat::nv12;
      image.width_px = static_cast<std::uint32_t>(a.width_px);
      image.height_px = static_cast<std::uint32_t>(a.height_px);
      image.planes[0] = {nv12.data(), image.width_px, luma_bytes, -1};
      image.planes[1] = {nv12.data() + luma_bytes, image.width_px, luma_bytes / 2, -1};
      WAYSIDE_TRY(const auto bytes, encoder.encode(image, 70 + random.below(26)));
      WAYSIDE_CHECK(save(stem.string() + ".jpg", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    } else {
      WAYSIDE_CHECK(save(stem.string() + ".ppm", to_ppm(nv12, a.width_px, a.height_px)));
    }
    WAYSIDE_CHECK(save_labels(stem, truth, scene->plates(), a.width_px, a.height_px));
  }
  return {};
}

}  // namespace
}  // namespace wayside::drivers::synthetic

int main(int argc, char** argv) {
  using namespace wayside::drivers::synthetic;
  const auto arguments = parse(argc, argv);
  if (!arguments) {
    std::cerr << "render_scenes: " << arguments.error().message << '\n';
    return 2;
  }
  const auto done = run(*arguments);
  if (!done) {
    std::cerr << "render_scenes: " << done.error().message << '\n';
    return 1;
  }
  return 0;
}
