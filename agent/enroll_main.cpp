// SPDX-License-Identifier: Apache-2.0
// wayside-enroll: gets a device that has a claim certificate its own certificate; ends at once when it has one.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <format>
#include <string>
#include <vector>

#include "agent/config.h"
#include "base/log.h"
#include "base/storage.h"
#include "ota/enrolment/enrolment.h"

namespace {

namespace base = wayside::base;
namespace ota = wayside::ota;
using base::Code;
using base::fail;
using base::Result;

constexpr std::uint16_t kDefaultPort = 8884;  // packaging/mosquitto/provisioning.conf
constexpr std::size_t kMaxFileBytes = 16 * 1024;
constexpr std::size_t kMaxClaimFiles = 16;
constexpr const char* kKey = "device.key";
constexpr const char* kCertificate = "device.crt";

struct Arguments {
  std::string config, claim, identity;
  unsigned seconds = 30;
};

struct Claim {
  base::mqtt::TlsFiles files;
  std::string name;
  std::string server;  ///< "host" or "host:port"; empty: not said
};

Result<std::string> read_text(base::Storage& folder, const std::filesystem::path& name) {
  WAYSIDE_TRY(const auto bytes, folder.read(name, kMaxFileBytes));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// ca.crt, the one other .crt with its .key, and perhaps "server".
Result<Claim> read_claim(const std::filesystem::path& path) {
  WAYSIDE_TRY(auto folder, base::DiskStorage::open(path));
  WAYSIDE_TRY(const auto names, folder.list("."));
  if (names.size() > kMaxClaimFiles) return fail(Code::exhausted, path.string() + ": too many files");
  Claim claim;
  for (const auto& name : names) {
    if (name == "ca.key")
      return fail(
          Code::invalid_argument,
          path.string() + ": ca.key is there; it makes certificates and must never leave the operator: delete it");
    if (!name.ends_with(".crt") || name == "ca.crt") continue;
    if (!claim.files.cert.empty())
      return fail(Code::invalid_argument, path.string() + ": more than one claim certificate");
    claim.files.cert = path / name;
  }
  if (claim.files.cert.empty())
    return fail(Code::not_found, path.string() + ": no claim certificate; copy ca.crt, CLAIM.crt and CLAIM.key there");
  claim.files.ca = path / "ca.crt";
  claim.files.key = std::filesystem::path(claim.files.cert).replace_extension(".key");
  const auto certificate = claim.files.cert.filename();
  WAYSIDE_TRY(const auto text, read_text(folder, certificate));
  auto name = ota::certificate_name(text);
  if (!name) return std::unexpected(name.error().context(claim.files.cert.string()));
  claim.name = *name;
  if (const auto server = read_text(folder, "server")) claim.server = server->substr(0, server->find_first_of("\r\n"));
  return claim;
}

Result<void> set_server(const std::string& server, base::mqtt::ClientOptions& options) {
  const auto colon = server.rfind(':');
  options.host = server.substr(0, colon);
  if (colon == std::string::npos) return {};
  const char* end = server.data() + server.size();
  const auto [stop, error] = std::from_chars(server.data() + colon + 1, end, options.port);
  if (error != std::errc{} || stop != end || options.port == 0)
    return fail(Code::invalid_argument, std::format("server: \"{}\" is not HOST or HOST:PORT", server));
  return {};
}

/// The device's id, once it has a certificate.
Result<std::string> run(const Arguments& arguments) {
  WAYSIDE_TRY(const auto config, wayside::agent::load_config(arguments.config));
  const auto& device = config.device.id;
  WAYSIDE_TRY(auto identity, base::DiskStorage::open(arguments.identity));
  WAYSIDE_TRY(const auto key, ota::DeviceKey::open_or_create(identity, kKey));
  if (const auto present = read_text(identity, kCertificate); present && key.has_certificate(*present, device))
    return device;
  WAYSIDE_TRY(const auto claim, read_claim(arguments.claim));
  ota::EnrolmentOptions options{.root = config.mqtt.root, .claim = claim.name, .device = device};
  options.limit = std::chrono::seconds(arguments.seconds);
  options.claim_connection.host = config.mqtt.host;
  options.claim_connection.port = kDefaultPort;
  if (!claim.server.empty()) WAYSIDE_CHECK(set_server(claim.server, options.claim_connection));
  options.claim_connection.client_id = claim.name;
  options.claim_connection.tls = claim.files;
  auto certificate = ota::enroll(options, key, base::Clock::real());
  if (!certificate)
    return std::unexpected(certificate.error().context(
        std::format("{} at {}:{}", device, options.claim_connection.host, options.claim_connection.port)));
  WAYSIDE_CHECK(base::replace_file(identity, kCertificate, std::as_bytes(std::span(*certificate))));
  return device;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Gets this device its own certificate with the claim certificate of its batch", "wayside-enroll");
  Arguments arguments;
  app.add_option("--config", arguments.config, "The agent's configuration: device id, broker, topic root")->required();
  app.add_option("--claim", arguments.claim,
                 "Folder with ca.crt, CLAIM.crt, CLAIM.key and perhaps server (HOST[:PORT])")
      ->required();
  app.add_option("--identity", arguments.identity, "Folder that keeps device.key and device.crt")->required();
  app.add_option("--seconds", arguments.seconds, "How long to wait for an answer")->check(CLI::Range(1U, 3600U));
  CLI11_PARSE(app, argc, argv);
  ::umask(0077);
  base::init_logging(base::LogLevel::error);
  const auto device = run(arguments);
  if (!device) {
    std::fprintf(stderr, "wayside-enroll: %s\n", device.error().message.c_str());
    return 1;
  }
  std::printf("enrolled as %s\n", device->c_str());
  return 0;
}
