// SPDX-License-Identifier: Apache-2.0
// One poll loop over all pairs of sockets.
#include "tests/system/agent_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "base/unique_fd.h"

namespace wayside::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

struct Pair {
  base::UniqueFd client;
  base::UniqueFd broker;
};

/// Copies what is there; false when either side is gone.
bool forward(int from, int to, std::atomic<std::uint64_t>& bytes) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::recv(from, buffer.data(), buffer.size(), 0);
  if (count <= 0) return false;
  for (ssize_t done = 0; done < count;) {
    const ssize_t sent = ::send(to, buffer.data() + done, static_cast<std::size_t>(count - done), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    done += sent;
    bytes += static_cast<std::uint64_t>(sent);
  }
  return true;
}

}  // namespace

Relay::Relay(std::uint16_t broker_port) : broker_port_(broker_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof(address);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 8) != 0)
    std::abort();
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { work(); });
}

Relay::~Relay() {
  stopping_ = true;
  thread_.join();
  ::close(listener_);
}

void Relay::cut() {
  cut_seen_ = false;
  cut_ = true;
  while (!cut_seen_) std::this_thread::yield();
}

void Relay::resume() { cut_ = false; }

void Relay::work() {
  constexpr int kPollMs = 10;  // how soon cut() and the end are noticed
  std::vector<Pair> pairs;
  while (!stopping_) {
    if (cut_) {
      pairs.clear();
      cut_seen_ = true;
    }
    std::vector<pollfd> polled{{.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const auto& pair : pairs) {
      polled.push_back({.fd = pair.client.get(), .events = POLLIN, .revents = 0});
      polled.push_back({.fd = pair.broker.get(), .events = POLLIN, .revents = 0});
    }
    ::poll(polled.data(), polled.size(), kPollMs);
    if (cut_ && !pairs.empty()) continue;
    for (std::size_t index = pairs.size(); index-- > 0;) {
      const bool gone = (polled[1 + 2 * index].revents != 0 &&
                         !forward(pairs[index].client.get(), pairs[index].broker.get(), bytes_)) ||
                        (polled[2 + 2 * index].revents != 0 &&
                         !forward(pairs[index].broker.get(), pairs[index].client.get(), bytes_));
      if (gone) pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(index));
    }
    if ((polled[0].revents & POLLIN) == 0) continue;
    Pair fresh;
    fresh.client.reset(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (cut_) continue;
    fresh.broker.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(broker_port_);
    if (::connect(fresh.broker.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      pairs.push_back(std::move(fresh));
    }
  }
}

}  // namespace wayside::test
