// SPDX-License-Identifier: Apache-2.0
// Strictness: one spelling, no fractions, bounded depth, no unknown fields.
#include "ota/package/canonical_json.h"

#include <algorithm>
#include <format>

namespace wayside::ota {
namespace {

using Json = nlohmann::json;

/// Depth of brackets outside texts; the parser below builds a tree whose destruction and printing recurse.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

bool has_fraction(const Json& value) {
  if (value.is_number_float()) return true;
  if (value.is_number_unsigned()) return value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (!value.is_structured()) return false;
  return std::ranges::any_of(value, has_fraction);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '+';
  });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

std::string canonical(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Checked<Json> parse_bounded(std::string_view text) {
  if (depth_of(text) > kMaxJsonDepth) {
    return refuse(Refusal::too_deep, std::format("nested deeper than {}", kMaxJsonDepth));
  }
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return refuse(Refusal::not_json, "not JSON in UTF-8");
  return value;
}

Checked<Json> parse_canonical(std::string_view text) {
  auto parsed = parse_bounded(text);
  if (!parsed) return parsed;
  Json& value = *parsed;
  if (has_fraction(value)) return refuse(Refusal::not_an_integer, "a number is not a 64-bit integer");
  if (canonical(value) != text) {
    return refuse(Refusal::not_canonical, "not in canonical form (sorted keys, each once, no white space)");
  }
  return value;
}

ObjectReader::ObjectReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) note(Refusal::wrong_field_type, "is not an object");
}

void ObjectReader::note(Refusal reason, const std::string& what) {
  if (!problem_) problem_ = Refused{reason, where_ + ": " + what};
}

void ObjectReader::note(const Refused& refused) {
  if (!problem_) problem_ = refused;
}

bool ObjectReader::has(const char* key) const { return object_.is_object() && object_.contains(key); }

const Json* ObjectReader::find(const char* key, Json::value_t type) {
  asked_.emplace_back(key);
  if (problem_) return nullptr;
  const auto found = object_.find(key);
  if (found == object_.end()) {
    note(Refusal::missing_field, std::format("{} is missing", key));
    return nullptr;
  }
  const bool integers = type == Json::value_t::number_integer && found->is_number_integer();
  if (found->type() != type && !integers) {
    note(Refusal::wrong_field_type, std::format("{} has the wrong type", key));
    return nullptr;
  }
  return &*found;
}

std::string ObjectReader::checked_text(const Json& value, const std::string& what, bool as_name) {
  if (!value.is_string()) {
    note(Refusal::wrong_field_type, what + " is not a text");
    return {};
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kMaxTextBytes || has_control(text) || (as_name && !is_name(text))) {
    note(Refusal::bad_text,
         std::format("{} may have at most {} bytes {}", what, kMaxTextBytes,
                     as_name ? "of A-Z a-z 0-9 . _ - + and not start with a point" : "and no control characters"));
    return {};
  }
  return text;
}

std::string ObjectReader::name(const char* key) {
  const Json* value = find(key, Json::value_t::string);
  return value == nullptr ? std::string{} : checked_text(*value, key, true);
}

std::string ObjectReader::text(const char* key) {
  const Json* value = find(key, Json::value_t::string);
  return value == nullptr ? std::string{} : checked_text(*value, key, false);
}

std::int64_t ObjectReader::integer(const char* key, std::int64_t min, std::int64_t max) {
  const Json* value = find(key, Json::value_t::number_integer);
  if (value == nullptr) return min;
  const auto number = value->get<std::int64_t>();
  if (number < min || number > max) {
    note(Refusal::out_of_range, std::format("{} is {}, allowed are {} to {}", key, number, min, max));
    return min;
  }
  return number;
}

bool ObjectReader::boolean(const char* key) {
  const Json* value = find(key, Json::value_t::boolean);
  return value != nullptr && value->get<bool>();
}

Digest ObjectReader::digest(const char* key) {
  const Json* value = find(key, Json::value_t::string);
  if (value == nullptr) return {};
  const auto digest = Digest::parse(value->get_ref<const std::string&>());
  if (!digest) note(Refusal::bad_digest, std::format("{} is no SHA-256 in lower-case hex", key));
  return digest.value_or(Digest{});
}

const Json* ObjectReader::list(const char* key, std::size_t max_items) {
  const Json* value = find(key, Json::value_t::array);
  if (value != nullptr && value->size() > max_items) {
    note(Refusal::too_many_items,
         std::format("{} has {} items, at most {} are allowed", key, value->size(), max_items));
    return nullptr;
  }
  return value;
}

const Json* ObjectReader::object(const char* key, std::size_t max_items) {
  const Json* value = find(key, Json::value_t::object);
  if (value != nullptr && value->size() > max_items) {
    note(Refusal::too_many_items,
         std::format("{} has {} items, at most {} are allowed", key, value->size(), max_items));
    return nullptr;
  }
  return value;
}

std::vector<std::string> ObjectReader::names(const char* key, std::size_t max_items) {
  std::vector<std::string> found;
  const Json* items = list(key, max_items);
  if (items == nullptr) return found;
  for (const Json& item : *items) found.push_back(checked_text(item, key, true));
  return found;
}

std::vector<std::string> ObjectReader::texts(const char* key, std::size_t max_items) {
  std::vector<std::string> found;
  const Json* items = list(key, max_items);
  if (items == nullptr) return found;
  for (const Json& item : *items) found.push_back(checked_text(item, key, false));
  return found;
}

Checked<void> ObjectReader::finish() {
  if (!problem_) {
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(asked_, key) == asked_.end()) {
        note(Refusal::unknown_field, "has a field that this program does not know; update the device first");
        break;
      }
    }
  }
  if (problem_) return std::unexpected(*problem_);
  return {};
}

}  // namespace wayside::ota
