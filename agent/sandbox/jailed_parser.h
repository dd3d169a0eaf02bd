// SPDX-License-Identifier: Apache-2.0
// JailedParser: parses what came over MQTT, before anything has vouched for it, in a program that jails itself.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "agent/sandbox/child.h"
#include "agent/sandbox/plain_form.h"
#include "ota/transfer/piece_parser.h"

namespace wayside::agent {

/// The program (wayside-fetch) is started at the first request and serves until rest(). One that crashes, is killed for
/// what it tries, hangs or answers nonsense is ended, which fails that request; the next one starts another. Each
/// answer is checked again here, where a glance is enough (plain_form.h); what a chunk or document is worth, its hash
/// or its signatures say. Thread: one. Blocks for at most `limit`.
class JailedParser final : public ota::PieceParser {
 public:
  explicit JailedParser(std::filesystem::path program, std::chrono::milliseconds limit = std::chrono::seconds(10))
      : program_(std::move(program)), limit_(limit) {}

  /// Errors: corrupt (refused), bad_state (it died: take the input for an attack), timeout, io (cannot be started).
  base::Result<ota::ChunkIndex> index(ota::BytesView document) override;
  base::Result<ota::Bytes> inflate(ota::BytesView deflated, std::size_t raw_bytes) override;
  /// Refusals: those of Envelope::parse and parse_update_command; parser_failed.
  ota::Checked<ota::Envelope> envelope(std::string_view text);
  ota::Checked<std::optional<ota::UpdateCommand>> command(std::string_view id, std::string_view payload);

  /// Ends the program, which takes memory for nothing while nothing comes.
  void rest() { worker_.reset(); }
  [[nodiscard]] bool running() const { return worker_.has_value(); }

 private:
  struct Worker {
    Child child;
    base::UniqueFd line, errors;
  };
  struct Answer {
    ParseAnswer head;
    ota::Bytes bytes;
  };
  base::Result<void> start();
  base::Result<Answer> ask(const ParseRequest& request, ota::BytesView input);
  base::Result<Answer> exchange(const ParseRequest& request, ota::BytesView input);
  base::Error autopsy(std::string_view job);
  std::filesystem::path program_;
  std::chrono::milliseconds limit_;
  std::optional<Worker> worker_;
};

}  // namespace wayside::agent
