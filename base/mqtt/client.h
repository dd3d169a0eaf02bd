// SPDX-License-Identifier: Apache-2.0
// Client: one MQTT 5 connection that comes back by itself; everything that happens is an event in a queue.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mqtt/message.h"
#include "base/result.h"

namespace wayside::base::mqtt {

struct TlsFiles {
  std::filesystem::path ca{};    ///< PEM bundle that signs the broker's certificate; empty: no TLS
  std::filesystem::path cert{};  ///< PEM client certificate chain; empty: none
  std::filesystem::path key{};   ///< PEM private key of `cert`
};

struct ClientOptions {
  std::string host = "localhost";
  std::uint16_t port = 1883;
  std::string client_id;
  TlsFiles tls{};
  std::string username{};
  std::filesystem::path
      password_file{};  ///< first line is the password; read anew at each attempt, so it may be rotated
  std::chrono::seconds keepalive{20};
  std::chrono::seconds connect_timeout{10};
  /// How long the broker keeps our subscriptions and queued QoS 1 messages after a loss; 0: clean start each time.
  std::chrono::seconds session_expiry{0};
  std::uint16_t receive_maximum = 16;        ///< unacknowledged messages that the broker may have under way to us
  std::size_t max_in_flight = 16;            ///< publications handed over and not yet acknowledged
  std::size_t max_packet_bytes = 96 * 1024;  ///< fits AWS (128 KB), EMQX (1 MB) and mosquitto 2.1 (2 MB) defaults
  std::chrono::seconds will_delay{0};
  std::chrono::seconds reconnect_spread{0};  ///< of a fleet: see Backoff; 0: a device of its own
  /// Makes the Will of the next attempt; empty: no Will.
  std::function<Message()> make_will{};
  std::uint64_t jitter_seed = 0;  ///< 0: from the system's entropy
};

/// Names one publication until its acked or dropped event.
using Ticket = std::uint64_t;

struct Event {
  enum class Kind {
    connected,       ///< CONNACK; subscriptions have been asked for again
    connect_failed,  ///< `detail` says why and when the next attempt is due
    lost,            ///< an established connection ended; publications under way may still be acked after a reconnect
    acked,           ///< `ticket`: the broker has it (QoS 1), or it was written (QoS 0)
    dropped,         ///< `ticket`: the broker refused it or the session was lost; publish it again if it matters
    message,         ///< a subscription delivered `message`
    subscribe_failed
  };
  Kind kind{};
  Ticket ticket = 0;
  std::string detail{};
  Message message{};
};

/// What the broker said in CONNACK, already combined with our own bounds.
struct Limits {
  std::size_t max_in_flight = 0;
  std::size_t max_packet_bytes = 0;
  bool session_present = false;
};

/// Threads: all calls but wake() belong to one owner thread; the library's own threads only fill the event queue.
/// Nothing here blocks on the network except close() (bounded) and, inside the library's thread, name resolution.
class Client {
 public:
  /// Checks the options and files; does not connect yet. Errors: invalid_argument, not_found (TLS and password files).
  static Result<std::unique_ptr<Client>> create(ClientOptions options, Clock& clock = Clock::real());
  ~Client();  ///< closes the socket without the orderly goodbye: the broker sends the Will after its delay
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Drives the connection (first attempt, back-off, reconnect) and returns the next event, or nothing at `deadline`
  /// or after wake().
  std::optional<Event> wait(MonotonicTime deadline);
  /// Makes a running or the next wait() return early. From any thread; short.
  void wake();

  /// Remembers the filter and subscribes now and after every reconnect.
  void subscribe(std::string filter, int qos);
  /// Forgets the filter; messages that are under way may still come.
  void unsubscribe(const std::string& filter);

  /// Hands one message over. Errors, with nothing sent: bad_state (not connected), exhausted (in-flight window full:
  /// retry after an acked event), invalid_argument (topic, or larger than the broker or we allow), io.
  Result<Ticket> publish(const Message& message);

  [[nodiscard]] bool connected() const;
  [[nodiscard]] Limits limits() const;  ///< meaningful while connected
  [[nodiscard]] std::size_t in_flight() const;
  /// Messages from the broker that were thrown away because the owner did not fetch events fast enough.
  [[nodiscard]] std::uint64_t inbox_overflows() const;
  [[nodiscard]] std::string address() const;  ///< "mqtts://host:port" for messages; no secrets

  /// Waits for publications under way, at most `limit`, then disconnects in an orderly way (no Will) and stays closed.
  void close(std::chrono::milliseconds limit);

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wayside::base::mqtt
