// SPDX-License-Identifier: Apache-2.0
// The class names of the COCO data set, which most public detectors know.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace wayside::agent {

/// Names for a detector of 80 classes (consecutive) or 90 and 91 (COCO's own numbers minus one, with gaps named
/// "unused"); empty for any other count. Source: cocodataset.org, categories of instances_val2017.
[[nodiscard]] std::vector<std::string> coco_labels(std::size_t class_count);

}  // namespace wayside::agent
