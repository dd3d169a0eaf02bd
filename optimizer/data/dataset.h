// SPDX-License-Identifier: Apache-2.0
// Dataset: labelled pictures of several folders, held in memory at the size that training needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/data/labels.h"
#include "optimizer/data/picture.h"

namespace wayside::optimizer {

/// One folder of pictures. The labels of a/x.jpg are a/x.txt, or, for images/x.jpg, ../labels/x.txt.
/// A picture without a label file has no objects.
struct FolderSpec {
  std::filesystem::path folder;
  double weight = 1;            ///< share of the training samples that come from here, relative to the other folders
  ClassMap classes;             ///< see parse_yolo
  int keep_width_px = 640;      ///< pictures are halved until they are narrower than twice this
  std::size_t limit = 100'000;  ///< at most so many pictures, evenly spaced over the sorted names
};

struct Sample {
  std::string name;
  Picture picture;
  std::vector<LabelBox> boxes;  ///< px of `picture`
};

struct Folder {
  FolderSpec spec;
  std::vector<Sample> samples;  ///< sorted by name, so that a seed means the same everywhere
};

/// Loads one folder (not its sub-folders). Errors: not_found (no such folder or no picture in it), corrupt,
/// unsupported.
base::Result<Folder> load_folder(const FolderSpec& spec);

}  // namespace wayside::optimizer
