// SPDX-License-Identifier: Apache-2.0
// ProvisioningDesk: the operator's half of enrolment; the device's is ota/enrolment.
#pragma once

#include <string>

#include "base/result.h"
#include "fleet/identity/authority.h"
#include "fleet/inventory.h"

namespace wayside::fleet {

/// Answers one request. Claims leak (a stolen board): what they can do is bounded by the list of allowed devices, each
/// of which can be provisioned once, and by the switch. Pure but for the database; `claim` comes from the topic, which
/// the broker's rules tie to the certificate.
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

}  // namespace wayside::fleet
