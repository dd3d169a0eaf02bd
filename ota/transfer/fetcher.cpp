// SPDX-License-Identifier: Apache-2.0
// The states of a fetch and what each event does in them.
#include "ota/transfer/fetcher.h"

#include <format>

#include "ota/delta/deflate.h"
#include "ota/delta/delta.h"
#include "ota/transfer/fetcher_work.h"
#include "ota/transfer/topics.h"

namespace wayside::ota {
namespace {

using base::Code;
using base::MonotonicTime;

/// Index pages asked for at once: 128 KiB.
constexpr std::uint32_t kPagesAtOnce = 4;
/// Window of a device that listens to its site: most chunks come because others asked.
constexpr std::uint32_t kSiteWindow = 4;

FetchFailure failure_of(const base::Error& error) {
  if (error.sys_errno == ENOSPC || error.code == Code::exhausted) return FetchFailure::no_space;
  return error.code == Code::corrupt ? FetchFailure::corrupt : FetchFailure::storage;
}

}  // namespace

Fetcher::Fetcher(base::Storage& storage, BlobStore& store, FetcherOptions options)
    : storage_(&storage),
      store_(&store),
      options_(std::move(options)),
      parser_(options_.parser != nullptr ? options_.parser : &local_parser_),
      random_(static_cast<std::minstd_rand::result_type>(options_.jitter_seed)),
      window_(options_.window) {
  correlation_ = static_cast<std::uint32_t>(random_());
}

Fetcher::~Fetcher() = default;

// ---- start and end
// ---------------------------------------------------------------------------------------------------

void Fetcher::start(FetchGoal goal, MonotonicTime now) {
  cancel();
  goal_ = std::move(goal);
  failure_ = FetchFailure::none;
  failure_text_.clear();
  progress_ = {};
  retry_spread_ = options_.retry_floor;
  refusals_ = 0;
  deadline_ = now + goal_.give_up_after;
  if (store_->has(goal_.target)) {
    state_ = FetchState::done;
    return;
  }
  if (goal_.bases.size() > kMaxBases || goal_.target_bytes > kMaxFileBytes) {
    fail(FetchFailure::bad_goal, std::format("at most {} bases and {} bytes can be fetched", kMaxBases, kMaxFileBytes));
    return;
  }
  std::erase_if(goal_.bases, [this](const Digest& base) { return !store_->has(base); });
  if (auto made = storage_->make_directory("transfer"); !made) return fail(made.error());
  effects_.push_back(
      {.kind = FetchEffect::Kind::subscribe, .filter = blob_reply_topic(options_.root, options_.device)});
  if (const auto kept = read_kept_route(*storage_, route_path()); kept && route_is_usable(*kept, goal_, *store_)) {
    route_ = *kept;
    enter_route(now);
    return;
  }
  if (const auto room = store_->check_room(goal_.target_bytes); !room) return fail(room.error());
  enter_asking(now);
}

void Fetcher::cancel() {
  if (state_ == FetchState::idle || state_ == FetchState::done || state_ == FetchState::failed) return;
  release();
  state_ = FetchState::idle;
}

/// Lets go of memory and subscriptions.
void Fetcher::release() {
  effects_.push_back(
      {.kind = FetchEffect::Kind::unsubscribe, .filter = blob_reply_topic(options_.root, options_.device)});
  if (!goal_.site.empty() && staging_) {
    effects_.push_back(
        {.kind = FetchEffect::Kind::unsubscribe, .filter = site_blob_topic(options_.root, goal_.site, route_.blob)});
  }
  staging_.reset();
  scan_.reset();
  assembly_.reset();
  pages_.clear();
  under_way_.clear();
  retry_at_.reset();
}

void Fetcher::fail(FetchFailure failure, std::string text) {
  release();
  failure_ = failure;
  failure_text_ = std::move(text);
  state_ = FetchState::failed;
}

void Fetcher::fail(const base::Error& error) { fail(failure_of(error), error.message); }

/// What the parser did not survive is not tried again with the next copy of it: whoever started this fetch decides.
void Fetcher::fail_as_attack(const base::Error& error) {
  if (state_ != FetchState::fetching) forget_route();
  fail(FetchFailure::corrupt, error.message);
}

/// Damaged: forgets the plan too, so that the next start asks anew. Else what was fetched stays for the next start.
void Fetcher::fail_and_forget(const base::Error& error) {
  if (failure_of(error) != FetchFailure::corrupt) return fail(error);
  forget_route();
  (void)storage_->remove(BlobStore::staging_path(route_.blob));
  fail(error);
}

std::set<Digest> Fetcher::wanted() const {
  if (state_ == FetchState::idle || state_ == FetchState::done) return {};
  return {goal_.target, route_.blob};
}

// ---- from state to state
// ---------------------------------------------------------------------------------------------

void Fetcher::enter_preparing(ChunkIndex index, MonotonicTime now) {
  pages_.clear();
  under_way_.clear();
  if (index.file_hash != route_.blob || index.file_bytes != route_.blob_bytes) {
    return fail_and_forget({.code = Code::corrupt, .message = "the chunk index is for another file"});
  }
  state_ = FetchState::preparing;
  progress_.chunks_total = static_cast<std::uint32_t>(index.chunks.size());
  // Devices of a site start at different places, so that they ask for different chunks and all hear all of them.
  cursor_ =
      goal_.site.empty() || index.chunks.empty() ? 0 : static_cast<std::uint32_t>(random_() % index.chunks.size());
  staging_ = std::make_unique<StagingFile>(*storage_, BlobStore::staging_path(route_.blob), std::move(index));
  scan_ = std::make_unique<LocalScan>();
  if (route_.kind == RouteKind::chunks) scan_->bases = goal_.bases;
  last_arrival_ = now;
}

void Fetcher::enter_fetching(MonotonicTime now) {
  state_ = FetchState::fetching;
  progress_.chunks_done = staging_->done();
  progress_.spent_bytes += scan_->resumed_wire_bytes;
  scan_.reset();
  last_arrival_ = now;
  if (staging_->complete()) return finish_chunks(now);
  if (!goal_.site.empty()) {
    effects_.push_back(
        {.kind = FetchEffect::Kind::subscribe, .filter = site_blob_topic(options_.root, goal_.site, route_.blob)});
    wait_before_retry(now);  // the devices of a site do not all ask at once
  }
  request(now);
}

void Fetcher::finish_chunks(MonotonicTime) {
  if (route_.is_delta()) {
    state_ = FetchState::assembling;
    auto opened = Assembly::open(*storage_, goal_, route_, options_.open_delta);
    if (!opened) return fail_and_forget(opened.error());
    assembly_ = std::move(*opened);
    return;
  }
  complete();
}

/// The bytes of the target lie in its staging file: the store checks and publishes them.
void Fetcher::complete() {
  if (progress_.chunks_total == 0 || goal_.target_bytes == 0) {  // no chunk ever made the file of an empty target
    if (auto made = storage_->write(BlobStore::staging_path(goal_.target), {}); !made) return fail(made.error());
  }
  const auto adopted = store_->adopt({.digest = goal_.target, .size_bytes = goal_.target_bytes});
  if (!adopted) return fail_and_forget(adopted.error());
  // A cut here leaves files that the next start or collect() removes; the blob is there already.
  if (route_.is_delta()) (void)storage_->remove(BlobStore::staging_path(route_.blob));
  forget_route();
  release();
  state_ = FetchState::done;
}

// ---- connection and messages
// -----------------------------------------------------------------------------------------

void Fetcher::on_connected(std::uint32_t receive_maximum, MonotonicTime now) {
  connected_ = true;
  window_ = std::max(1U, receive_maximum == 0 ? options_.window : std::min(options_.window, receive_maximum));
  last_arrival_ = now;
  request(now);
}

void Fetcher::on_lost() {
  connected_ = false;
  under_way_.clear();
  std::erase_if(effects_, [](const FetchEffect& effect) { return effect.kind == FetchEffect::Kind::publish; });
}

void Fetcher::on_message(const base::mqtt::Message& message, MonotonicTime now) {
  const bool to_us = message.topic == blob_reply_topic(options_.root, options_.device);
  const bool to_site = state_ == FetchState::fetching && !goal_.site.empty() &&
                       message.topic == site_blob_topic(options_.root, goal_.site, route_.blob);
  if (!to_us && !to_site) return;
  const auto reply = parse_reply(bytes_of(message.payload));
  if (!reply) {
    ++progress_.bad_pieces;
    return;
  }
  if (const auto* offer = std::get_if<Offer>(&*reply))
    on_offer(*offer, now);
  else if (const auto* refusal = std::get_if<BlobRefusal>(&*reply))
    on_refusal(*refusal, now);
  else if (const auto& piece = std::get<Piece>(*reply); piece.tag != tag_of(route_.blob))
    return;
  else if (piece.kind == PieceKind::index_page)
    on_index_page(piece, now);
  else
    on_chunk(piece, now);
}

void Fetcher::on_chunk(const Piece& piece, MonotonicTime now) {
  if (state_ != FetchState::fetching || piece.number >= staging_->index().chunks.size()) return;
  under_way_.erase(piece.number);
  progress_.spent_bytes += piece.data.size();
  if (staging_->has(piece.number)) return request(now);
  const Chunk& chunk = staging_->index().chunks[piece.number];
  auto raw = unpack_chunk(*parser_, chunk, piece.data);
  if (!raw && raw.error().code != Code::corrupt) return fail_as_attack(raw.error());
  if (!raw) {
    ++progress_.bad_pieces;
    if (!retry_at_) wait_before_retry(now);
    return;
  }
  if (auto put = staging_->put(chunk.id, *raw, true); !put) return fail(put.error());
  arrived(now);
  progress_.chunks_done = staging_->done();
  if (staging_->complete()) return finish_chunks(now);
  request(now);
}

/// Something useful came: the patience starts anew.
void Fetcher::arrived(MonotonicTime now) {
  last_arrival_ = now;
  refusals_ = 0;
  retry_spread_ = options_.retry_floor;
  if (state_ != FetchState::fetching || goal_.site.empty()) retry_at_.reset();
}

// ---- asking
// ----------------------------------------------------------------------------------------------------------

void Fetcher::request(MonotonicTime now) {
  if (!connected_ || (retry_at_ && now < *retry_at_)) return;
  retry_at_.reset();
  if (state_ == FetchState::asking && under_way_.empty()) {
    under_way_.insert(0);
    return send(OfferRequest{.target = goal_.target, .have = goal_.bases});
  }
  if (state_ == FetchState::fetching) return request_chunks(now);
  if (state_ != FetchState::indexing || !under_way_.empty()) return;
  PieceRequest wanted{.kind = PieceKind::index_page, .blob = route_.blob};
  for (std::uint32_t page = 0; page < pages_.size() && under_way_.size() < kPagesAtOnce; ++page) {
    if (pages_[page].empty() && wanted.pieces.add(page)) under_way_.insert(page);
  }
  send(std::move(wanted));
}

/// Fills the window when half of it has come, so that requests are few and the line is never idle.
void Fetcher::request_chunks(MonotonicTime) {
  const std::uint32_t window = goal_.site.empty() ? window_ : std::min(window_, kSiteWindow);
  if (under_way_.size() > window / 2) return;
  PieceRequest wanted{.kind = PieceKind::chunk, .blob = route_.blob, .site = goal_.site};
  const auto& chunks = staging_->index().chunks;
  std::uint64_t reserved = 0;
  for (const std::uint32_t number : under_way_) reserved += chunks[number].wire_bytes;
  while (under_way_.size() < window) {
    const std::uint32_t number = next_wanted();
    if (number == chunks.size()) break;
    if (progress_.spent_bytes + reserved + chunks[number].wire_bytes > goal_.max_bytes) {
      if (!under_way_.empty()) break;  // what is under way may be the last that is needed
      return fail(FetchFailure::over_budget,
                  std::format("{} of {} bytes are spent (repeats included) and {} chunks are missing; raise the budget",
                              progress_.spent_bytes, goal_.max_bytes, chunks.size() - staging_->done()));
    }
    if (!wanted.pieces.add(number)) break;  // wrapped around, or far away: in the next request
    reserved += chunks[number].wire_bytes;
    under_way_.insert(number);
    cursor_ = number + 1;
  }
  if (!wanted.pieces.empty()) send(std::move(wanted));
}

/// A missing chunk that is not under way, from the cursor on; the number of chunks when there is none.
std::uint32_t Fetcher::next_wanted() const {
  const auto count = static_cast<std::uint32_t>(staging_->index().chunks.size());
  std::uint32_t from = cursor_ % count;
  for (std::size_t tries = 0; tries <= under_way_.size(); ++tries) {
    const std::uint32_t number = staging_->next_missing(from);
    if (number == count || !under_way_.contains(number)) return number;
    from = (number + 1) % count;
  }
  return count;
}

void Fetcher::send(const Request& request) {
  ++correlation_;
  std::string correlation(reinterpret_cast<const char*>(&correlation_), sizeof(correlation_));
  effects_.push_back({.kind = FetchEffect::Kind::publish,
                      .message = {.topic = blob_request_topic(options_.root, options_.device),
                                  .payload = std::string(text_of(serialize(request))),
                                  .qos = 1,
                                  .expiry_s = 60,  // asked for again long before
                                  .response_topic = blob_reply_topic(options_.root, options_.device),
                                  .correlation_data = std::move(correlation)}});
}

// ---- time
// ------------------------------------------------------------------------------------------------------------

void Fetcher::wait_before_retry(MonotonicTime now) {
  std::uniform_int_distribution<std::int64_t> jitter(options_.retry_floor.count() / 2, retry_spread_.count());
  retry_at_ = now + std::chrono::milliseconds(jitter(random_));
  retry_spread_ = std::min(options_.retry_ceiling, 2 * retry_spread_);
}

void Fetcher::check_time(MonotonicTime now) {
  if (now >= deadline_) {
    const std::string why = failure_text_.empty() ? "the server did not answer" : failure_text_;
    return fail(FetchFailure::timed_out, std::format("not complete after {} s ({}); what was fetched is kept",
                                                     goal_.give_up_after.count(), why));
  }
  if (!connected_) return;
  if (!retry_at_ && now - last_arrival_ >= options_.reply_timeout) {
    under_way_.clear();
    last_arrival_ = now;
    wait_before_retry(now);
  }
  request(now);
}

void Fetcher::work(MonotonicTime now) {
  switch (state_) {
    case FetchState::idle:
    case FetchState::done:
    case FetchState::failed: return;
    case FetchState::preparing: return prepare_step(now);
    case FetchState::assembling: return assemble_step();
    default: return check_time(now);
  }
}

std::optional<MonotonicTime> Fetcher::wake_at() const {
  switch (state_) {
    case FetchState::idle:
    case FetchState::done:
    case FetchState::failed: return std::nullopt;
    case FetchState::preparing:
    case FetchState::assembling: return MonotonicTime{0};  // at once
    default: break;
  }
  auto when = deadline_;
  if (connected_ && retry_at_) when = std::min(when, *retry_at_);
  if (connected_ && !retry_at_) when = std::min<MonotonicTime>(when, last_arrival_ + options_.reply_timeout);
  return when;
}

void Fetcher::prepare_step(MonotonicTime now) {
  const auto more = scan_->step(*storage_, *staging_);
  if (!more) return fail(more.error());
  progress_.chunks_resumed = scan_->resumed;
  if (!*more) enter_fetching(now);
}

void Fetcher::assemble_step() {
  const auto complete_now = assembly_->step();
  if (!complete_now) return fail_and_forget(complete_now.error());
  if (!*complete_now) return;
  assembly_.reset();
  complete();
}

std::optional<FetchEffect> Fetcher::next_effect() {
  if (effects_.empty()) return std::nullopt;
  FetchEffect effect = std::move(effects_.front());
  effects_.pop_front();
  return effect;
}

std::string_view to_string(FetchState state) {
  switch (state) {
    case FetchState::idle: return "idle";
    case FetchState::asking: return "asking";
    case FetchState::indexing: return "indexing";
    case FetchState::preparing: return "preparing";
    case FetchState::fetching: return "fetching";
    case FetchState::assembling: return "assembling";
    case FetchState::done: return "done";
    case FetchState::failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(FetchFailure failure) {
  switch (failure) {
    case FetchFailure::none: return "none";
    case FetchFailure::over_budget: return "over_budget";
    case FetchFailure::no_space: return "no_space";
    case FetchFailure::not_offered: return "not_offered";
    case FetchFailure::corrupt: return "corrupt";
    case FetchFailure::timed_out: return "timed_out";
    case FetchFailure::storage: return "storage";
    case FetchFailure::bad_goal: return "bad_goal";
  }
  return "unknown";
}

}  // namespace wayside::ota
