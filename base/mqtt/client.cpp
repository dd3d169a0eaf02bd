// SPDX-License-Identifier: Apache-2.0
// The MQTT client over Eclipse Paho C++; the only file that includes its headers.
#include "base/mqtt/client.h"

#include <mqtt/async_client.h>

#include <algorithm>
#include <format>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "base/log.h"
#include "base/mqtt/backoff.h"
#include "base/mqtt/inbox.h"

namespace wayside::base::mqtt {
namespace {

using Property = ::mqtt::property;

/// After a reconnect the library sends what was under way again; what has not been settled this long after it is
/// reported dropped, so that no ticket can hang for ever.
constexpr std::chrono::seconds kSettleAfterReconnect{30};

::mqtt::properties to_paho_properties(const Message& message) {
  ::mqtt::properties properties;
  if (!message.content_type.empty()) {
    properties.add(Property(Property::PAYLOAD_FORMAT_INDICATOR, 1));
    properties.add(Property(Property::CONTENT_TYPE, message.content_type));
  }
  if (message.expiry_s) properties.add(Property(Property::MESSAGE_EXPIRY_INTERVAL, *message.expiry_s));
  if (!message.response_topic.empty()) properties.add(Property(Property::RESPONSE_TOPIC, message.response_topic));
  if (!message.correlation_data.empty()) {
    properties.add(Property(Property::CORRELATION_DATA, message.correlation_data));
  }
  for (const auto& [name, value] : message.user_properties) {
    properties.add(Property(Property::USER_PROPERTY, name, value));
  }
  return properties;
}

::mqtt::message_ptr to_paho(const Message& message) {
  return ::mqtt::make_message(message.topic, message.payload.data(), message.payload.size(), message.qos,
                              message.retain, to_paho_properties(message));
}

Message from_paho(const ::mqtt::message& from) {
  Message message{.topic = from.get_topic(),
                  .payload = from.get_payload_str(),
                  .qos = from.get_qos(),
                  .retain = from.is_retained()};
  // By code, not by iteration: the iterator of Paho C++ 1.5 leaks a string per property that it passes.
  const auto& properties = from.get_properties();
  const auto text = [&properties](Property::code code) {
    return properties.contains(code) ? ::mqtt::get<::mqtt::string>(properties, code) : std::string();
  };
  message.content_type = text(Property::CONTENT_TYPE);
  message.response_topic = text(Property::RESPONSE_TOPIC);
  message.correlation_data = text(Property::CORRELATION_DATA);
  if (properties.contains(Property::MESSAGE_EXPIRY_INTERVAL)) {
    message.expiry_s = ::mqtt::get<std::uint32_t>(properties, Property::MESSAGE_EXPIRY_INTERVAL);
  }
  for (std::size_t index = 0; index < properties.count(Property::USER_PROPERTY); ++index) {
    auto [name, value] = ::mqtt::get<::mqtt::string_pair>(properties, Property::USER_PROPERTY, index);
    message.user_properties.emplace_back(std::move(name), std::move(value));
  }
  return message;
}

std::string failure_text(const ::mqtt::token& token) {
  // Paho puts the reason of a refused CONNACK into the return code and of other packets into the reason code; from 0x80
  // on both are MQTT 5 reason codes, below zero the former is its own error number.
  const int reason = std::max(static_cast<int>(token.get_reason_code()), token.get_return_code());
  std::string text = token.get_error_message();
  if (reason >= 0x80) return ::mqtt::exception::reason_code_str(reason) + (text.empty() ? "" : " (" + text + ")");
  if (text.empty()) text = ::mqtt::exception::error_str(token.get_return_code());
  return text.empty() ? "connection refused or network unreachable" : text;
}

void* to_context(Ticket ticket) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(ticket)); }

/// Marks a lost event that is certain even while Paho still believes in the connection.
constexpr Ticket kSaidByBroker = 1;

/// Receives everything from Paho, in Paho's receive thread with Paho's lock held: pushes and returns.
class Listener final : public ::mqtt::iaction_listener, public ::mqtt::callback {
 public:
  Inbox inbox;

  void on_success(const ::mqtt::token& token) override {
    const auto ticket = static_cast<Ticket>(reinterpret_cast<std::uintptr_t>(token.get_user_context()));
    switch (token.get_type()) {
      case ::mqtt::token::CONNECT: push_connected(token); break;
      case ::mqtt::token::PUBLISH: inbox.push({.kind = Event::Kind::acked, .ticket = ticket}); break;
      case ::mqtt::token::DISCONNECT:
        inbox.push({.kind = Event::Kind::lost, .ticket = kSaidByBroker, .detail = "closed"});
        break;
      default: break;
    }
  }

  void on_failure(const ::mqtt::token& token) override {
    const auto ticket = static_cast<Ticket>(reinterpret_cast<std::uintptr_t>(token.get_user_context()));
    Event::Kind kind = Event::Kind::dropped;
    if (token.get_type() == ::mqtt::token::CONNECT) kind = Event::Kind::connect_failed;
    if (token.get_type() == ::mqtt::token::SUBSCRIBE) kind = Event::Kind::subscribe_failed;
    if (token.get_type() == ::mqtt::token::DISCONNECT) kind = Event::Kind::lost;
    inbox.push({.kind = kind, .ticket = ticket, .detail = failure_text(token)});
  }

  void connection_lost(const std::string& cause) override {
    inbox.push({.kind = Event::Kind::lost,
                .ticket = 0,
                .detail = cause.empty() ? "connection closed by the broker or the network" : cause});
  }

  void message_arrived(::mqtt::const_message_ptr message) override {
    inbox.push({.kind = Event::Kind::message, .ticket = 0, .detail = {}, .message = from_paho(*message)});
  }

  /// The broker said goodbye itself (MQTT 5 DISCONNECT: session taken over, message too large, shutting down). Paho
  /// then does not always report a lost connection.
  void disconnected(int reason) {
    inbox.push({.kind = Event::Kind::lost,
                .ticket = kSaidByBroker,
                .detail = "the broker closed the connection: " + ::mqtt::exception::reason_code_str(reason)});
  }

  /// What the last CONNACK said; 0 means that the broker set no limit. Read after the connected event.
  struct Announced {
    std::size_t receive_maximum = 0;
    std::size_t max_packet_bytes = 0;
    bool session_present = false;
  };
  [[nodiscard]] Announced announced() const {
    const std::lock_guard lock(mutex_);
    return announced_;
  }

 private:
  void push_connected(const ::mqtt::token& token) {
    Announced announced;
    try {
      const auto response = token.get_connect_response();
      const auto& properties = response.get_properties();
      announced.session_present = response.is_session_present();
      if (properties.contains(Property::RECEIVE_MAXIMUM)) {
        announced.receive_maximum = ::mqtt::get<std::uint16_t>(properties, Property::RECEIVE_MAXIMUM);
      }
      if (properties.contains(Property::MAXIMUM_PACKET_SIZE)) {
        announced.max_packet_bytes = ::mqtt::get<std::uint32_t>(properties, Property::MAXIMUM_PACKET_SIZE);
      }
    } catch (const std::exception& error) {
      log_warn("mqtt event=connack_unreadable reason=\"{}\"", error.what());
    }
    {
      const std::lock_guard lock(mutex_);
      announced_ = announced;
    }
    inbox.push({.kind = Event::Kind::connected, .ticket = 0});
  }

  mutable std::mutex mutex_;
  Announced announced_;
};

Result<void> check_readable(const std::filesystem::path& path, std::string_view what) {
  if (path.empty()) return {};
  std::ifstream file(path);
  if (!file) return fail(Code::not_found, std::format("cannot read {} \"{}\"", what, path.string()));
  return {};
}

Result<std::string> read_password(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) {
    return fail(Code::not_found, std::format("cannot read a password from \"{}\"", path.string()));
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

struct Client::State {
  enum class Phase { waiting, connecting, connected, closed };

  State(ClientOptions given, Clock& clock_in)
      : options(std::move(given)),
        clock(clock_in),
        backoff(options.jitter_seed != 0 ? options.jitter_seed : std::random_device{}(), options.reconnect_spread),
        next_attempt(clock_in.now()) {}

  ClientOptions options;
  Clock& clock;
  Backoff backoff;
  Listener listener;  // outlives `client`: its callbacks end when the client is destroyed
  std::unique_ptr<::mqtt::async_client> client;
  Phase phase = Phase::waiting;
  MonotonicTime next_attempt;
  MonotonicTime connected_since{0};
  Limits limits;
  std::map<std::string, int> subscriptions;
  std::set<Ticket> in_flight;
  Ticket last_ticket = 0;
  Ticket last_ticket_before_reconnect = 0;  // tickets up to this one are under way from before the reconnect

  std::string address() const {
    return std::format("{}://{}:{}", options.tls.ca.empty() ? "mqtt" : "mqtts", options.host, options.port);
  }
  Result<::mqtt::connect_options> connect_options() const;
  Result<void> try_connect();
  void retry_later(std::string& reason);
  void step(MonotonicTime now);
  std::optional<Event> handle(Event event);
  std::optional<Ticket> take_unsettled(MonotonicTime now);
  void on_connected();
};

Result<std::unique_ptr<Client>> Client::create(ClientOptions options, Clock& clock) {
  WAYSIDE_CHECK(check_topic_level("MQTT client id", options.client_id));
  if (options.host.empty()) return fail(Code::invalid_argument, "MQTT host is empty");
  if (options.port == 0) return fail(Code::invalid_argument, "MQTT port is 0");
  WAYSIDE_CHECK(check_readable(options.tls.ca, "TLS certificate authority file"));
  WAYSIDE_CHECK(check_readable(options.tls.cert, "TLS client certificate"));
  WAYSIDE_CHECK(check_readable(options.tls.key, "TLS private key"));
  WAYSIDE_CHECK(check_readable(options.password_file, "MQTT password file"));
  if (options.tls.ca.empty() && !(options.tls.cert.empty() && options.tls.key.empty())) {
    return fail(Code::invalid_argument, "MQTT TLS needs a certificate authority: set tls.ca");
  }
  auto state = std::make_unique<State>(std::move(options), clock);
  try {
    const auto& settings = state->options;
    ::mqtt::create_options create(MQTTVERSION_5);
    const std::string scheme = settings.tls.ca.empty() ? "tcp" : "ssl";
    create.set_server_uri(std::format("{}://{}:{}", scheme, settings.host, settings.port));
    create.set_client_id(settings.client_id);
    state->client = std::make_unique<::mqtt::async_client>(create);
    state->client->set_callback(state->listener);
    state->client->set_disconnected_handler(
        [listener = &state->listener](const ::mqtt::properties&, ::mqtt::ReasonCode code) {
          listener->disconnected(static_cast<int>(code));
        });
  } catch (const std::exception& error) {
    return fail(Code::io, std::format("cannot set up the MQTT client for {}: {}", state->address(), error.what()));
  }
  return std::unique_ptr<Client>(new Client(std::move(state)));
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}

Client::~Client() {
  // Paho says goodbye on destruction when connected, which tells the broker to forget the Will: only close() may do so.
  // Without close() the process is in an error path and ends soon; the goodbye is the lesser evil to a leaked thread.
  state_->client.reset();
}

Result<::mqtt::connect_options> Client::State::connect_options() const {
  auto made = ::mqtt::connect_options::v5();
  made.set_keep_alive_interval(options.keepalive);
  made.set_connect_timeout(options.connect_timeout);
  made.set_clean_start(options.session_expiry.count() == 0);
  made.set_max_inflight(static_cast<int>(options.max_in_flight));
  ::mqtt::properties properties;
  properties.add(
      Property(Property::SESSION_EXPIRY_INTERVAL, static_cast<std::uint32_t>(options.session_expiry.count())));
  properties.add(Property(Property::RECEIVE_MAXIMUM, static_cast<std::uint32_t>(options.receive_maximum)));
  made.set_properties(std::move(properties));
  if (!options.username.empty()) made.set_user_name(options.username);
  if (!options.password_file.empty()) {
    WAYSIDE_TRY(std::string password, read_password(options.password_file));
    made.set_password(password);
  }
  if (!options.tls.ca.empty()) {
    ::mqtt::ssl_options tls;
    tls.set_trust_store(options.tls.ca.string());
    if (!options.tls.cert.empty()) tls.set_key_store(options.tls.cert.string());
    if (!options.tls.key.empty()) tls.set_private_key(options.tls.key.string());
    tls.set_enable_server_cert_auth(true);
    tls.set_verify(true);
    made.set_ssl(std::move(tls));
  }
  if (options.make_will) {
    const Message will = options.make_will();
    ::mqtt::will_options will_options(*to_paho(will));
    ::mqtt::properties will_properties = to_paho_properties(will);
    will_properties.add(
        Property(Property::WILL_DELAY_INTERVAL, static_cast<std::uint32_t>(options.will_delay.count())));
    will_options.set_properties(std::move(will_properties));
    made.set_will(std::move(will_options));
  }
  return made;
}

Result<void> Client::State::try_connect() {
  WAYSIDE_TRY(auto made, connect_options());
  try {
    if (client->is_connected()) {  // after the broker's goodbye, until its socket is closed
      client->disconnect(0);
      return fail(Code::bad_state, "the old connection is still being closed");
    }
    client->connect(std::move(made), nullptr, listener);
  } catch (const std::exception& error) {
    return fail(Code::io, error.what());
  }
  return {};
}

void Client::State::retry_later(std::string& reason) {
  const auto wait = backoff.next();
  phase = Phase::waiting;
  next_attempt = clock.now() + wait;
  reason += std::format("; next attempt in {:.1f} s", std::chrono::duration<double>(wait).count());
}

void Client::State::step(MonotonicTime now) {
  if (phase != Phase::waiting || now < next_attempt) return;
  phase = Phase::connecting;
  if (auto started = try_connect(); !started) {
    listener.inbox.push({.kind = Event::Kind::connect_failed, .ticket = 0, .detail = started.error().message});
  }
}

void Client::State::on_connected() {
  phase = Phase::connected;
  connected_since = clock.now();
  last_ticket_before_reconnect = last_ticket;
  const auto announced = listener.announced();
  limits = {.max_in_flight = options.max_in_flight,
            .max_packet_bytes = options.max_packet_bytes,
            .session_present = announced.session_present};
  if (announced.receive_maximum != 0) limits.max_in_flight = std::min(limits.max_in_flight, announced.receive_maximum);
  if (announced.max_packet_bytes != 0) {
    limits.max_packet_bytes = std::min(limits.max_packet_bytes, announced.max_packet_bytes);
  }
  for (const auto& [filter, qos] : subscriptions) {
    try {
      // Retain Handling 1: retained messages only for a subscription that the broker does not know yet.
      client->subscribe(filter, qos, nullptr, listener,
                        ::mqtt::subscribe_options(false, false, ::mqtt::subscribe_options::SEND_RETAINED_ON_NEW));
    } catch (const std::exception& error) {
      listener.inbox.push({.kind = Event::Kind::subscribe_failed, .ticket = 0, .detail = filter + ": " + error.what()});
    }
  }
}

/// Keeps the state in step with what Paho reported; returns the event if the owner should see it.
std::optional<Event> Client::State::handle(Event event) {
  switch (event.kind) {
    case Event::Kind::connected:
      if (phase != Phase::connecting) return std::nullopt;
      on_connected();
      return event;
    case Event::Kind::connect_failed:
      if (phase != Phase::connecting) return std::nullopt;
      retry_later(event.detail);
      return event;
    case Event::Kind::lost:
      // A late report about an earlier connection says nothing about the present one.
      if (phase != Phase::connected || (event.ticket != kSaidByBroker && client->is_connected())) return std::nullopt;
      event.ticket = 0;
      backoff.connection_lived(clock.now() - connected_since);
      retry_later(event.detail);
      return event;
    case Event::Kind::acked:
    case Event::Kind::dropped:
      if (in_flight.erase(event.ticket) == 0) return std::nullopt;  // reported already
      return event;
    case Event::Kind::message:
    case Event::Kind::subscribe_failed: return event;
  }
  return std::nullopt;
}

std::optional<Ticket> Client::State::take_unsettled(MonotonicTime now) {
  if (phase != Phase::connected || in_flight.empty() || now - connected_since < kSettleAfterReconnect) return {};
  const Ticket oldest = *in_flight.begin();
  if (oldest > last_ticket_before_reconnect) return {};
  in_flight.erase(in_flight.begin());
  return oldest;
}

std::optional<Event> Client::wait(MonotonicTime deadline) {
  // Long waits are cut so that unsettled tickets are noticed and a stepped ManualClock is looked at again.
  constexpr std::chrono::nanoseconds kLongestWait = std::chrono::seconds(1);
  while (true) {
    const auto now = state_->clock.now();
    state_->step(now);
    while (auto raw = state_->listener.inbox.pop()) {
      if (auto event = state_->handle(std::move(*raw))) return event;
    }
    if (const auto ticket = state_->take_unsettled(now)) {
      return Event{.kind = Event::Kind::dropped, .ticket = *ticket, .detail = "lost over a reconnect"};
    }
    if (state_->listener.inbox.take_wake() || now >= deadline) return std::nullopt;
    auto limit = std::min(deadline - now, kLongestWait);
    if (state_->phase == State::Phase::waiting) {
      limit = std::clamp(state_->next_attempt - now, std::chrono::nanoseconds(0), limit);
    }
    state_->listener.inbox.wait(limit);
  }
}

void Client::wake() { state_->listener.inbox.wake(); }

void Client::subscribe(std::string filter, int qos) {
  state_->subscriptions[filter] = qos;
  if (!connected()) return;
  try {
    state_->client->subscribe(filter, qos, nullptr, state_->listener);
  } catch (const std::exception& error) {
    state_->listener.inbox.push(
        {.kind = Event::Kind::subscribe_failed, .ticket = 0, .detail = filter + ": " + error.what()});
  }
}

void Client::unsubscribe(const std::string& filter) {
  if (state_->subscriptions.erase(filter) == 0 || !connected()) return;
  try {
    state_->client->unsubscribe(filter);
  } catch (const std::exception& error) {
    log_warn("mqtt event=unsubscribe_failed filter={} reason=\"{}\"", filter, error.what());
  }
}

Result<Ticket> Client::publish(const Message& message) {
  WAYSIDE_CHECK(check_topic(message.topic));
  if (!connected()) return fail(Code::bad_state, std::format("not connected to {}", address()));
  if (state_->in_flight.size() >= state_->limits.max_in_flight) {
    return fail(Code::exhausted, "the MQTT in-flight window is full");
  }
  if (const std::size_t bytes = packet_bytes(message); bytes > state_->limits.max_packet_bytes) {
    return fail(Code::invalid_argument, std::format("message for {} has {} bytes, the broker takes at most {}",
                                                    message.topic, bytes, state_->limits.max_packet_bytes));
  }
  const Ticket ticket = ++state_->last_ticket;
  try {
    state_->client->publish(to_paho(message), to_context(ticket), state_->listener);
  } catch (const std::exception& error) {
    return fail(Code::io, std::format("publish on {}: {}", message.topic, error.what()));
  }
  state_->in_flight.insert(ticket);
  return ticket;
}

bool Client::connected() const { return state_->phase == State::Phase::connected; }
Limits Client::limits() const { return state_->limits; }
std::size_t Client::in_flight() const { return state_->in_flight.size(); }
std::uint64_t Client::inbox_overflows() const { return state_->listener.inbox.overflows(); }
std::string Client::address() const { return state_->address(); }

void Client::close(std::chrono::milliseconds limit) {
  const auto deadline = state_->clock.now() + limit;
  while (connected() && in_flight() > 0 && state_->clock.now() < deadline) (void)wait(deadline);
  if (connected()) {
    try {
      // Zero time-out inside Paho: what had to be acknowledged was waited for above.
      state_->client->disconnect(0, nullptr, state_->listener);
      while (connected() && state_->clock.now() < deadline) (void)wait(deadline);
    } catch (const std::exception& error) {
      log_warn("mqtt event=close_failed reason=\"{}\"", error.what());
    }
  }
  state_->phase = State::Phase::closed;
}

}  // namespace wayside::base::mqtt
