// SPDX-License-Identifier: Apache-2.0
// Events to calls, effects to publications.
#include "ota/transfer/mqtt_binding.h"

#include "base/log.h"
#include "ota/transfer/topics.h"

namespace wayside::ota {

using base::mqtt::Event;

void forward(Fetcher& fetcher, const Event& event, const base::mqtt::Client& client, base::MonotonicTime now) {
  switch (event.kind) {
    case Event::Kind::connected:
      fetcher.on_connected(static_cast<std::uint32_t>(client.limits().max_in_flight), now);
      break;
    case Event::Kind::lost: fetcher.on_lost(); break;
    case Event::Kind::message: fetcher.on_message(event.message, now); break;
    default: break;  // what the broker refused or lost is asked for again after the time-out
  }
}

void flush(Fetcher& fetcher, base::mqtt::Client& client, base::MonotonicTime now) {
  if (const auto wake = fetcher.wake_at(); wake && *wake <= now) fetcher.work(now);
  while (auto effect = fetcher.next_effect()) {
    switch (effect->kind) {
      case FetchEffect::Kind::subscribe: client.subscribe(effect->filter, 0); break;
      case FetchEffect::Kind::unsubscribe: client.unsubscribe(effect->filter); break;
      case FetchEffect::Kind::publish:
        if (const auto sent = client.publish(effect->message); !sent) {
          base::log_debug("ota event=request_not_sent reason=\"{}\"", sent.error().message);
        }
        break;
    }
  }
}

void BlobServerPort::join(std::string_view root, std::string_view group) {
  client_->subscribe(server_filter(root, group), 1);
}

void BlobServerPort::forward(const Event& event, base::MonotonicTime now) {
  if (event.kind == Event::Kind::message) server_->on_message(event.message, now);
  if (event.kind == Event::Kind::lost) held_.reset();  // who asked asks again
}

void BlobServerPort::flush(base::MonotonicTime now) {
  while (client_->connected()) {
    if (!held_) held_ = server_->next(now);
    if (!held_) return;
    const auto sent = client_->publish(*held_);
    if (!sent && sent.error().code == base::Code::exhausted) return;
    if (!sent) base::log_warn("ota event=reply_not_sent topic={} reason=\"{}\"", held_->topic, sent.error().message);
    held_.reset();
  }
}

}  // namespace wayside::ota
