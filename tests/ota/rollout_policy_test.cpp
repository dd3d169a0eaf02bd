// SPDX-License-Identifier: Apache-2.0
// The policy: JSON there and back, damaged documents, windows, and what a device admits.
#include "ota/rollout_policy.h"

#include <gtest/gtest.h>

#include <format>

#include "ota/rollout_wave.h"

namespace wayside::ota {
namespace {

using Verdict = Admission::Verdict;
constexpr std::int64_t kDay_s = 86'400;

RolloutPolicy good_policy() {
  RolloutPolicy policy;
  policy.id = "2026w36-det";
  policy.salt = "a";
  policy.role = "detector";
  policy.target_name = "street";
  policy.target_version = "2.0.0";
  policy.manifest_sha256 = std::string(64, 'a');
  policy.waves = {{.permille = 10, .soak_s = 3600}, {.permille = 500, .soak_s = 7200}, {.permille = 1000, .soak_s = 0}};
  policy.windows = {{.from_min = 22 * 60, .to_min = 5 * 60}};
  policy.not_before_unix_s = 1'000 * kDay_s;
  policy.expires_unix_s = 1'010 * kDay_s;
  return policy;
}

/// A device of the wanted wave.
std::string device_of_wave(const RolloutPolicy& policy, std::size_t wanted) {
  const auto bounds = wave_bounds(policy);
  for (int i = 0;; ++i) {
    auto id = std::format("dev-{}", i);
    if (wave_of(rollout_position(id, policy.id, policy.salt), bounds) == wanted) return id;
  }
}

TEST(RolloutPolicy, JsonThereAndBack) {
  const auto text = to_json(good_policy());
  const auto parsed = parse_rollout_policy(text);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_json(*parsed), text);
  EXPECT_EQ(parsed->waves.size(), 3U);
  EXPECT_EQ(parsed->waves[1].soak_s, 7200);
  EXPECT_EQ(to_string(parsed->windows.at(0)), "22:00-05:00");
}

std::vector<std::string> fleet_of(int devices) {
  std::vector<std::string> ids;
  for (int i = 0; i < devices; ++i) ids.push_back(std::format("dev-{:06}", i));
  return ids;
}

std::vector<std::uint64_t> wave_sizes(const RolloutPolicy& policy, const std::vector<std::string>& ids) {
  std::vector<std::uint64_t> sizes(policy.waves.size() + 1);  // the last: left out
  const auto bounds = wave_bounds(policy);
  for (const auto& id : ids)
    ++sizes[wave_of(rollout_position(id, policy.id, policy.salt), bounds).value_or(policy.waves.size())];
  return sizes;
}

using Sizes = std::vector<std::uint64_t>;

TEST(RolloutPolicy, WavesAreCutToTheDevice) {
  for (int run = 0; run < 20; ++run) {
    auto policy = good_policy();
    policy.id = std::format("r{}", run);
    policy.waves = {{.permille = 10}, {.permille = 100}, {.permille = 500}, {.permille = 1000}};
    const auto fleet = fleet_of(10'000);
    cut_waves(policy, fleet);
    ASSERT_TRUE(check(policy)) << check(policy).error().message;
    EXPECT_EQ(wave_sizes(policy, fleet), (Sizes{100, 900, 4000, 5000, 0})) << policy.id;
    const auto parsed = parse_rollout_policy(to_json(policy));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(wave_bounds(*parsed), wave_bounds(policy));
  }
}

TEST(RolloutPolicy, AFirstWaveIsNeverEmpty) {
  auto policy = good_policy();
  policy.waves = {{.permille = 10}, {.permille = 100}, {.permille = 500}};
  for (const int devices : {1, 2, 3, 5, 7, 12, 99}) {
    const auto fleet = fleet_of(devices);
    cut_waves(policy, fleet);
    ASSERT_TRUE(check(policy)) << devices << ": " << check(policy).error().message;
    const auto sizes = wave_sizes(policy, fleet);
    EXPECT_EQ(sizes[0], 1U) << devices;
    EXPECT_EQ(sizes[0] + sizes[1] + sizes[2], (static_cast<std::uint64_t>(devices) + 1) / 2) << devices;
  }
}

TEST(RolloutPolicy, ABoundFarFromItsPercentageIsRefused) {
  auto policy = good_policy();
  cut_waves(policy, fleet_of(10'000));
  const auto refused = [&](auto change) {
    auto bad = policy;
    change(bad);
    return !check(bad) && !parse_rollout_policy(to_json(bad));
  };
  EXPECT_FALSE(refused([](RolloutPolicy&) {}));
  EXPECT_TRUE(refused([](RolloutPolicy& bad) { bad.waves[0].below = kPositionCount / 50; })) << "2 % called 1 %";
  EXPECT_TRUE(refused([](RolloutPolicy& bad) { bad.waves[0].below = kPositionCount; })) << "all called 1 %";
  EXPECT_TRUE(refused([](RolloutPolicy& bad) { bad.waves[0].below = 0; }));
  EXPECT_TRUE(refused([](RolloutPolicy& bad) { bad.waves[2].below = kPositionCount + 1; }));
  EXPECT_TRUE(refused([](RolloutPolicy& bad) { std::swap(bad.waves[0].below, bad.waves[1].below); }));
  auto without = policy;
  without.devices = 0;
  EXPECT_FALSE(check(without));
}

TEST(RolloutPolicy, WithoutAFleetTheBoundsFollowThePercentages) {
  const auto policy = good_policy();
  EXPECT_FALSE(to_json(policy).contains("below"));
  EXPECT_EQ(wave_bounds(policy), (Sizes{42'949'673, kPositionCount / 2, kPositionCount}));
}

TEST(RolloutPolicy, EveryTruncationIsRefused) {
  const auto text = to_json(good_policy());
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_rollout_policy(text.substr(0, length))) << length;
}

TEST(RolloutPolicy, EveryFieldIsNeededAndTyped) {
  auto exact = good_policy();
  cut_waves(exact, fleet_of(10'000));
  const auto text = to_json(exact);
  for (std::size_t at = text.find("\":"); at != std::string::npos; at = text.find("\":", at + 1)) {
    auto renamed = text;
    renamed[at - 1] = '~';
    EXPECT_FALSE(parse_rollout_policy(renamed)) << renamed;
  }
  const auto replace = [&](std::string_view from, std::string_view to) {
    auto changed = text;
    const auto at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  for (const auto& bad :
       {replace("\"max_in_flight\":200", "\"max_in_flight\":-1"),
        replace("\"max_in_flight\":200", "\"max_in_flight\":0"),
        replace("\"max_in_flight\":200", "\"max_in_flight\":18446744073709551615"),
        replace("\"permille\":500", "\"permille\":10"), replace("\"permille\":1000", "\"permille\":1001"),
        replace("\"id\":\"2026w36-det\"", "\"id\":\"a/b\""), replace("\"22:00-05:00\"", "\"24:00-05:00\""),
        replace("wayside-rollout/1", "wayside-rollout/2"), std::string("[]"), std::string("null"),
        std::string(RolloutPolicy::kMaxJsonBytes + 1, ' ')})
    EXPECT_FALSE(parse_rollout_policy(bad)) << bad.substr(0, 80);
}

TEST(RolloutPolicy, WindowsGoOverMidnight) {
  const auto policy = good_policy();
  EXPECT_TRUE(inside_windows(policy, kDay_s + 23 * 3600));
  EXPECT_TRUE(inside_windows(policy, kDay_s + 4 * 3600 + 3599));
  EXPECT_FALSE(inside_windows(policy, kDay_s + 5 * 3600));
  EXPECT_FALSE(inside_windows(policy, kDay_s + 12 * 3600));
  for (const char* bad : {"", "22:00", "22:00-22:00", "22-05", "22:60-05:00", "aa:00-05:00", "22:00-05:000"})
    EXPECT_FALSE(parse_day_window(bad)) << bad;
}

TEST(RolloutPolicy, ADeviceOfALaterWaveWaitsWhateverItIsCommanded) {
  auto policy = good_policy();
  policy.windows.clear();
  const auto start = policy.not_before_unix_s;
  const auto first = device_of_wave(policy, 0), last = device_of_wave(policy, 2);
  EXPECT_EQ(admit(policy, first, start - 1).verdict, Verdict::not_yet);
  EXPECT_EQ(admit(policy, first, start).verdict, Verdict::open);
  const auto early = admit(policy, last, start);
  EXPECT_EQ(early.verdict, Verdict::not_yet);
  EXPECT_EQ(early.earliest_unix_s, start + 3600 + 7200);
  EXPECT_EQ(admit(policy, last, early.earliest_unix_s - 1).verdict, Verdict::not_yet);
  EXPECT_EQ(admit(policy, last, early.earliest_unix_s).verdict, Verdict::open);
  EXPECT_EQ(admit(policy, first, policy.expires_unix_s).verdict, Verdict::refused);
}

TEST(RolloutPolicy, ADeviceOutsideAllWavesIsRefused) {
  auto policy = good_policy();
  const auto last = device_of_wave(policy, 2);
  policy.waves.pop_back();
  EXPECT_EQ(admit(policy, last, policy.not_before_unix_s + 9 * kDay_s).verdict, Verdict::refused);
}

TEST(RolloutPolicy, OutsideItsWindowADeviceWaits) {
  const auto policy = good_policy();
  const auto first = device_of_wave(policy, 0);
  EXPECT_EQ(admit(policy, first, policy.not_before_unix_s + kDay_s + 12 * 3600).verdict, Verdict::not_yet);
  EXPECT_EQ(admit(policy, first, policy.not_before_unix_s + kDay_s + 23 * 3600).verdict, Verdict::open);
}

}  // namespace
}  // namespace wayside::ota
