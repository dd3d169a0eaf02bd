// SPDX-License-Identifier: Apache-2.0
// Attacks on packages: each is refused with a code of its own before a byte reaches a final path.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/ota/package/package_kit.h"
#include "tests/support/figures.h"

namespace wayside::ota {
namespace {

using testing_support::figure;
using Json = nlohmann::json;

struct Attack {
  std::string name;
  Refusal expected;
  std::function<Bytes(PackageKit&)> make;
};

/// The manifest bent as JSON, properly signed: what a stolen or careless signing process could send.
Attack bent(std::string name, Refusal expected, std::function<void(Json&)> bend) {
  return {std::move(name), expected, [bend](PackageKit& kit) {
            Json json = Json::parse(kit.manifest.serialize());
            bend(json);
            return kit.package_of(json.dump());
          }};
}

Attack text(std::string name, Refusal expected, std::function<std::string(std::string)> bend) {
  return {std::move(name), expected,
          [bend](PackageKit& kit) { return kit.package_of(bend(kit.manifest.serialize())); }};
}

Attack raw(std::string name, Refusal expected, std::function<void(PackageKit&, Bytes&)> bend) {
  return {std::move(name), expected, [bend](PackageKit& kit) {
            Bytes bytes = kit.package();
            bend(kit, bytes);
            return bytes;
          }};
}

Attack signed_as(std::string name, Refusal expected, std::function<std::string(PackageKit&, const std::string&)> sign) {
  return {std::move(name), expected, [sign](PackageKit& kit) {
            const auto body = kit.manifest.serialize();
            return kit.package(body, sign(kit, body), kit.files());
          }};
}

std::string replaced(std::string in, std::string_view what, std::string_view by) {
  const auto at = in.find(what);
  return at == std::string::npos ? in : in.replace(at, what.size(), by);
}

std::vector<Attack> container_attacks() {
  std::vector<Attack> all;
  all.push_back(raw("empty file", Refusal::truncated, [](auto&, Bytes& b) { b.clear(); }));
  all.push_back(raw("cut in the middle", Refusal::truncated, [](auto&, Bytes& b) { b.resize(b.size() / 2); }));
  all.push_back(raw("one byte appended", Refusal::trailing_bytes, [](auto&, Bytes& b) { b.push_back({}); }));
  all.push_back(raw("another magic", Refusal::bad_magic, [](auto&, Bytes& b) { b[0] ^= std::byte{1}; }));
  all.push_back(raw("format 2", Refusal::unsupported_format, [](auto&, Bytes& b) { b[8] = std::byte{2}; }));
  all.push_back(raw("reserved bytes used", Refusal::reserved_not_zero, [](auto&, Bytes& b) { b[39] = std::byte{1}; }));
  all.push_back(raw("manifest of 4 GiB", Refusal::manifest_too_large, [](auto&, Bytes& b) { b[15] = std::byte{255}; }));
  all.push_back(
      raw("signatures of 4 GiB", Refusal::signatures_too_large, [](auto&, Bytes& b) { b[19] = std::byte{255}; }));
  all.push_back(raw("2^24 files", Refusal::too_many_files, [](auto&, Bytes& b) { b[23] = std::byte{1}; }));
  all.push_back(raw("endless data", Refusal::package_too_large, [](auto&, Bytes& b) { b[31] = std::byte{255}; }));
  all.push_back({"a file twice", Refusal::table_not_sorted, [](PackageKit& kit) {
                   auto files = kit.files();
                   files.insert(files.begin(), files.front());
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), files);
                 }});
  all.push_back({"a file that the manifest does not list", Refusal::extra_file, [](PackageKit& kit) {
                   const auto body = kit.manifest.serialize();
                   kit.add("payload beside the manifest");
                   return kit.package(body, kit.sign(body), kit.files());
                 }});
  all.push_back({"a listed file left out", Refusal::missing_file, [](PackageKit& kit) {
                   auto files = kit.files();
                   files.pop_back();
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), files);
                 }});
  all.push_back({"a file longer than listed", Refusal::size_mismatch, [](PackageKit& kit) {
                   auto files = kit.files();
                   files.front().second.push_back({});
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), files);
                 }});
  all.push_back({"a listed file truncated", Refusal::size_mismatch, [](PackageKit& kit) {
                   auto files = kit.files();
                   files.back().second.pop_back();
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), files);
                 }});
  all.push_back({"other contents of the same size", Refusal::hash_mismatch, [](PackageKit& kit) {
                   auto files = kit.files();
                   files.back().second.front() ^= std::byte{0x20};
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), files);
                 }});
  all.push_back({"the files of another package (mix and match)", Refusal::extra_file, [](PackageKit& kit) {
                   PackageKit other;
                   other.blobs.clear();
                   other.add("another model");
                   const auto body = kit.manifest.serialize();
                   return kit.package(body, kit.sign(body), other.files());
                 }});
  return all;
}

std::vector<Attack> text_attacks() {
  std::vector<Attack> all;
  all.push_back(text("no JSON", Refusal::not_json, [](auto) { return std::string("model"); }));
  all.push_back(text("broken UTF-8", Refusal::not_json, [](auto t) { return replaced(t, "person", "pers\xff\xfe"); }));
  all.push_back(text("a NUL in the text", Refusal::not_json,
                     [](auto t) { return replaced(t, "person", std::string_view("per\0on", 6)); }));
  all.push_back(text("deep nesting", Refusal::too_deep,
                     [](auto) { return std::string(100'000, '[') + std::string(100'000, ']'); }));
  all.push_back(text("white space", Refusal::not_canonical, [](auto t) { return replaced(t, ",", ", "); }));
  all.push_back(text("a key twice", Refusal::not_canonical, [](auto t) {
    return replaced(t, "\"name\":\"street\"", "\"name\":\"street\",\"name\":\"other\"");
  }));
  all.push_back(text("another spelling of a letter", Refusal::not_canonical,
                     [](auto t) { return replaced(t, "person", "p\\u0065rson"); }));
  all.push_back(text("a fraction", Refusal::not_an_integer,
                     [](auto t) { return replaced(t, "\"security_counter\":5", "\"security_counter\":5.5"); }));
  all.push_back(text("a number over 64 bits", Refusal::not_an_integer, [](auto t) {
    return replaced(t, "\"security_counter\":5", "\"security_counter\":99999999999999999999");
  }));
  all.push_back(text("larger than any manifest", Refusal::manifest_too_large,
                     [](auto t) { return t + std::string(kMaxManifestBytes, ' '); }));
  return all;
}

std::vector<Attack> manifest_attacks() {
  const std::string none(64, '0');
  std::vector<Attack> all;
  all.push_back(bent("another type of document", Refusal::unknown_type, [](Json& j) { j["type"] = "wayside-root/1"; }));
  all.push_back(bent("a field left out", Refusal::missing_field, [](Json& j) { j.erase("watch"); }));
  all.push_back(bent("a field nobody knows", Refusal::unknown_field, [](Json& j) { j["run"] = "sh"; }));
  all.push_back(bent("a text for a number", Refusal::wrong_field_type, [](Json& j) { j["security_counter"] = "5"; }));
  all.push_back(bent("a negative counter", Refusal::out_of_range, [](Json& j) { j["security_counter"] = -1; }));
  all.push_back(
      bent("a threshold over one", Refusal::out_of_range, [](Json& j) { j["postprocess"]["score_permille"] = 1001; }));
  all.push_back(bent("../ in the name", Refusal::bad_text, [](Json& j) { j["name"] = "../../etc/passwd"; }));
  all.push_back(bent("an absolute name", Refusal::bad_text, [](Json& j) { j["role"] = "/etc"; }));
  all.push_back(bent("a NUL in the name", Refusal::bad_text, [](Json& j) { j["name"] = std::string("a\0b", 3); }));
  all.push_back(bent("a line end in a label", Refusal::bad_text, [](Json& j) { j["labels"][0] = "a\nerror"; }));
  all.push_back(
      bent("a path for a digest", Refusal::bad_digest, [](Json& j) { j["variants"][0]["file"] = "../model"; }));
  all.push_back(bent("capital letters in a digest", Refusal::bad_digest,
                     [](Json& j) { j["golden"]["inputs"] = std::string(64, 'A'); }));
  all.push_back(bent("no proper version", Refusal::bad_version, [](Json& j) { j["version"] = "latest"; }));
  all.push_back(
      bent("2000 labels", Refusal::too_many_items, [](Json& j) { j["labels"] = std::vector<std::string>(2000, "x"); }));
  all.push_back(
      bent("a variant id twice", Refusal::duplicate_variant, [](Json& j) { j["variants"][0]["id"] = "cpu"; }));
  all.push_back(bent("a variant whose file is not listed", Refusal::file_not_listed,
                     [none](Json& j) { j["variants"][0]["file"] = none; }));
  all.push_back(bent("a file nobody uses", Refusal::unreferenced_file, [none](Json& j) { j["files"][none] = 1; }));
  all.push_back(bent("a file of 2^40 bytes", Refusal::file_too_large, [](Json& j) {
    for (auto& [digest, size] : j["files"].items()) size = std::int64_t{1} << 40;
  }));
  all.push_back(bent("together over the bound", Refusal::total_too_large, [](Json& j) {
    for (auto& [digest, size] : j["files"].items()) size = std::int64_t{6} << 30;
  }));
  all.push_back(bent("no variant at all", Refusal::no_variants, [](Json& j) { j["variants"] = Json::array(); }));
  all.push_back(bent("no golden set", Refusal::no_golden_set, [](Json& j) { j["golden"]["count"] = 0; }));
  all.push_back(bent("a variant with an empty golden set", Refusal::no_golden_set, [](Json& j) {
    j["variants"][0]["golden"] = j["golden"];
    j["variants"][0]["golden"]["count"] = 0;
  }));
  all.push_back(bent("a variant's golden set that is not listed", Refusal::file_not_listed, [none](Json& j) {
    j["variants"][0]["golden"] = j["golden"];
    j["variants"][0]["golden"]["outputs"] = none;
  }));
  all.push_back(bent("a range that is none", Refusal::bad_requirement,
                     [](Json& j) { j["variants"][0]["requires"]["hailort"] = ">=4.x"; }));
  all.push_back(bent("expires before it is issued", Refusal::lifetime_empty, [](Json& j) { j["expires_unix_s"] = 1; }));
  return all;
}

std::vector<Attack> signature_attacks() {
  std::vector<Attack> all;
  all.push_back(signed_as("no signature", Refusal::no_signatures, [](auto&, auto&) { return std::string("[]"); }));
  all.push_back(signed_as("signatures are no list", Refusal::signatures_malformed,
                          [](auto&, auto&) { return std::string("{}"); }));
  all.push_back(signed_as("a signature of no bytes", Refusal::signature_length, [](PackageKit& kit, const auto& body) {
    Json list = Json::parse(kit.sign(body));
    list[0]["sig"] = "";
    return list.dump();
  }));
  all.push_back(signed_as("a signature of 65 bytes", Refusal::signature_length, [](PackageKit& kit, const auto& body) {
    Json list = Json::parse(kit.sign(body));
    list[0]["sig"] = list[0]["sig"].template get<std::string>() + "00";
    return list.dump();
  }));
  all.push_back(signed_as("one key counted twice", Refusal::duplicate_signature,
                          [](PackageKit& kit, const auto& body) { return kit.sign(body, {&kit.first, &kit.first}); }));
  all.push_back(signed_as("1 of 2 signatures", Refusal::threshold_not_met,
                          [](PackageKit& kit, const auto& body) { return kit.sign(body, {&kit.first}); }));
  all.push_back(signed_as("a stranger's signature", Refusal::unknown_key, [](PackageKit& kit, const auto& body) {
    return kit.sign(body, {&kit.first, &kit.stranger});
  }));
  all.push_back(signed_as("the root key signs a package", Refusal::key_not_for_role,
                          [](PackageKit& kit, const auto& body) { return kit.sign(body, {&kit.root_key}); }));
  all.push_back(signed_as(
      "signed for another type of document", Refusal::bad_signature,
      [](PackageKit& kit, const auto& body) { return kit.sign(body, {&kit.first, &kit.second}, kRootType); }));
  all.push_back(signed_as("the signatures of another manifest", Refusal::bad_signature,
                          [](PackageKit& kit, const auto& body) { return kit.sign(body + " "); }));
  all.push_back(signed_as("a stranger under a known id", Refusal::bad_signature, [](PackageKit& kit, const auto& body) {
    Json list = Json::parse(kit.sign(body));
    list[0]["sig"] = Json::parse(kit.sign(body, {&kit.stranger}))[0]["sig"];
    return list.dump();
  }));
  return all;
}

std::vector<Attack> device_attacks() {
  const auto with = [](std::string name, Refusal expected, std::function<void(PackageKit&)> bend) {
    return Attack{std::move(name), expected, [bend](PackageKit& kit) {
                    bend(kit);
                    return kit.package();
                  }};
  };
  std::vector<Attack> all;
  all.push_back(with("no root on the device", Refusal::no_root, [](PackageKit& kit) { kit.root = Root{}; }));
  all.push_back(with("an expired root (freeze)", Refusal::root_expired,
                     [](PackageKit& kit) { kit.root.expires_unix_s = kTestNow_s; }));
  all.push_back(with("expired", Refusal::expired, [](PackageKit& kit) { kit.now_s = kTestNow_s + 100; }));
  all.push_back(with("from the future", Refusal::issued_in_future, [](PackageKit& kit) { kit.now_s -= 10'000; }));
  all.push_back(
      with("an older security counter", Refusal::rollback, [](PackageKit& kit) { kit.device.counter_floor = 6; }));
  all.push_back(with("a counter far ahead", Refusal::fast_forward,
                     [](PackageKit& kit) { kit.manifest.security_counter = INT64_MAX; }));
  all.push_back(
      with("for another board", Refusal::foreign_board, [](PackageKit& kit) { kit.device.board = "rock5-itx"; }));
  all.push_back(with("for another runtime version", Refusal::no_variant_for_runtime, [](PackageKit& kit) {
    kit.device.runtimes = {{.accelerator = "hailo8", .versions = {{"hailort", "4.21.0"}}}};
  }));
  all.push_back({"the store is full", Refusal::no_space, nullptr});
  return all;
}

TEST(AttackTest, every_fixture_is_refused_with_its_code_and_publishes_nothing) {
  std::vector<Attack> all = container_attacks();
  for (auto part : {text_attacks(), manifest_attacks(), signature_attacks(), device_attacks()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  std::size_t refused = 0;
  std::set<Refusal> codes;
  for (const Attack& attack : all) {
    PackageKit kit;
    std::size_t published = 0;
    Checked<Manifest> result = Manifest{};
    if (attack.make) {
      result = kit.try_package(attack.make(kit), published);
    } else {
      base::FaultyStorage storage(1);
      auto store = BlobStore::open(storage).value();
      ASSERT_TRUE(storage.write("in", kit.package()));
      storage.set_capacity(kReserveBytes);
      result = kit.install(storage, "in", store);
      published = store.list().value().size();
    }
    ASSERT_FALSE(result) << attack.name << ": was accepted";
    EXPECT_EQ(result.error().reason, attack.expected) << attack.name << ": " << describe(result.error());
    EXPECT_EQ(published, 0U) << attack.name;
    EXPECT_FALSE(result.error().message.empty()) << attack.name;
    EXPECT_FALSE(result.error().message.contains('\n')) << attack.name;
    refused += result.error().reason == attack.expected && published == 0 ? 1 : 0;
    codes.insert(result.error().reason);
  }
  EXPECT_GE(all.size(), 40U);
  EXPECT_GE(codes.size(), 40U) << "distinct codes";
  figure("attack_fixtures", all.size());
  figure("attacks_refused", refused);
  figure("attack_codes", codes.size());
}

TEST(AttackTest, every_flipped_byte_and_every_truncation_is_refused) {
  const PackageKit kit;
  const Bytes good = kit.package();
  std::size_t published = 0;
  ASSERT_TRUE(kit.try_package(good, published)) << "the untouched package must be accepted";
  ASSERT_EQ(published, kit.blobs.size());
  std::size_t flips = 0, flips_refused = 0, cuts = 0, cuts_refused = 0;
  const std::vector<unsigned> masks =
      testing_support::run_in_full() ? std::vector{1U, 2U, 4U, 8U, 16U, 32U, 64U, 128U, 255U} : std::vector{1U, 128U};
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const unsigned mask : masks) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(mask);
      const auto result = kit.try_package(bad, published);
      ++flips;
      flips_refused += !result && published == 0 ? 1 : 0;
      ASSERT_FALSE(result) << "byte " << at << " mask " << mask;
      ASSERT_EQ(published, 0U) << "byte " << at;
    }
  }
  for (std::size_t length = 0; length < good.size(); ++length, ++cuts) {
    const auto result =
        kit.try_package(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)), published);
    ASSERT_FALSE(result) << "cut to " << length;
    cuts_refused += published == 0 ? 1 : 0;
  }
  figure("byte_flips", flips);
  figure("byte_flips_refused", flips_refused);
  figure("truncations", cuts);
  figure("truncations_refused", cuts_refused);
}

}  // namespace
}  // namespace wayside::ota
