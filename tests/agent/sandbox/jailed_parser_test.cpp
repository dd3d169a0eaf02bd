// SPDX-License-Identifier: Apache-2.0
// The jailed parser: its answers are those of the parsers themselves; a parser that was taken over costs one request.
#include "agent/sandbox/jailed_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "agent/sandbox/parse_worker.h"
#include "ota/delta/deflate.h"
#include "tests/base/mqtt/test_broker.h"

namespace wayside::agent {
namespace {

using base::Code;
using ota::Bytes;
using ota::Refusal;

Bytes some_file() {
  Bytes file(200'000);
  std::mt19937 random(3);
  for (auto& byte : file) byte = static_cast<std::byte>(random() % 17);
  return file;
}

ota::Envelope some_envelope(int signers = 2) {
  ota::Envelope envelope{.type = "wayside-rollout/1", .body = R"({"a":"poison"})", .signatures = {}};
  for (int i = 0; i < signers; ++i) {
    const auto key = ota::SecretKey::generate().value();
    envelope.signatures.push_back(ota::sign_document(key, envelope.type, envelope.body).value());
  }
  return ota::Envelope::parse(envelope.serialize()).value();  // sorted
}

constexpr std::string_view kCommand =
    R"({"status":"init","role":"detector","rollout":"r1","not_after":"2030-01-01T00:00:00Z","hints":{"max_bytes":77},)"
    R"("target":{"manifest_sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}})";

struct JailedParserTest : testing::Test {
  test::TempDir folder;
  JailedParser parser{WAYSIDE_FETCH_PROGRAM};

  /// The program that behaves in this way when the input has the word "poison" in it, or always.
  JailedParser taken_over(const std::string& behaviour, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    std::filesystem::create_symlink(WAYSIDE_PARSER_PEER, folder.path() / behaviour);
    return JailedParser(folder.path() / behaviour, limit);
  }
};

TEST_F(JailedParserTest, AnswersWhatTheParsersAnswer) {
  const Bytes file = some_file();
  const auto index = ota::index_file(ota::SpanSource(file)).value();
  const auto got = parser.index(index.serialize());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->serialize(), index.serialize());
  EXPECT_EQ(got->chunks.back().offset, index.chunks.back().offset);

  const auto raw = ota::BytesView(file).first(20'000);
  const auto inflated = parser.inflate(ota::deflate_chunk(raw).value(), raw.size());
  ASSERT_TRUE(inflated) << inflated.error().message;
  EXPECT_EQ(*inflated, Bytes(raw.begin(), raw.end()));

  const auto envelope = some_envelope();
  const auto opened = parser.envelope(envelope.serialize());
  ASSERT_TRUE(opened) << describe(opened.error());
  EXPECT_EQ(opened->serialize(), envelope.serialize());

  const auto command = parser.command("r1", kCommand);
  ASSERT_TRUE(command && *command) << describe(command.error());
  EXPECT_EQ((**command).id, "r1");
  EXPECT_EQ((**command).role, "detector");
  EXPECT_EQ((**command).rollout, "r1");
  EXPECT_EQ((**command).max_bytes, 77U);
  EXPECT_EQ((**command).not_after_unix_s, 1'893'456'000);
  EXPECT_EQ((**command).manifest, ota::parse_update_command("r1", kCommand).value().value().manifest);
  EXPECT_FALSE(*parser.command("r1", R"({"status":"successful"})")) << "our own report";
}

TEST_F(JailedParserTest, RefusesWithTheReasonAndGoesOn) {
  const auto index = parser.index(Bytes(100));
  EXPECT_EQ(index.error().code, Code::corrupt);
  EXPECT_TRUE(index.error().message.contains("WCI1")) << index.error().message;
  EXPECT_EQ(parser.inflate(Bytes(100), 500).error().code, Code::corrupt);
  EXPECT_EQ(parser.inflate({}, ota::kMaxChunkBytes + 1).error().code, Code::corrupt);
  EXPECT_EQ(parser.envelope("{}").error().reason, Refusal::signatures_malformed);
  EXPECT_EQ(parser.envelope(std::string(100'000, '[')).error().reason, Refusal::too_deep);
  EXPECT_EQ(parser.envelope(std::string(2'000'000, ' ')).error().reason, Refusal::manifest_too_large);
  EXPECT_EQ(parser.command("r1", "no json").error().reason, Refusal::command_malformed);
  EXPECT_EQ(parser.command("../r1", kCommand).error().reason, Refusal::command_malformed);
  EXPECT_EQ(parser.command("r1", std::string(100'000, ' ')).error().reason, Refusal::command_malformed);
  EXPECT_TRUE(parser.running()) << "none of this is a reason to die";
  parser.rest();
  EXPECT_FALSE(parser.running());
  EXPECT_TRUE(parser.command("r1", kCommand)) << "started again";
}

TEST_F(JailedParserTest, OneThatDiesHangsOrHidesCostsOneRequest) {
  for (const char* behaviour : {"crashes", "fragile", "hides"}) {
    JailedParser bad = taken_over(behaviour);
    const auto answer = bad.envelope(some_envelope().serialize());
    ASSERT_FALSE(answer) << behaviour;
    EXPECT_EQ(answer.error().reason, Refusal::parser_failed);
    EXPECT_TRUE(answer.error().message.contains("may be an attack")) << answer.error().message;
    EXPECT_FALSE(bad.running());
    EXPECT_TRUE(bad.command("r1", kCommand)) << "the next request has a new one";
  }
  JailedParser slow = taken_over("hangs", std::chrono::seconds(2));
  EXPECT_TRUE(slow.envelope(some_envelope().serialize()).error().message.contains("took longer than 2000 ms"));
  EXPECT_FALSE(slow.running());
}

TEST_F(JailedParserTest, WhatItSaysIsNotBelieved) {
  const auto envelope = some_envelope(1);
  JailedParser repeats = taken_over("repeats"), boasts = taken_over("boasts"), babbles = taken_over("babbles");
  const auto twice = repeats.envelope(envelope.serialize());
  ASSERT_FALSE(twice) << "a threshold counts keys, not copies";
  EXPECT_EQ(twice.error().reason, Refusal::parser_failed);
  EXPECT_EQ(boasts.index(Bytes(10)).error().code, Code::bad_state);
  EXPECT_EQ(boasts.inflate(Bytes(10), 20).error().code, Code::bad_state);
  EXPECT_FALSE(boasts.command("r1", kCommand));
  EXPECT_EQ(babbles.index(Bytes(10)).error().code, Code::corrupt);
  EXPECT_FALSE(babbles.inflate(Bytes(10), 20));
  EXPECT_FALSE(babbles.envelope(envelope.serialize()));
  EXPECT_FALSE(babbles.command("r1", kCommand));
  JailedParser complains = taken_over("complains");
  const auto forged = complains.envelope(envelope.serialize());
  EXPECT_EQ(forged.error().reason, Refusal::parser_failed) << "a code that there is not";
  EXPECT_EQ(forged.error().message, "line one?event=forged ?[2J") << "one line, for our log";
}

TEST_F(JailedParserTest, OneThatIsNotThereIsAnError) {
  JailedParser missing("/nonexistent/wayside-fetch");
  EXPECT_EQ(missing.index(Bytes(10)).error().code, Code::not_found);
  EXPECT_EQ(missing.command("r1", kCommand).error().reason, Refusal::parser_failed);
}

/// Every byte of each plain form changed: taken for something else or refused, never read beyond.
TEST(PlainForm, BentAnswersAreBounded) {
  const Bytes file = some_file();
  const Bytes plains[] = {to_plain(ota::index_file(ota::SpanSource(file)).value()), to_plain(some_envelope()),
                          to_plain(ota::parse_update_command("r1", kCommand).value())};
  for (const Bytes& plain : plains) {
    for (std::size_t i = 0; i < plain.size(); ++i) {
      Bytes bent = plain;
      bent[i] ^= std::byte{0x80};
      (void)index_of(bent);
      (void)envelope_of(bent);
      (void)command_of(bent);
      const auto cut = ota::BytesView(plain).first(i);
      EXPECT_FALSE(index_of(cut)) << "a shorter list does not add up";
      EXPECT_FALSE(command_of(cut));
    }
  }
}

}  // namespace
}  // namespace wayside::agent
