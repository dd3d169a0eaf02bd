// SPDX-License-Identifier: Apache-2.0
// Fetcher: gets one file onto the device over MQTT; a state machine with events in, messages out, no thread and no
// wait.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "base/clock.h"
#include "base/mqtt/message.h"
#include "ota/delta/delta.h"
#include "ota/store/blob_store.h"
#include "ota/transfer/messages.h"
#include "ota/transfer/piece_parser.h"
#include "ota/transfer/staging_file.h"

namespace wayside::ota {

class Assembly;
class LocalScan;

/// What is wanted. Hashes and sizes come from signed metadata; servers and brokers are not trusted with them.
struct FetchGoal {
  Digest target{};
  std::uint64_t target_bytes = 0;
  /// Blobs in the store that may hold parts of it: older versions, other variants. At most kMaxBases.
  std::vector<Digest> bases{};
  /// Policy: bytes of chunks and indexes that this may cost, repeats included. A dearer route is refused, never taken.
  std::uint64_t max_bytes = UINT64_MAX;
  /// After this time the fetch fails with timed_out (and may be started again, to go on from where it is).
  std::chrono::seconds give_up_after{6 * 3600};
  /// Not empty: chunks are asked for and listened to on the site's topic, so that one publication serves all its
  /// devices.
  std::string site{};
};

/// Opens a delta and the older file, given by their paths below the storage's root.
using DeltaOpener = std::function<base::Result<std::unique_ptr<DeltaMaker>>(
    const std::filesystem::path& delta, const std::filesystem::path& old_file, const DeltaExpectation& expected)>;

struct FetcherOptions {
  std::string root = "te";
  std::string device{};
  /// Chunks under way at most. Also kept below the broker's Receive Maximum.
  std::uint32_t window = 16;
  /// Nothing arrived for so long: what is under way counts as lost.
  std::chrono::milliseconds reply_timeout{8000};
  /// Full jitter between these: the wait before what was lost is asked for again. Doubles while nothing arrives.
  std::chrono::milliseconds retry_floor{500};
  std::chrono::milliseconds retry_ceiling{60'000};
  std::uint64_t jitter_seed = 1;
  /// Where deltas are decoded, and indexes and chunks parsed; empty: in this process. The parser must outlive this.
  DeltaOpener open_delta{};
  PieceParser* parser = nullptr;
};

enum class FetchState : std::uint8_t {
  idle,
  asking,      ///< for an offer
  indexing,    ///< fetching the list of chunks
  preparing,   ///< looking for chunks on the device, in work()
  fetching,    ///< chunks
  assembling,  ///< decoding a delta, in work()
  done,        ///< the store has the blob
  failed
};
[[nodiscard]] std::string_view to_string(FetchState state);

enum class FetchFailure : std::uint8_t {
  none,
  over_budget,
  no_space,
  not_offered,
  corrupt,
  timed_out,
  storage,
  bad_goal
};
[[nodiscard]] std::string_view to_string(FetchFailure failure);

struct FetchProgress {
  RouteKind route = RouteKind::full;
  std::uint64_t planned_bytes = 0;  ///< price of the route, exact, known before the first chunk is asked for
  std::uint64_t spent_bytes = 0;    ///< of index pages and chunks that arrived, repeats included
  std::uint32_t chunks_total = 0;
  std::uint32_t chunks_done = 0;
  std::uint32_t chunks_resumed = 0;  ///< found in the staging file after a restart
  std::uint32_t bad_pieces = 0;      ///< arrived and failed their hash
};

/// What the owner must do for the fetcher.
struct FetchEffect {
  enum class Kind : std::uint8_t { publish, subscribe, unsubscribe };
  Kind kind{};
  base::mqtt::Message message{};  ///< publish
  std::string filter{};           ///< subscribe (QoS 0), unsubscribe
};

/// Life: start(), then events until state() is done or failed; then start() again if wanted. After a crash start() with
/// the same goal goes on: what is in the staging file is verified chunk by chunk, so at most the chunk that was being
/// written is fetched again. Every file goes through the storage seam and is synced before a chunk counts as there.
/// Memory: 48 bytes for each chunk of the file, and one chunk. Thread: one. The store and storage must outlive it.
class Fetcher {
 public:
  Fetcher(base::Storage& storage, BlobStore& store, FetcherOptions options);
  ~Fetcher();

  /// Checks goal and free space. Legal in every state: a fetch that is under way is cancelled first. All other calls
  /// are legal in every state too; where they mean nothing they do nothing.
  void start(FetchGoal goal, base::MonotonicTime now);
  /// Stops; what was fetched stays for a later start().
  void cancel();

  void on_connected(std::uint32_t receive_maximum, base::MonotonicTime now);
  void on_lost();
  /// Any message of the owner's connection; foreign ones are ignored.
  void on_message(const base::mqtt::Message& message, base::MonotonicTime now);
  /// Time-outs, and a bounded piece of local work (at most about 1 MiB read, hashed, written). Call when wake_at() is
  /// due.
  void work(base::MonotonicTime now);
  /// When work() wants to be called; nothing: only an event can change something.
  [[nodiscard]] std::optional<base::MonotonicTime> wake_at() const;
  /// Take effects until there is none; publications in order.
  std::optional<FetchEffect> next_effect();

  [[nodiscard]] FetchState state() const { return state_; }
  [[nodiscard]] FetchFailure failure() const { return failure_; }
  [[nodiscard]] const std::string& failure_text() const { return failure_text_; }
  [[nodiscard]] const FetchProgress& progress() const { return progress_; }
  /// Staging files that BlobStore::collect() must keep.
  [[nodiscard]] std::set<Digest> wanted() const;

 private:
  void fail(FetchFailure failure, std::string text);
  void fail(const base::Error& error);
  void fail_and_forget(const base::Error& error);
  void fail_as_attack(const base::Error& error);
  void forget_route();
  void release();
  void enter_asking(base::MonotonicTime now);
  void enter_route(base::MonotonicTime now);
  void enter_preparing(ChunkIndex index, base::MonotonicTime now);
  void enter_fetching(base::MonotonicTime now);
  void finish_chunks(base::MonotonicTime now);
  void complete();
  void on_offer(const Offer& offer, base::MonotonicTime now);
  void on_index_page(const Piece& piece, base::MonotonicTime now);
  void on_chunk(const Piece& piece, base::MonotonicTime now);
  void on_refusal(const BlobRefusal& refusal, base::MonotonicTime now);
  void take_index(const Bytes& document, base::MonotonicTime now);
  void request(base::MonotonicTime now);
  void request_chunks(base::MonotonicTime now);
  void send(const Request& request);
  void arrived(base::MonotonicTime now);
  void wait_before_retry(base::MonotonicTime now);
  void prepare_step(base::MonotonicTime now);
  void assemble_step();
  void check_time(base::MonotonicTime now);
  [[nodiscard]] std::uint32_t next_wanted() const;
  [[nodiscard]] std::filesystem::path route_path() const;
  [[nodiscard]] std::filesystem::path index_path() const;

  base::Storage* storage_;
  BlobStore* store_;
  FetcherOptions options_;
  LocalPieceParser local_parser_;
  PieceParser* parser_;
  FetchGoal goal_;
  FetchState state_ = FetchState::idle;
  FetchFailure failure_ = FetchFailure::none;
  std::string failure_text_;
  FetchProgress progress_;
  std::deque<FetchEffect> effects_;
  std::minstd_rand random_;

  bool connected_ = false;
  std::uint32_t window_ = 0;
  std::uint32_t correlation_ = 0;
  base::MonotonicTime deadline_{};
  base::MonotonicTime last_arrival_{};
  std::optional<base::MonotonicTime> retry_at_;  ///< nothing is asked for before
  std::chrono::milliseconds retry_spread_{};

  Route route_;
  std::vector<Bytes> pages_;              ///< of the index, until it is whole
  std::unique_ptr<StagingFile> staging_;  ///< chunks that are there
  std::set<std::uint32_t> under_way_;     ///< chunks or pages asked for
  int refusals_ = 0;                      ///< in a row, for what the offer had promised
  std::uint32_t cursor_ = 0;              ///< where the next missing chunk is looked for

  std::unique_ptr<LocalScan> scan_;
  std::unique_ptr<Assembly> assembly_;
};

}  // namespace wayside::ota
