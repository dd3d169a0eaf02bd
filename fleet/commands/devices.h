// SPDX-License-Identifier: Apache-2.0
// `wayside fleet enroll|list|show|revoke|authority|provision`: devices and their certificates.
#pragma once

#include <string>
#include <vector>

#include "fleet/commands/output.h"

namespace wayside::fleet {

struct EnrollOptions {
  std::string id;
  std::vector<std::string> groups, labels;  ///< labels as key=value
  std::string authority;  ///< folder; empty: only allowed, the device gets its certificate by provisioning
  std::string out = ".";  ///< where <id>.key, <id>.crt and ca.crt go
};
/// Exit codes: 0 done, 1 failed with one line on standard error.
int enroll_command(const FleetOptions& fleet, const EnrollOptions& options);

struct ListOptions {
  std::string group, where;
};
int list_command(const FleetOptions& fleet, const ListOptions& options);
int show_command(const FleetOptions& fleet, const std::string& id);
int revoke_command(const FleetOptions& fleet, const std::string& id);

struct AuthorityOptions {
  std::string folder;
  std::vector<std::string> broker_names;  ///< "DNS:broker.lan"; makes broker.crt and broker.key too
  bool for_claims = false;                ///< makes claim.crt/key for `claim` instead of the operator's certificates
  std::string claim;
};
/// Makes an authority with certificates for the broker and the operator.
int authority_command(const FleetOptions& fleet, const AuthorityOptions& options);

struct ProvisionOptions {
  BrokerOptions broker;
  std::string authority;
  unsigned seconds = 0;  ///< 0: until Ctrl-C
};
/// Answers provisioning requests; ending it is the switch that turns provisioning off.
int provision_command(const FleetOptions& fleet, const ProvisionOptions& options);

}  // namespace wayside::fleet
