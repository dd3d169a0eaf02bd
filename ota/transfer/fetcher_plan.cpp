// SPDX-License-Identifier: Apache-2.0
// The plan of a fetch: asking for offers, choosing a route, getting its chunk index, and keeping both for a restart.
#include <algorithm>
#include <format>

#include "ota/transfer/fetcher.h"
#include "ota/transfer/fetcher_work.h"
#include "ota/transfer/topics.h"

namespace wayside::ota {
namespace {

using base::MonotonicTime;

/// Servers that do not have a planned blob, one after the other, before a new plan is asked for.
constexpr int kMaxRefusals = 8;

std::filesystem::path transfer_path(const Digest& digest, std::string_view suffix) {
  return std::filesystem::path("transfer") / (digest.hex() + std::string(suffix));
}

}  // namespace

void Fetcher::enter_asking(MonotonicTime now) {
  state_ = FetchState::asking;
  last_arrival_ = now;
  request(now);
}

/// A route is chosen (or was, before a restart): its list of chunks comes next.
void Fetcher::enter_route(MonotonicTime now) {
  progress_.route = route_.kind;
  progress_.planned_bytes = route_.price_bytes();
  if (progress_.planned_bytes > goal_.max_bytes) {
    fail(FetchFailure::over_budget, std::format("the cheapest way ({}) costs {} bytes, the budget is {}",
                                                to_string(route_.kind), progress_.planned_bytes, goal_.max_bytes));
    return;
  }
  if (const auto document = storage_->read(index_path(), kMaxIndexBytes)) {
    const auto hash = sha256_of(*document);
    if (hash && *hash == route_.index_hash) {
      progress_.spent_bytes += document->size();
      return take_index(*document, now);
    }
  }
  state_ = FetchState::indexing;
  last_arrival_ = now;
  pages_.assign((route_.index_bytes + kIndexPageBytes - 1) / kIndexPageBytes, {});
  request(now);
}

void Fetcher::on_offer(const Offer& offer, MonotonicTime now) {
  if (state_ != FetchState::asking || offer.target != goal_.target) return;
  Offer usable = offer;
  std::erase_if(usable.routes, [this](const Route& route) { return !route_is_usable(route, goal_, *store_); });
  const Route* best = offer.target_bytes == goal_.target_bytes ? cheapest(usable) : nullptr;
  if (best == nullptr) return fail(FetchFailure::not_offered, "no usable route was offered");
  arrived(now);
  under_way_.clear();  // the question; what is asked next must not wait for its time-out
  route_ = *best;
  if (route_.price_bytes() <= goal_.max_bytes) {
    const std::uint64_t room = goal_.target_bytes + (route_.is_delta() ? route_.blob_bytes : 0) + route_.index_bytes;
    if (const auto enough = store_->check_room(room); !enough) return fail(enough.error());
    if (auto kept = keep_route(*storage_, route_path(), route_); !kept) return fail(kept.error());
  }
  enter_route(now);
}

void Fetcher::on_index_page(const Piece& piece, MonotonicTime now) {
  if (state_ != FetchState::indexing || piece.number >= pages_.size()) return;
  progress_.spent_bytes += piece.data.size();
  const std::size_t start = piece.number * kIndexPageBytes;
  if (piece.data.size() != std::min<std::size_t>(kIndexPageBytes, route_.index_bytes - start)) {
    ++progress_.bad_pieces;
    return;  // its number stays under way: the time-out asks again
  }
  arrived(now);
  under_way_.erase(piece.number);
  pages_[piece.number] = piece.data;
  if (std::ranges::any_of(pages_, &Bytes::empty)) return request(now);

  Bytes document;
  for (const Bytes& page : pages_) document.insert(document.end(), page.begin(), page.end());
  const auto hash = sha256_of(document);
  if (!hash || *hash != route_.index_hash) {
    ++progress_.bad_pieces;
    pages_.assign(pages_.size(), {});
    return wait_before_retry(now);
  }
  if (auto kept = base::replace_file(*storage_, index_path(), document); !kept) return fail(kept.error());
  take_index(document, now);
}

/// A document that is the one of the offer; whether it makes sense is seen now. Asking again would bring the same.
void Fetcher::take_index(const Bytes& document, MonotonicTime now) {
  auto index = parser_->index(document);
  if (index) return enter_preparing(std::move(*index), now);
  if (index.error().code != base::Code::corrupt) return fail_as_attack(index.error());
  ++progress_.bad_pieces;
  fail_and_forget(index.error());
}

void Fetcher::on_refusal(const BlobRefusal& refusal, MonotonicTime now) {
  const bool asked = state_ == FetchState::asking || state_ == FetchState::indexing || state_ == FetchState::fetching;
  if (!asked) return;
  // Another server, or this one later, may have it: the deadline decides, not one answer.
  failure_text_ = refusal.text;
  under_way_.clear();
  const bool gone = refusal.code == RefusalCode::unknown_blob && state_ != FetchState::asking;
  if (gone && ++refusals_ >= kMaxRefusals) {
    // The plan is older than what the servers have now: a new offer. Chunks of the file itself stay useful.
    forget_route();
    if (route_.is_delta()) (void)storage_->remove(BlobStore::staging_path(route_.blob));
    release();
    effects_.push_back(
        {.kind = FetchEffect::Kind::subscribe, .filter = blob_reply_topic(options_.root, options_.device)});
    state_ = FetchState::asking;
    last_arrival_ = now;
    refusals_ = 0;
  }
  wait_before_retry(now);
}

void Fetcher::forget_route() {
  (void)storage_->remove(route_path());
  (void)storage_->remove(index_path());
}

std::filesystem::path Fetcher::route_path() const { return transfer_path(goal_.target, ".route"); }

std::filesystem::path Fetcher::index_path() const { return transfer_path(route_.blob, ".index"); }

}  // namespace wayside::ota
