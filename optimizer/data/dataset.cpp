// SPDX-License-Identifier: Apache-2.0
// Loading of labelled folders.
#include "optimizer/data/dataset.h"

#include <algorithm>
#include <format>
#include <string_view>
#include <system_error>

namespace wayside::optimizer {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;
using base::Result;

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".bmp";
}

Result<std::vector<fs::path>> list_pictures(const FolderSpec& spec) {
  std::error_code error;
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(spec.folder, error)) {
    if (is_picture(entry.path())) all.push_back(entry.path());
  }
  if (error) return fail(Code::not_found, std::format("folder {}: {}", spec.folder.string(), error.message()));
  if (all.empty()) {
    return fail(Code::not_found, std::format("folder {}: holds no .jpg, .png or .bmp picture", spec.folder.string()));
  }
  std::ranges::sort(all);
  if (all.size() <= spec.limit) return all;
  std::vector<fs::path> spaced;
  for (std::size_t i = 0; i < spec.limit; ++i) spaced.push_back(all[i * all.size() / spec.limit]);
  return spaced;
}

fs::path label_path(const fs::path& picture) {
  fs::path beside = picture;
  beside.replace_extension(".txt");
  if (!fs::exists(beside) && picture.parent_path().filename() == "images") {
    return picture.parent_path().parent_path() / "labels" / beside.filename();
  }
  return beside;
}

Result<Sample> load_sample(const fs::path& path, const FolderSpec& spec) {
  Sample sample;
  sample.name = path.filename().string();
  WAYSIDE_TRY(sample.picture, read_picture(path));
  while (sample.picture.width_px >= 2 * spec.keep_width_px && sample.picture.height_px >= 2) {
    sample.picture = halve(sample.picture);
  }
  const fs::path labels = label_path(path);
  if (!fs::exists(labels)) return sample;
  WAYSIDE_TRY(const auto bytes, read_bytes(labels));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto boxes = parse_yolo(text, sample.picture.width_px, sample.picture.height_px, spec.classes);
  if (!boxes) return std::unexpected(std::move(boxes.error().context(labels.string())));
  sample.boxes = std::move(*boxes);
  return sample;
}

}  // namespace

Result<Folder> load_folder(const FolderSpec& spec) {
  WAYSIDE_TRY(const auto paths, list_pictures(spec));
  Folder folder{.spec = spec, .samples = {}};
  folder.samples.reserve(paths.size());
  for (const auto& path : paths) {
    WAYSIDE_TRY(auto sample, load_sample(path, spec));
    folder.samples.push_back(std::move(sample));
  }
  return folder;
}

}  // namespace wayside::optimizer
