// SPDX-License-Identifier: Apache-2.0
// Enrolment: a device that has only a claim certificate asks the operator for its own.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mqtt/client.h"
#include "base/result.h"
#include "ota/enrolment/device_key.h"

namespace wayside::ota {

/// A claim is a certificate of the claim authority that a batch of boards shares; it opens nothing but these two
/// topics, on a broker listener of its own (packaging/mosquitto):
///   <root>/provision/<claim>/csr   device ->   {"device":"gate-1","csr":"<PEM>"}
///   <root>/provision/<claim>/crt/<device>  ->  {"device":"gate-1","certificate":"<PEM>"} or
///   {"device":...,"refused":"why"}
[[nodiscard]] std::string enrolment_request_topic(std::string_view root, std::string_view claim);
[[nodiscard]] std::string enrolment_reply_topic(std::string_view root, std::string_view claim, std::string_view device);

struct EnrolmentOptions {
  base::mqtt::ClientOptions claim_connection{};  ///< host, port and the claim's TLS files
  std::string root = "te";                       ///< first level of all topics
  std::string claim;                             ///< common name of the claim certificate
  std::string device;
  std::chrono::seconds limit{30};
};

/// Connects with the claim, sends a request of `key`, waits for the certificate and checks that it is of this key and
/// name. Errors: timeout (with the connection's last complaint), bad_state (refused, with the reason), corrupt (an
/// answer that is no such certificate), and the client's.
base::Result<std::string> enroll(const EnrolmentOptions& options, const DeviceKey& key, base::Clock& clock);

}  // namespace wayside::ota
