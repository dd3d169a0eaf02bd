// SPDX-License-Identifier: Apache-2.0
// The loop of `wayside monitor`.
#include "fleet/monitor_command.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <format>
#include <fstream>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "fleet/monitor_state.h"
#include "fleet/monitor_view.h"

namespace wayside::fleet {
namespace {

namespace mqtt = base::mqtt;

volatile sig_atomic_t stop_requested = 0;

/// How often the table is drawn anew, and a line printed where there is no terminal.
constexpr std::chrono::milliseconds kRedraw{250};
constexpr std::chrono::seconds kLineEvery{1};

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_requested = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

class Screen {
 public:
  explicit Screen(bool quiet) : quiet_(quiet), terminal_(::isatty(STDOUT_FILENO) != 0) {}

  void draw(const MonitorState& state, const std::string& connection, base::MonotonicTime now) {
    if (quiet_ || now < next_) return;
    if (!terminal_) {
      next_ = now + kLineEvery;
      if (state.heard()) std::puts(render_line(state, now).c_str());
      std::fflush(stdout);
      return;
    }
    next_ = now + kRedraw;
    // ECMA-48: cursor home, each line erased to its end, the rest of the screen erased. The first frame clears it all.
    std::string frame = first_ ? "\x1b[2J\x1b[H" : "\x1b[H";
    first_ = false;
    for (const auto& line : render_table(state, connection, now)) frame += line + "\x1b[K\n";
    frame += "\x1b[J";
    std::fputs(frame.c_str(), stdout);
    std::fflush(stdout);
  }

 private:
  bool quiet_;
  bool terminal_;
  bool first_ = true;
  base::MonotonicTime next_{0};
};

mqtt::ClientOptions client_options(const MonitorOptions& options) {
  mqtt::ClientOptions made;
  made.host = options.host;
  made.port = options.port;
  made.client_id = std::format("wayside-monitor-{}", ::getpid());
  made.tls = {.ca = options.ca, .cert = options.cert, .key = options.key};
  made.username = options.username;
  made.password_file = options.password_file;
  made.receive_maximum = 256;  // we only read
  return made;
}

/// Writes the summary; false (with a message) when that fails.
bool write_json(const std::string& target, const std::string& json) {
  if (target == "-") {
    std::puts(json.c_str());
    return true;
  }
  std::ofstream file(target);
  file << json << "\n";
  file.close();
  if (!file) std::fprintf(stderr, "wayside monitor: cannot write %s\n", target.c_str());
  return static_cast<bool>(file);
}

}  // namespace

int monitor_command(const MonitorOptions& options) {
  base::Clock& clock = base::Clock::real();
  auto client = mqtt::Client::create(client_options(options));
  if (!client) {
    std::fprintf(stderr, "wayside monitor: %s\n", client.error().message.c_str());
    return 1;
  }
  stop_on_signals();
  (*client)->subscribe(std::format("{}/device/{}/#", options.root, options.device.empty() ? "+" : options.device), 1);

  const auto start = clock.now();
  const auto end = options.seconds ? start + std::chrono::seconds(*options.seconds) : base::MonotonicTime::max();
  MonitorState state(options.root, options.device, start);
  Screen screen(options.json_file == "-");
  std::string connection = (*client)->address() + " connecting";
  std::string last_problem;
  while (stop_requested == 0 && clock.now() < end) {
    const auto now = clock.now();
    if (const auto event = (*client)->wait(std::min(end, now + kRedraw / 2))) {
      switch (event->kind) {
        case mqtt::Event::Kind::message:
          state.on_message(event->message.topic, event->message.payload, clock.now());
          break;
        case mqtt::Event::Kind::connected: connection = (*client)->address(); break;
        case mqtt::Event::Kind::connect_failed:
        case mqtt::Event::Kind::lost:
        case mqtt::Event::Kind::subscribe_failed:
          last_problem = std::format("{}: {}", (*client)->address(), event->detail);
          connection = last_problem;
          break;
        default: break;
      }
    }
    screen.draw(state, connection, clock.now());
  }
  (*client)->close(std::chrono::seconds(1));

  const bool written = !options.json_file || write_json(*options.json_file, to_json(state.summary(clock.now())));
  if (state.heard()) return written ? 0 : 1;
  std::fprintf(
      stderr, "wayside monitor: heard nothing from %s on %s%s%s; is waysided running with this broker and device id?\n",
      options.device.empty() ? "any device" : options.device.c_str(), (*client)->address().c_str(),
      last_problem.empty() ? "" : ": ", last_problem.c_str());
  return 1;
}

}  // namespace wayside::fleet
