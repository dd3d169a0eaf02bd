// SPDX-License-Identifier: Apache-2.0
// machine-cut-guest: the first process of the emulated machine. Mounts the data partition as the firmware image does,
// looks at what the last power cut left there, then runs broker, chunk server and agent, and pushes one model after the
// other. It tells the host line by line on the console ("MC ..."; see machine_cut.cpp) and never ends: the host cuts
// the power.
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <format>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "ota/updater/journal.h"
#include "ota/updater/updater.h"
#include "tests/ota/updater/sim_device.h"
#include "tests/system/machine_cut/guest_disk.h"
#include "tests/system/machine_cut/unpacked.h"
#include "tests/system/ota_agent/update_world.h"

namespace {

using namespace wayside;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr const char* kData = "/run/data";
constexpr const char* kWorld = "/run/world";  ///< the host's folder of models, keys and orders
constexpr auto kPatience = 60s;

void tell(const std::string& words) {
  const std::string line = "MC " + words + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(1);
}

[[noreturn]] void give_up(const std::string& why) {
  tell("dead " + why);
  while (true) ::pause();
}

void mount_or_give_up(const char* what, const char* where, const char* type, unsigned long flags = 0,
                      const char* options = nullptr) {
  ::mkdir(where, 0700);
  // Busy: the kernel has mounted it already (/dev).
  if (::mount(what, where, type, flags, options) != 0 && errno != EBUSY)
    give_up(std::format("mount {}: errno {}", where, errno));
}

/// What the host says: how the machine is told apart from the one before the cut.
struct Orders {
  fs::path world;
  std::vector<std::pair<std::string, ota::Digest>> versions;
  std::string pending_id, pending_version;  ///< pushed before the cut, its end not seen
  unsigned next = 0;                        ///< number of the next push
};

Orders read_orders() {
  const char* world = std::getenv("WAYSIDE_WORLD");
  if (world == nullptr) give_up("no WAYSIDE_WORLD on the kernel's command line");
  // The host's /dev/shm lies behind the machine's own /dev.
  mount_or_give_up("world", kWorld, "hostfs", MS_RDONLY, world);
  Orders orders{.world = kWorld};
  std::ifstream file(orders.world / "orders");
  for (std::string word; file >> word;) {
    std::string name, digest;
    if (word == "version" && file >> name >> digest) orders.versions.emplace_back(name, *ota::Digest::parse(digest));
    if (word == "pending") file >> orders.pending_id >> orders.pending_version;
    if (word == "next") file >> orders.next;
  }
  if (orders.versions.empty()) give_up("no orders");
  return orders;
}

void start_loopback() {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::string("lo").copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) give_up("no loopback interface");
}

/// As image/initrd/init: e2fsck -p, where that does not suffice -y, then the same mount options.
void mount_data(const std::string& tools) {
  if (const auto wrong = test::start_disk(tools + "/usr/lib/uml/modules"); !wrong.empty()) give_up("disk: " + wrong);
  const auto check = [&](const char* how) { return test::run_unpacked(tools, "usr/sbin/e2fsck", {how, "/dev/nbd0"}); };
  auto checked = check("-p");
  tell(std::format("fsck {}", checked.exit_code));
  if (checked.exit_code >= 4) {
    tell("fsck-said " + checked.output.substr(0, checked.output.find('\n')));
    checked = check("-y");
    tell(std::format("fsck-repaired {}", checked.exit_code));
  }
  mount_or_give_up("/dev/nbd0", kData, "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME);
}

/// The device's records and blobs, looked at before any of its own programs runs.
void examine() {
  const fs::path root = fs::path(kData) / "state/ota";
  if (!fs::exists(root)) return tell("state none");
  auto disk = base::DiskStorage::open(root).value();
  auto store = ota::BlobStore::open(disk);
  if (!store) return tell("unreadable the store: " + store.error().message);
  bool damaged = false;
  const auto journal = ota::Journal::load(disk, damaged);
  const auto slots = ota::Slots::load(disk);
  if (!journal || !slots || damaged || slots->damaged())
    return tell(std::format("unreadable {}", damaged || !journal ? "the journal" : "the slot record"));
  const auto blobs = store->list();
  if (!blobs) return tell("unreadable the folder of blobs");
  for (const auto& blob : *blobs)
    if (!store->verify(blob)) tell("torn blob " + blob.hex());
  const auto slot = slots->slot("detector");
  for (const auto& installed : {slot.active, slot.committed}) {
    if (!installed) continue;
    const auto manifest = ota::read_manifest(*store, installed->manifest);
    const auto wrong = manifest ? ota::check_blobs(*manifest, *installed, *store) : manifest.error().message;
    if (!wrong.empty()) tell(std::format("torn model {}: {}", installed->manifest.hex(), wrong));
  }
  const auto hex = [](const auto& installed) { return installed ? installed->manifest.hex() : std::string("none"); };
  tell(std::format("blobs {}", blobs->size()));
  for (const auto& outcome : journal->history)
    tell(std::format("outcome {} {}", outcome.command_id, outcome.committed ? "committed" : "failed"));
  tell(std::format("state {} committed {} active {}", ota::to_string(journal->state), hex(slot.committed),
                   hex(slot.active)));
}

std::string agent_config(const Orders& orders, std::uint16_t port) {
  const auto path = fs::path("/run/agent.yaml");
  std::ofstream(path) << std::format(
      "version: 1\ndevice: {{id: dut, name: Device under test}}\n"
      "mqtt: {{host: 127.0.0.1, port: {}, will_delay_s: 0}}\ncamera: {{source: \"synthetic:seed=1\", width_px: 320, "
      "height_px: 180}}\n"
      "models: [{{role: detector, file: \"{}/models/street/street.tflite\"}}]\nstate_dir: {}/state\n"
      "telemetry: {{interval_s: 0.5}}\nota: {{enable: true, root: \"{}\", require_policy: false}}\n",
      port, WAYSIDE_SOURCE_DIR, kData, (orders.world / "root.json").string());
  return path.string();
}

/// The operator and all that listens to the device.
class Desk {
 public:
  Desk(const Orders& orders, std::uint16_t port) : orders_(orders), operator_(port), next_(orders.next) {
    base::mqtt::ClientOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.client_id = "desk";
    client_ = std::move(*base::mqtt::Client::create(std::move(options)));
    for (const char* topic :
         {"te/device/dut///twin/model/detector", "te/device/dut///cmd/model_update/+", "te/device/dut///m/telemetry"})
      client_->subscribe(topic, 1);
    // A broker without a memory: everything is said again.
    for (const auto& [version, digest] : orders.versions)
      operator_.send("te/fleet/manifest/" + digest.hex(), test::file_text(orders.world / "envelopes" / version));
    if (orders.pending_id.empty()) return;
    command(orders.pending_id, orders.pending_version);
  }

  [[noreturn]] void work(const test::AgentProcess& agent) {
    auto heard = base::Clock::real().now();
    while (true) {
      const auto event = client_->wait(base::Clock::real().now() + 1s);
      if (event && event->kind == base::mqtt::Event::Kind::message) {
        take(event->message);
        heard = base::Clock::real().now();
      }
      // What happens without a push: the first one, and the next one after each end.
      if (idle_ && seen_telemetry_) push();
      int status = 0;
      const bool ended = ::waitpid(agent.pid(), &status, WNOHANG) == agent.pid();
      if (!ended && base::Clock::real().now() - heard < kPatience) continue;
      const auto log = agent.errors();
      tell("agent-log\n" + log.substr(log.size() - std::min<std::size_t>(log.size(), 4000)));
      give_up(ended ? std::format("the agent ended, status {}", status) : "the agent is silent");
    }
  }

 private:
  void command(const std::string& id, const std::string& version) {
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    const auto found = std::ranges::find(orders_.versions, version, &std::pair<std::string, ota::Digest>::first);
    if (found == orders_.versions.end()) give_up("no version " + version);
    waiting_ = id;
    idle_ = false;
    tell(std::format("push {} {}", id, version));
    operator_.command(id, found->second, now.count() + 3600);
  }
  void push() {
    const auto& version = orders_.versions[next_ % orders_.versions.size()].first;
    command(std::format("u{}", next_++), version);
  }
  void take(const base::mqtt::Message& message) {
    const auto json = nlohmann::json::parse(message.payload, nullptr, false);
    if (!json.is_object()) return;
    if (message.topic.ends_with("/telemetry")) {
      if (seen_telemetry_ || json.value("frames_processed_total", 0) == 0) return;
      seen_telemetry_ = true;
      return tell("frames");
    }
    if (message.topic.ends_with("/detector"))
      return tell(std::format("runs {} {}", json.value("manifest_sha256", "none"), json.value("state", "?")));
    const auto id = message.topic.substr(message.topic.rfind('/') + 1);
    const auto status = json.value("status", "");
    if (id != waiting_ || status == "init" || status == told_) return;
    told_ = status;
    if (status != "successful" && status != "failed") return tell(std::format("at {} {}", id, status));
    tell(std::format("end {} {} {}", id, status, json.value("reason", "")));
    operator_.send(message.topic, "");  // as the operator's tool confirms
    waiting_.clear();
    idle_ = true;
  }

  const Orders& orders_;
  test::Operator operator_;
  std::unique_ptr<base::mqtt::Client> client_;
  unsigned next_;
  std::string waiting_, told_;
  bool idle_ = true, seen_telemetry_ = false;
};

}  // namespace

int main() {
  mount_or_give_up("proc", "/proc", "proc");
  mount_or_give_up("dev", "/dev", "devtmpfs");
  mount_or_give_up("run", "/run", "tmpfs");
  ::mkdir("/run/tmp", 0700);
  ::setenv("TMPDIR", "/run/tmp", 1);
  ::setenv("PATH", "/usr/bin:/usr/sbin:/bin:/sbin", 1);
  base::init_logging(base::LogLevel::error);
  start_loopback();
  const Orders orders = read_orders();
  const char* tools = std::getenv("WAYSIDE_MACHINE_ROOT");
  mount_data(tools == nullptr ? "" : tools);
  examine();
  test::TestBroker broker;
  Desk desk(orders, broker.port());
  const test::AgentProcess server(
      WAYSIDE_FLEET_PROGRAM,
      {"fleet", "serve", "--host", "127.0.0.1", "--port", std::to_string(broker.port()), "--client-id",
       "wayside-server-1", "--repository", (orders.world / "repository").string()});
  const test::AgentProcess agent(WAYSIDE_AGENT_PROGRAM, {"--config", agent_config(orders, broker.port())});
  tell("started");
  desk.work(agent);
}
