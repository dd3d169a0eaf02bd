// SPDX-License-Identifier: Apache-2.0
// wayside-label: makes labelled folders for training: a teacher model labels videos and pictures; COCO files are
// converted; faces and tiles are cut out.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <format>
#include <fstream>
#include <map>
#include <print>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/codec/jpeg_encoder.h"
#include "optimizer/data/dataset.h"
#include "optimizer/data/labels.h"
#include "optimizer/data/mjpeg.h"
#include "optimizer/data/picture.h"
#include "optimizer/label/face_crops.h"
#include "optimizer/label/motion.h"
#include "optimizer/label/ssd_teacher.h"
#include "optimizer/label/tiles.h"
#include "optimizer/tflite/writer.h"

namespace {

using namespace wayside::optimizer;
using wayside::base::Code;
using wayside::base::fail;
using wayside::base::Result;

struct Arguments {
  std::filesystem::path model, source, annotations, out;
  std::size_t first = 0, last = 1'000'000, every = 1;
  float sure = 0.5F, doubtful = 0.3F;
  std::vector<std::string> classes;
  MotionOptions motion;
  std::size_t variants = 0;
  int side_px = 128;
  bool largest = false;
};

/// Boxes that the teacher is sure of become labels, doubtful ones ignored regions.
Result<std::size_t> label_picture(SsdTeacher& teacher, const Arguments& arguments, std::span<const std::uint8_t> jpeg,
                                  const std::filesystem::path& stem) {
  WAYSIDE_TRY(const auto picture, decode_jpeg(jpeg));
  WAYSIDE_TRY(const auto found, teacher.detect(picture, arguments.doubtful));
  std::vector<LabelBox> boxes;
  for (const auto& detection : found) {
    boxes.push_back(detection.box);
    if (detection.score < arguments.sure) boxes.back().class_id = kIgnoreClass;
  }
  WAYSIDE_CHECK(save_file(stem.string() + ".jpg", {jpeg.begin(), jpeg.end()}));
  WAYSIDE_CHECK(write_yolo(stem.string() + ".txt", boxes, picture.width_px, picture.height_px));
  return static_cast<std::size_t>(std::ranges::count_if(boxes, [](const LabelBox& box) { return box.class_id >= 0; }));
}

Result<void> run_teach(const Arguments& arguments) {
  WAYSIDE_TRY(auto teacher, SsdTeacher::create(arguments.model));
  WAYSIDE_TRY(const auto stream, read_bytes(arguments.source));
  auto pictures = split_mjpeg(stream);
  if (!pictures) return std::unexpected(std::move(pictures.error().context(arguments.source.string())));
  std::filesystem::create_directories(arguments.out);
  std::size_t count = 0, boxes = 0;
  for (std::size_t i = arguments.first; i < std::min(arguments.last, pictures->size()); i += arguments.every) {
    WAYSIDE_TRY(const auto labelled,
                label_picture(teacher, arguments, (*pictures)[i], arguments.out / std::format("{:06}", i)));
    ++count;
    boxes += labelled;
    if (count % 50 == 0) std::println("frame {}: {} pictures, {} boxes", i, count, boxes);
  }
  std::println("{}: {} pictures, {} boxes in {}", arguments.source.string(), count, boxes, arguments.out.string());
  return {};
}

Result<void> save_picture(const Picture& picture, const std::string& path) {
  WAYSIDE_TRY(auto encoder, wayside::base::JpegEncoder::create());
  wayside::base::ImageView view{.format = wayside::base::PixelFormat::rgb24,
                                .width_px = static_cast<std::uint32_t>(picture.width_px),
                                .height_px = static_cast<std::uint32_t>(picture.height_px)};
  view.planes[0] = {.data = picture.rgb.data(),
                    .stride_bytes = static_cast<std::size_t>(picture.width_px) * 3,
                    .size_bytes = picture.rgb.size()};
  WAYSIDE_TRY(const auto jpeg, encoder.encode(view, 90));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(jpeg.data());
  return save_file(path, {bytes, bytes + jpeg.size()});
}

/// Upright crops of the faces: NAME.jpg of the largest one (its variants NAME-1.jpg and so on), or NAME-0.jpg and so on
/// of all; the variants shifted by up to 4 % of the crop.
Result<std::size_t> save_faces(FaceFinder& finder, const Arguments& arguments, const Picture& picture,
                               const std::string& name) {
  auto faces = finder.find(picture, arguments.sure, !arguments.largest);
  if (arguments.largest && !faces.empty())
    faces = {*std::ranges::max_element(faces, {}, [](const Face& face) { return height(face.box); })};
  std::size_t count = 0;
  std::seed_seq seed(name.begin(), name.end());
  std::mt19937_64 random(seed);
  const auto shift = [&] { return 0.04 * arguments.side_px * (static_cast<double>(random() >> 11) * 0x1.0p-52 - 1); };
  for (std::size_t i = 0; i < faces.size(); ++i) {
    for (std::size_t v = 0; v <= arguments.variants; ++v, ++count) {
      const Point moved = v == 0 ? Point{} : Point{shift(), shift()};
      const std::string suffix = arguments.largest && v == 0 ? "" : std::format("-{}", count);
      WAYSIDE_CHECK(save_picture(cut_face(picture, faces[i].landmarks, arguments.side_px, moved),
                                 (arguments.out / (name + suffix + ".jpg")).string()));
    }
  }
  return count;
}

Result<void> run_faces(const Arguments& arguments) {
  WAYSIDE_TRY(auto finder, FaceFinder::create(arguments.model));
  std::filesystem::create_directories(arguments.out);
  std::size_t pictures = 0, crops = 0;
  const auto take = [&](const Picture& picture, const std::string& name) -> Result<void> {
    WAYSIDE_TRY(const std::size_t count, save_faces(finder, arguments, picture, name));
    if (count == 0) std::println(stderr, "{}: no face", name);
    ++pictures;
    crops += count;
    return {};
  };
  if (arguments.source.extension() == ".mjpeg") {
    WAYSIDE_TRY(const auto stream, read_bytes(arguments.source));
    WAYSIDE_TRY(const auto frames, split_mjpeg(stream));
    for (std::size_t i = arguments.first; i < std::min(arguments.last, frames.size()); i += arguments.every) {
      WAYSIDE_TRY(const auto picture, decode_jpeg(frames[i]));
      WAYSIDE_CHECK(take(picture, std::format("{:06}", i)));
    }
  } else {
    WAYSIDE_TRY(const auto folder, load_folder({.folder = arguments.source, .classes = {}, .keep_width_px = 1 << 14}));
    for (const auto& sample : folder.samples)
      WAYSIDE_CHECK(take(sample.picture, std::filesystem::path(sample.name).stem().string()));
  }
  std::println("{}: {} pictures, {} crops in {}", arguments.source.string(), pictures, crops, arguments.out.string());
  return {};
}

/// NAME-0.jpg and so on of each picture, with the labels of what lies in them.
Result<void> run_tiles(const Arguments& arguments) {
  WAYSIDE_TRY(const auto folder, load_folder({.folder = arguments.source, .classes = {}, .keep_width_px = 1 << 14}));
  std::filesystem::create_directories(arguments.out);
  std::size_t count = 0, whole = 0, cut = 0;
  for (const auto& sample : folder.samples) {
    const auto tiles = cut_tiles(sample.picture, sample.boxes, arguments.side_px);
    const std::string name = std::filesystem::path(sample.name).stem().string();
    for (std::size_t i = 0; i < tiles.size(); ++i, ++count) {
      const auto& [picture, x0_px, y0_px, boxes] = tiles[i];
      const std::string path = (arguments.out / std::format("{}-{}", name, i)).string();
      WAYSIDE_CHECK(save_picture(picture, path + ".jpg"));
      WAYSIDE_CHECK(write_yolo(path + ".txt", boxes, picture.width_px, picture.height_px));
      for (const auto& box : boxes) ++(box.class_id == kIgnoreClass ? cut : whole);
    }
  }
  std::println("{}: {} tiles, {} boxes, {} more ignored in {}", arguments.source.string(), count, whole, cut,
               arguments.out.string());
  return {};
}

/// Further pictures of a frame: what moves in a random colour, every second one turned by 180 degrees.
Result<void> save_variants(const MotionLabeller& labeller, const Picture& picture, const std::vector<LabelBox>& boxes,
                           const Arguments& arguments, std::size_t frame, const std::string& stem) {
  const float width_px = static_cast<float>(picture.width_px), height_px = static_cast<float>(picture.height_px);
  for (std::size_t v = 0; v < arguments.variants; ++v) {
    std::mt19937_64 random(frame * 1000 + v);
    std::array<double, 3> colour{};
    for (auto& channel : colour) channel = 0.1 + 0.9 * static_cast<double>(random() >> 11) * 0x1.0p-53;
    Picture painted = labeller.repaint(picture, colour);
    auto moved = boxes;
    if (v % 2 == 1) {
      for (auto& box : moved)
        box = {width_px - box.x1, height_px - box.y1, width_px - box.x0, height_px - box.y0, box.class_id};
      const Picture upright = painted;
      const std::size_t count = upright.rgb.size() / 3;
      for (std::size_t i = 0; i < count; ++i) std::copy_n(&upright.rgb[3 * (count - 1 - i)], 3, &painted.rgb[3 * i]);
    }
    const std::string path = std::format("{}-{}", stem, v);
    WAYSIDE_CHECK(save_picture(painted, path + ".jpg"));
    WAYSIDE_CHECK(write_yolo(path + ".txt", moved, picture.width_px, picture.height_px));
  }
  return {};
}

/// A car park or a gate seen by a fixed camera: what moves is labelled, with the whole recording as background.
Result<void> run_motion(const Arguments& arguments) {
  WAYSIDE_TRY(const auto stream, read_bytes(arguments.source));
  auto pictures = split_mjpeg(stream);
  if (!pictures) return std::unexpected(std::move(pictures.error().context(arguments.source.string())));
  std::vector<Picture> frames;
  const std::size_t spacing = std::max<std::size_t>(1, pictures->size() / MotionLabeller::kMaxBackgroundFrames);
  for (std::size_t i = 0; i < pictures->size(); i += spacing) {
    WAYSIDE_TRY(auto frame, decode_jpeg((*pictures)[i]));
    frames.push_back(std::move(frame));
  }
  WAYSIDE_TRY(const auto labeller, MotionLabeller::create(frames, arguments.motion));
  std::filesystem::create_directories(arguments.out);
  std::size_t count = 0, boxes = 0;
  for (std::size_t i = arguments.first; i < std::min(arguments.last, pictures->size()); i += arguments.every) {
    const auto jpeg = (*pictures)[i];
    WAYSIDE_TRY(const auto picture, decode_jpeg(jpeg));
    const auto found = labeller.label(picture);
    const std::string stem = (arguments.out / std::format("{:06}", i)).string();
    WAYSIDE_CHECK(save_file(stem + ".jpg", {jpeg.begin(), jpeg.end()}));
    WAYSIDE_CHECK(write_yolo(stem + ".txt", found, picture.width_px, picture.height_px));
    if (!found.empty()) WAYSIDE_CHECK(save_variants(labeller, picture, found, arguments, i, stem));
    ++count;
    boxes += static_cast<std::size_t>(std::ranges::count_if(found, [](const auto& box) { return box.class_id >= 0; }));
  }
  std::println("{}: {} pictures, {} boxes in {}", arguments.source.string(), count, boxes, arguments.out.string());
  return {};
}

/// "vehicle=1" pairs: category name to class number.
Result<std::map<std::string, int>> parse_classes(const std::vector<std::string>& pairs) {
  std::map<std::string, int> classes;
  for (const auto& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals + 2 != pair.size() || pair[equals + 1] < '0' || pair[equals + 1] > '9') {
      return fail(Code::invalid_argument, std::format("--class {}: expected NAME=DIGIT", pair));
    }
    classes[pair.substr(0, equals)] = pair[equals + 1] - '0';
  }
  return classes;
}

/// Throws nlohmann::json::exception on a file that is not COCO's format; main() reports it.
Result<void> run_coco(const Arguments& arguments) {
  WAYSIDE_TRY(const auto classes, parse_classes(arguments.classes));
  WAYSIDE_TRY(const auto bytes, read_bytes(arguments.annotations));
  const auto root = nlohmann::json::parse(bytes.begin(), bytes.end());
  std::map<int, int> class_of;
  for (const auto& category : root.at("categories")) {
    const auto known = classes.find(category.at("name").get<std::string>());
    if (known != classes.end()) class_of[category.at("id").get<int>()] = known->second;
  }
  std::filesystem::create_directories(arguments.out);
  for (const auto& image : root.at("images")) {
    const std::filesystem::path name = std::filesystem::path(image.at("file_name").get<std::string>()).filename();
    WAYSIDE_TRY(const auto picture, read_bytes(arguments.source / name));
    std::vector<LabelBox> boxes;
    for (const auto& note : root.at("annotations")) {
      if (note.at("image_id") != image.at("id") || !class_of.contains(note.at("category_id").get<int>())) continue;
      const auto box = note.at("bbox").get<std::vector<float>>();
      if (box.size() != 4)
        return fail(Code::corrupt, std::format("{}: a bbox has not four numbers", arguments.annotations.string()));
      boxes.push_back({box[0], box[1], box[0] + box[2], box[1] + box[3], class_of[note.at("category_id").get<int>()]});
    }
    WAYSIDE_CHECK(save_file(arguments.out / name, picture));
    WAYSIDE_CHECK(write_yolo((arguments.out / name).replace_extension(".txt"), boxes, image.at("width").get<int>(),
                             image.at("height").get<int>()));
  }
  std::println("{}: {} pictures in {}", arguments.annotations.string(), root.at("images").size(),
               arguments.out.string());
  return {};
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Makes labelled folders for training.");
  Arguments arguments;
  app.require_subcommand(1);
  auto* teach = app.add_subcommand("teach", "label the frames of an MJPEG video with a COCO-trained SSD");
  teach->add_option("--model", arguments.model, "the teacher (.tflite)")->required();
  auto* motion = app.add_subcommand("motion", "label what moves in the MJPEG video of a fixed camera");
  motion->add_option("--class", arguments.motion.class_id, "class number of what moves")->check(CLI::Range(0, 99));
  motion->add_option("--threshold", arguments.motion.threshold, "least difference to the background")
      ->check(CLI::Range(1, 254));
  motion->add_option("--variants", arguments.variants, "further pictures a frame, what moves in other colours")
      ->check(CLI::Range(0, 100));
  for (auto* video : {teach, motion}) {
    video->add_option("--video", arguments.source, "MJPEG stream")->required();
    video->add_option("--out", arguments.out, "folder to fill")->required();
    video->add_option("--first", arguments.first, "first frame");
    video->add_option("--last", arguments.last, "one past the last frame");
    video->add_option("--every", arguments.every, "take every n-th frame")->check(CLI::PositiveNumber);
  }
  teach->add_option("--sure", arguments.sure, "score from which a detection becomes a label");
  teach->add_option("--doubtful", arguments.doubtful, "score from which it becomes an ignored region");
  auto* coco = app.add_subcommand("coco", "convert a COCO annotation file and its pictures");
  coco->add_option("--annotations", arguments.annotations, "annotation file (.json)")->required();
  coco->add_option("--pictures", arguments.source, "folder of the pictures")->required();
  coco->add_option("--out", arguments.out, "folder to fill")->required();
  coco->add_option("--class", arguments.classes, "CATEGORY=NUMBER; others are dropped")->required();
  auto* faces = app.add_subcommand("faces", "cut out faces, upright and centred, for face recognisers");
  faces->add_option("--model", arguments.model, "YuNet (.onnx)")->required();
  faces->add_option("--source", arguments.source, "folder of pictures, or .mjpeg stream")->required();
  faces->add_option("--out", arguments.out, "folder to fill")->required();
  faces->add_option("--every", arguments.every, "of a stream: take every n-th frame")->check(CLI::PositiveNumber);
  faces->add_option("--score", arguments.sure, "least score of a face (0.5)")->check(CLI::Range(0.0, 1.0));
  faces->add_option("--side", arguments.side_px, "px of a crop (128)")->check(CLI::Range(16, 1024));
  faces->add_option("--variants", arguments.variants, "further crops of each face, slightly shifted")
      ->check(CLI::Range(0, 100));
  faces->add_flag("--largest", arguments.largest, "only the largest face of each picture, under the picture's name");
  auto* tiles = app.add_subcommand(
      "tiles", "cut pictures into overlapping squares with their labels; what an edge cuts is ignored (class -1)");
  tiles->add_option("--source", arguments.source, "folder of pictures, with YOLO labels or without")->required();
  tiles->add_option("--out", arguments.out, "folder to fill")->required();
  tiles->add_option("--side", arguments.side_px, "px of a tile (128); neighbours overlap by a quarter")
      ->check(CLI::Range(16, 4096));
  CLI11_PARSE(app, argc, argv);
  const auto result = *teach    ? run_teach(arguments)
                      : *motion ? run_motion(arguments)
                      : *faces  ? run_faces(arguments)
                      : *tiles  ? run_tiles(arguments)
                                : run_coco(arguments);
  if (result) return 0;
  std::println(stderr, "wayside-label: {}", result.error().message);
  return 1;
} catch (const std::exception& error) {  // nlohmann::json and std::filesystem throw; this is their shim
  std::println(stderr, "wayside-label: {}", error.what());
  return 1;
}
