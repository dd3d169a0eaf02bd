// SPDX-License-Identifier: Apache-2.0
// The jailed parser: answers one request after the other, on descriptors 0 and 1, until its owner is gone.
#pragma once

#include "agent/sandbox/plain_form.h"

namespace wayside::agent {

/// The answer's bytes for input that is untrusted. Nothing is kept from one request to the next.
struct Parsed {
  ParseAnswer answer;  ///< `bytes` is that of `plain`
  ota::Bytes plain;
};
[[nodiscard]] Parsed parse(const ParseRequest& request, ota::BytesView input);

using Parse = Parsed(const ParseRequest& request, ota::BytesView input);

/// Enters the jail, then serves. The process's exit code: 0 when the owner closed its end.
[[nodiscard]] int serve_parser(Parse* parse = wayside::agent::parse);

}  // namespace wayside::agent
