// SPDX-License-Identifier: Apache-2.0
// Bytes over the air, measured: prints "key value" lines, reports them to ./dev reliability, and fails when a bar is
// missed.
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>

#include "tests/base/mqtt/test_broker.h"
#include "tests/ota/transfer/simulated_link.h"
#include "tests/support/figures.h"

namespace {

using namespace std::chrono_literals;
using namespace wayside;
using ota::Bytes;
using test::digest;

int missed = 0;

template <class Number>
void tell(const std::string& key, Number value) {
  testing_support::figure(key, value);
  if constexpr (std::is_floating_point_v<Number>) {
    std::printf("%s %.4f\n", key.c_str(), value);
  } else {
    std::printf("%s %llu\n", key.c_str(), static_cast<unsigned long long>(value));
  }
}

void bar(const std::string& key, double value, double most) {
  tell(key, value);
  if (value <= most) return;
  std::fprintf(stderr, "missed: %s is %.4f, at most %.4f is allowed\n", key.c_str(), value, most);
  ++missed;
}

std::uint64_t whole_file_deflated(ota::BytesView bytes) {
  uLongf size = compressBound(bytes.size());
  std::vector<Bytef> out(size);
  compress2(out.data(), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), Z_BEST_COMPRESSION);
  return size;
}

/// A server with its folder, and devices that come and go.
struct Bench {
  test::TempDir folder;
  base::DiskStorage server_storage = base::DiskStorage::open(folder.path() / "server").value();
  ota::Repository repository{server_storage};
  ota::BlobServer server{repository, {}};
  test::SimulatedSite site;
  int device_number = 0;

  Bench() { site.servers = {&server}; }

  test::SimulatedDevice& new_device(base::DiskStorage& storage) {
    site.devices.clear();
    return site.add_device(storage);
  }
  base::DiskStorage new_storage() {
    return base::DiskStorage::open(folder.path() / ("device-" + std::to_string(device_number++))).value();
  }
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "transfer_figures: %s\n", why.c_str());
  std::exit(2);
}

struct Costs {
  ota::FetchProgress progress{};
  std::uint64_t wire_bytes = 0;
};

Costs fetch(Bench& bench, const Bytes& base, const Bytes& target) {
  base::DiskStorage storage = bench.new_storage();
  test::SimulatedDevice& device = bench.new_device(storage);
  if (!base.empty() && !device.store->put(base)) give_up("the old version cannot be stored");
  device.down.bytes_per_s = 2.5e6;
  device.connect(bench.site.now);
  std::vector<ota::Digest> bases;
  if (!base.empty()) bases.push_back(digest(base));
  device.fetcher->start({.target = digest(target), .target_bytes = target.size(), .bases = bases}, bench.site.now);
  if (!bench.site.run(3600s) || device.fetcher->state() != ota::FetchState::done) {
    give_up("a fetch did not end: " + device.fetcher->failure_text());
  }
  Costs costs{device.fetcher->progress(), device.wire_bytes()};
  bench.site.devices.clear();
  return costs;
}

void bytes_table(std::size_t size) {
  Bench bench;
  const Bytes base = test::make_weights(size, 1);
  const auto full = static_cast<double>(whole_file_deflated(base));
  tell("ota_model_bytes", base.size());
  tell("ota_full_zlib_bytes", static_cast<std::uint64_t>(full));
  if (!bench.repository.publish(ota::SpanSource(base))) give_up("cannot publish");

  const Costs whole = fetch(bench, {}, base);
  tell("ota_full_route_bytes", whole.progress.planned_bytes);
  bar("ota_full_route_percent", 100 * static_cast<double>(whole.progress.planned_bytes) / full, 101);
  bar("ota_protocol_overhead_percent",
      100 * (static_cast<double>(whole.wire_bytes) / static_cast<double>(whole.progress.planned_bytes) - 1), 2);
  const Costs same = fetch(bench, base, base);
  bar("ota_same_version_bytes", static_cast<double>(same.wire_bytes), 0);

  const double small = size < (32U << 20U) ? 0.3 : 0;  // borders of regions and headers weigh more in small files
  struct Case {
    const char* name;
    Bytes target;
    double most;
  };
  for (const Case& change : {Case{"1_percent_contiguous", test::redraw_regions(base, 0.01, 1, 2), 1.2 + small},
                             Case{"1_percent_in_64_regions", test::redraw_regions(base, 0.01, 64, 3), 1.3 + 3 * small},
                             Case{"1_percent_scattered", test::nudge(base, 0.01, 4), 2.5},
                             Case{"30_percent_scattered", test::nudge(base, 0.30, 5), 22}}) {
    if (!bench.repository.publish_deltas(base, change.target)) give_up("cannot publish deltas");
    const std::vector<ota::Digest> bases{digest(base)};
    const auto offer = bench.repository.offer(digest(change.target), bases).value();
    const std::string key = std::string("ota_") + change.name;
    for (const ota::Route& route : offer.routes) {
      tell(key + "_" + std::string(to_string(route.kind)) + "_percent",
           100 * static_cast<double>(route.price_bytes()) / full);
    }
    const Costs costs = fetch(bench, base, change.target);
    if (costs.progress.spent_bytes != costs.progress.planned_bytes) give_up("the stated price was not kept");
    std::printf("%s_taken %s\n", key.c_str(), std::string(to_string(costs.progress.route)).c_str());
    bar(key + "_wire_percent", 100 * static_cast<double>(costs.wire_bytes) / full, change.most);
  }
}

/// A long transfer over 2 Mbit/s with 30 ms, cut at random; every second time the process is killed too.
void cuts(std::size_t size, int number) {
  Bench bench;
  const Bytes file = test::make_weights(size, 6);
  if (!bench.repository.publish(ota::SpanSource(file))) give_up("cannot publish");
  base::DiskStorage storage = bench.new_storage();
  test::SimulatedDevice& device = bench.new_device(storage);
  const ota::FetchGoal goal{
      .target = digest(file), .target_bytes = file.size(), .give_up_after = std::chrono::hours(24)};
  const auto planned = bench.repository.offer(goal.target, {}).value().routes.front().price_bytes();
  device.connect(bench.site.now);
  device.fetcher->start(goal, bench.site.now);
  test::SeededRandom random(7);
  int done = 0;
  std::uint64_t bad_resumes = 0;
  for (; done < number; ++done) {
    // So that the cuts fall all over the transfer.
    const double share = 0.98 / number * 2 * static_cast<double>(random.below(1000)) / 1000;
    const auto until = device.wire_bytes() + static_cast<std::uint64_t>(share * static_cast<double>(planned));
    (void)bench.site.run(24h, [&] { return device.wire_bytes() >= until; });
    if (device.fetcher->state() == ota::FetchState::done) break;
    const std::uint32_t before = device.fetcher->progress().chunks_done;
    bench.site.now += std::chrono::microseconds(random.below(60'000));
    device.cut(bench.site.now);
    if (done % 2 == 1) {
      device.boot();
      device.fetcher->start(goal, bench.site.now);
      (void)bench.site.run(1s, [&] { return device.fetcher->state() == ota::FetchState::fetching; });
      if (device.fetcher->progress().chunks_done + 1 < before) ++bad_resumes;
    }
    bench.site.now += 1s;
    device.connect(bench.site.now);
  }
  if (!bench.site.run(24h) || device.fetcher->state() != ota::FetchState::done) give_up("the cut transfer did not end");
  tell("ota_cuts", static_cast<std::uint64_t>(done));
  tell("ota_cut_transfer_file_bytes", file.size());
  tell("ota_cut_transfer_planned_bytes", planned);
  tell("ota_cut_transfer_wire_bytes", device.wire_bytes());
  bar("ota_cut_transfer_ratio", static_cast<double>(device.wire_bytes()) / static_cast<double>(planned),
      size < 50'000'000 ? 1.2 : 1.02);
  bar("ota_resumes_that_lost_more_than_one_chunk", static_cast<double>(bad_resumes), 0);
}

}  // namespace

int main(int argument_count, char** arguments) {
  // --small: the same code on files a tenth or less in size, for the test run; its bars are wider where size matters.
  bool small = testing_support::tries<bool>({.test = false, .quick = true, .ci = false, .full = false});
  for (int i = 1; i < argument_count; ++i) {
    const std::string_view argument(arguments[i]);
    small = small || argument == "--small";
    if (argument == "--small" || argument.starts_with("--gtest_")) continue;  // tools/reliability gives these to all
    std::fprintf(stderr, "usage: %s [--small]\n", arguments[0]);
    return 2;
  }
  bytes_table(small ? 2U << 20U : 50U << 20U);
  // 124 MB of weights are 100 MB over the air.
  cuts(small ? 5'000'000 : 124'200'000, small ? 20 : 100);
  return missed == 0 ? 0 : 1;
}
