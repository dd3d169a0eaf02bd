// SPDX-License-Identifier: Apache-2.0
// Puts a package's files into the folder that chunk servers read, with deltas from what the devices have.
#pragma once

#include <span>

#include "fleet/cost/cost_preview.h"
#include "ota/package/container.h"

namespace wayside::fleet {

/// A whole file of the repository. Errors: not_found, corrupt.
base::Result<ota::Bytes> read_published(ota::Repository& repository, const ota::Digest& blob);

/// Publishes every file of `head` (read by `read`), and deltas from the models that most of `devices` have, as far as
/// the repository knows them (at most kMaxBases for each variant). Doing it again does nothing. Memory: two models.
base::Result<void> publish_package(const ota::ContainerHead& head, const ota::Manifest& manifest,
                                   const ota::BlobReader& read, std::span<const KnownDevice> devices,
                                   ota::Repository& repository);

}  // namespace wayside::fleet
