// SPDX-License-Identifier: Apache-2.0
// Manifest: what a model package is, in one signed canonical JSON document (docs/formats/package.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ota/package/refusal.h"
#include "ota/package/variant.h"
#include "ota/store/digest.h"
#include "ota/store/staging_writer.h"

namespace wayside::ota {

inline constexpr std::string_view kManifestType = "wayside-model/1";
/// A firmware package is the same kind of document under a type of its own, so that a signature for one is none for the
/// other: its variants are RAUC bundles, one per board.
inline constexpr std::string_view kFirmwareType = "wayside-firmware/1";
/// The role of every firmware and of nothing else; what installs it, as a Runtime: {"rauc", {"compatible": ...}}.
inline constexpr std::string_view kFirmwareRole = "firmware";
inline constexpr std::string_view kFirmwareInstaller = "rauc";
inline constexpr std::size_t kMaxManifestBytes = 256 * 1024;
inline constexpr std::size_t kMaxFiles = 256;
inline constexpr std::size_t kMaxVariants = 32;
inline constexpr std::size_t kMaxLabels = 1024;
inline constexpr std::size_t kMaxBoards = 64;
inline constexpr std::size_t kMaxProvides = 16;
inline constexpr std::size_t kMaxAccuracyRows = 64;
/// Largest single file and largest sum of all files of one package.
inline constexpr std::uint64_t kMaxPackageFileBytes = std::uint64_t{8} << 30U;
inline constexpr std::uint64_t kMaxPackageBytes = std::uint64_t{16} << 30U;
/// How far ahead of the device's counter a package's may be; stops a stolen key from using up all numbers.
inline constexpr std::uint64_t kMaxCounterStep = 10'000;
/// Clocks of signers and devices may differ by this much.
inline constexpr std::int64_t kClockTolerance_s = 600;

/// What the bench gate holds against; 0: no limit.
struct Limits {
  std::uint64_t p50_us = 0, p99_us = 0, ram_bytes = 0, power_mw = 0;
};

/// Inputs and expected outputs, each a file of `count` tensors one after the other, in the model's own types.
struct Golden {
  std::uint32_t count = 0;
  Digest inputs, outputs;
  std::uint32_t max_abs = 0;         ///< largest difference of one element, in steps of its type
  std::uint32_t mean_abs_milli = 0;  ///< largest mean difference, in thousandths of a step
};

struct Variant {
  std::string id;           ///< unique in the package
  std::string accelerator;  ///< Runtime::accelerator
  Digest file;
  Requirements requires_;
  bool compile = false;  ///< an engine is built from `file` on the board
  Limits limits;
  /// Firmware only: the runtimes of the system in the bundle, in its order of preference. A device whose models have no
  /// variant for them refuses it.
  std::vector<Runtime> provides{};
  /// Where its inputs and outputs have other types or scales than the package's; models only.
  std::optional<Golden> golden{};
};

/// Signed like code: how raw outputs become detections.
struct PostProcess {
  std::string decoder;
  std::uint32_t score_permille = 500, iou_permille = 450, max_detections = 100;
};

/// What was measured where; for people and reports.
struct AccuracyRow {
  std::string variant, dataset, metric;
  std::int64_t value_ppm = 0;
  std::int64_t samples = 0;
};

/// Shadow (old and new on the same frames) and probation (the new one alone, watched). frames == 0: no shadow.
struct Watch {
  std::uint32_t shadow_frames = 0, shadow_one_in = 10, max_disagree_permille = 80;
  std::uint32_t probation_s = 60, min_rate_millihz = 0, max_restarts = 2;
};

struct Manifest {
  std::string name, role;
  std::string version;                 ///< for people: three dotted numbers, then whatever a name may have
  std::uint64_t security_counter = 1;  ///< never falls on a device, and rises only when an older model must not return
  std::int64_t issued_unix_s = 0, expires_unix_s = 0;
  std::vector<std::string> boards;        ///< empty: any board whose runtime fits
  std::map<Digest, std::uint64_t> files;  ///< size of each; there are no names
  std::vector<Variant> variants;          ///< in order of preference
  std::optional<Digest> card;             ///< model card as the agent reads it
  std::vector<std::string> labels;
  PostProcess postprocess;
  Golden golden;  ///< of all variants that have none of their own
  std::vector<AccuracyRow> accuracy;
  Watch watch;

  [[nodiscard]] bool is_firmware() const { return role == kFirmwareRole; }
  /// What its signatures are for.
  [[nodiscard]] std::string_view type() const { return is_firmware() ? kFirmwareType : kManifestType; }
  /// A firmware has no card, labels, golden set, post-processing, accuracy and watch; its variants no limits.
  [[nodiscard]] std::string serialize() const;
  /// From untrusted bytes (signatures not looked at). Refuses everything that is not exactly understood.
  [[nodiscard]] static Checked<Manifest> parse(std::string_view text);
  [[nodiscard]] const Variant* find_variant(std::string_view id) const;
  [[nodiscard]] const Golden& golden_of(const Variant& variant) const {
    return variant.golden ? *variant.golden : golden;
  }
  /// Digests that variants, card and golden set refer to.
  [[nodiscard]] std::set<Digest> referenced() const;
  /// What one variant needs: its file, the card, the golden set.
  [[nodiscard]] std::vector<Blob> blobs_of(const Variant& variant) const;
  [[nodiscard]] std::uint64_t total_bytes() const;
};

/// The type that a canonical document claims; decides which signatures it must have, nothing else.
[[nodiscard]] std::string_view claimed_type(std::string_view manifest);

}  // namespace wayside::ota
