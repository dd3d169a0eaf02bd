// SPDX-License-Identifier: Apache-2.0
// BlobServer: answers the requests of devices from a Repository; keeps nothing that it could not lose.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "base/clock.h"
#include "base/mqtt/message.h"
#include "ota/transfer/repository.h"

namespace wayside::ota {

struct BlobServerOptions {
  std::string root = "te";
  /// Requests waiting; more are answered "busy".
  std::size_t max_jobs = 4096;
  /// A chunk published for a site is not published again for this site within this time: several devices asked at once.
  std::chrono::milliseconds site_quiet{5000};
};

struct BlobServerCounters {
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;
  std::uint64_t messages = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t site_repeats_saved = 0;
};

/// Events in, messages out, no thread. Requests are answered turn by turn, one message each, so that a device with a
/// large window does not hold up the others. Any number of servers may share one subscription (server_filter) and one
/// folder.
class BlobServer {
 public:
  BlobServer(Repository& repository, BlobServerOptions options)
      : repository_(&repository), options_(std::move(options)) {}

  /// Takes one message of server_filter(). What is not a request, or wants its reply on a foreign topic, is counted and
  /// dropped.
  void on_message(const base::mqtt::Message& request, base::MonotonicTime now);
  /// The next message to publish, QoS 0: who asked asks again for what got lost.
  std::optional<base::mqtt::Message> next(base::MonotonicTime now);
  [[nodiscard]] bool idle() const { return jobs_.empty(); }
  [[nodiscard]] const BlobServerCounters& counters() const { return counters_; }

 private:
  struct Job {
    std::string reply_topic{};
    std::string correlation{};
    Request request{};
    std::deque<std::uint32_t> left{};  ///< piece numbers
    bool refuse_busy = false;
  };
  /// Recently published chunks of sites; bounds the memory of site_quiet.
  static constexpr std::size_t kMaxRecent = 8192;

  [[nodiscard]] Reply answer(const Job& job, std::uint32_t number, base::MonotonicTime now);
  /// Offers are worked out once for devices that ask the same within kOfferLife (the devices of one wave do).
  base::Result<Offer> offer(const OfferRequest& wanted, base::MonotonicTime now);
  static constexpr std::chrono::seconds kOfferLife{10};
  static constexpr std::size_t kMaxOffers = 64;
  struct KnownOffer {
    Offer offer{};
    base::MonotonicTime made{};
  };
  bool said_recently(const std::string& topic, std::uint32_t number, base::MonotonicTime now);
  Repository* repository_;
  BlobServerOptions options_;
  std::deque<Job> jobs_;
  std::map<std::pair<std::string, std::uint32_t>, base::MonotonicTime> recent_;
  std::map<Bytes, KnownOffer> offers_;  ///< by the request's bytes
  BlobServerCounters counters_;
};

}  // namespace wayside::ota
