// SPDX-License-Identifier: Apache-2.0
// Turns requests into replies.
#include "ota/transfer/blob_server.h"

#include "ota/transfer/topics.h"

namespace wayside::ota {
namespace {

BlobRefusal refusal_of(const base::Error& error) {
  const bool unknown = error.code == base::Code::not_found;
  return {.code = unknown ? RefusalCode::unknown_blob : RefusalCode::bad_request, .text = error.message};
}

base::mqtt::Message to_message(std::string topic, std::string correlation, const Reply& reply) {
  return {.topic = std::move(topic),
          .payload = std::string(text_of(serialize(reply))),
          .qos = 0,
          .correlation_data = std::move(correlation)};
}

}  // namespace

void BlobServer::on_message(const base::mqtt::Message& message, base::MonotonicTime) {
  ++counters_.requests;
  // The reply goes to the device whose topic the broker let the request through on, and nowhere else: a device must not
  // make the server write into another's topics.
  const auto reply_topic = reply_topic_of(options_.root, message.topic);
  if (!reply_topic || (!message.response_topic.empty() && message.response_topic != *reply_topic)) {
    ++counters_.refused;
    return;
  }
  auto request = parse_request(bytes_of(message.payload));
  if (!request) {
    ++counters_.refused;
    return;
  }
  if (jobs_.size() >= options_.max_jobs) {
    ++counters_.refused;
    if (jobs_.size() >= 2 * options_.max_jobs) return;  // not even a refusal: the device asks again after its deadline
    jobs_.push_back({.reply_topic = *reply_topic, .correlation = message.correlation_data, .refuse_busy = true});
    return;
  }
  Job job{.reply_topic = *reply_topic, .correlation = message.correlation_data, .request = std::move(*request)};
  if (const auto* pieces = std::get_if<PieceRequest>(&job.request)) {
    const auto numbers = pieces->pieces.numbers();
    job.left.assign(numbers.begin(), numbers.end());
  } else {
    job.left.push_back(0);
  }
  jobs_.push_back(std::move(job));
}

base::Result<Offer> BlobServer::offer(const OfferRequest& wanted, base::MonotonicTime now) {
  const Bytes key = serialize(wanted);
  const auto known = offers_.find(key);
  if (known != offers_.end() && now - known->second.made < kOfferLife) return known->second.offer;
  WAYSIDE_TRY(Offer made, repository_->offer(wanted.target, wanted.have));
  if (offers_.size() >= kMaxOffers) offers_.clear();
  offers_.insert_or_assign(key, KnownOffer{made, now});
  return made;
}

Reply BlobServer::answer(const Job& job, std::uint32_t number, base::MonotonicTime now) {
  if (const auto* wanted = std::get_if<OfferRequest>(&job.request)) {
    auto made = offer(*wanted, now);
    if (!made) return refusal_of(made.error());
    return std::move(*made);
  }
  const auto& wanted = std::get<PieceRequest>(job.request);
  auto data = wanted.kind == PieceKind::chunk ? repository_->chunk(wanted.blob, number)
                                              : repository_->index_page(wanted.blob, number);
  if (!data) return refusal_of(data.error());
  return Piece{.kind = wanted.kind, .tag = tag_of(wanted.blob), .number = number, .data = std::move(*data)};
}

bool BlobServer::said_recently(const std::string& topic, std::uint32_t number, base::MonotonicTime now) {
  if (recent_.size() >= kMaxRecent) {
    std::erase_if(recent_, [&](const auto& entry) { return now - entry.second >= options_.site_quiet; });
    if (recent_.size() >= kMaxRecent) recent_.clear();  // rather a chunk twice than memory without bound
  }
  const auto [entry, fresh] = recent_.try_emplace({topic, number}, now);
  if (fresh || now - entry->second >= options_.site_quiet) {
    entry->second = now;
    return false;
  }
  ++counters_.site_repeats_saved;
  return true;
}

std::optional<base::mqtt::Message> BlobServer::next(base::MonotonicTime now) {
  while (!jobs_.empty()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    if (job.refuse_busy) {
      return to_message(job.reply_topic, job.correlation, BlobRefusal{.code = RefusalCode::busy, .text = "busy"});
    }
    const std::uint32_t number = job.left.front();
    job.left.pop_front();
    const auto* pieces = std::get_if<PieceRequest>(&job.request);
    const bool for_site = pieces != nullptr && pieces->kind == PieceKind::chunk && !pieces->site.empty();
    std::string topic = for_site ? site_blob_topic(options_.root, pieces->site, pieces->blob) : job.reply_topic;
    const bool skip = for_site && said_recently(topic, number, now);
    std::optional<base::mqtt::Message> out;
    if (!skip) {
      const Reply reply = answer(job, number, now);
      const bool refused = std::holds_alternative<BlobRefusal>(reply);
      if (refused) job.left.clear();  // once is enough
      out =
          to_message(refused ? job.reply_topic : std::move(topic), for_site && !refused ? "" : job.correlation, reply);
      if (refused) ++counters_.refused;
    }
    if (!job.left.empty()) jobs_.push_back(std::move(job));
    if (!out) continue;
    ++counters_.messages;
    counters_.payload_bytes += out->payload.size();
    return out;
  }
  return std::nullopt;
}

}  // namespace wayside::ota
