// SPDX-License-Identifier: Apache-2.0
// Provisioning: a device that has only a claim certificate asks for its own; the operator's side answers.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/result.h"
#include "fleet/identity/authority.h"
#include "fleet/inventory.h"

namespace wayside::fleet {

/// A claim is a certificate of the claim authority that a batch of boards shares; it opens nothing but these two
/// topics, on a broker listener of its own (packaging/mosquitto):
///   <root>/provision/<claim>/csr   device ->   {"device":"gate-1","csr":"<PEM>"}
///   <root>/provision/<claim>/crt/<device>  ->  {"device":"gate-1","certificate":"<PEM>"} or
///   {"device":...,"refused":"why"}
/// Claims leak (a stolen board): what they can do is bounded by the list of allowed devices, each of which can be
/// provisioned once, and by the switch.
[[nodiscard]] std::string provision_request_topic(std::string_view root, std::string_view claim);
[[nodiscard]] std::string provision_reply_topic(std::string_view root, std::string_view claim, std::string_view device);

/// Answers one request. Pure but for the database; `claim` comes from the topic, which the broker's rules tie to the
/// certificate.
class ProvisioningDesk {
 public:
  ProvisioningDesk(Inventory& inventory, const Authority& authority) : inventory_(inventory), authority_(authority) {}
  struct Reply {
    std::string device;  ///< empty: the request named none, nobody can be answered
    std::string payload;
    bool granted = false;
  };
  /// The device must be in the inventory in state "allowed" and, when it has a label "claim", that claim must be used.
  Reply answer(const std::string& claim, const std::string& payload, std::int64_t now_unix_s);

 private:
  base::Result<std::string> grant(const std::string& claim, const std::string& device, const std::string& request,
                                  std::int64_t now_unix_s);
  Inventory& inventory_;
  const Authority& authority_;
};

/// The device's part: connects with the claim, sends the request, waits for its certificate. The key stays here.
/// Errors: timeout, bad_state (refused, with the reason), and the client's.
base::Result<Identity> provision(base::mqtt::ClientOptions claim_connection, const std::string& root,
                                 const std::string& claim, const std::string& device, std::chrono::seconds limit,
                                 base::Clock& clock);

}  // namespace wayside::fleet
