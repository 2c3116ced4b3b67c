#include "router/openai/fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/suggest.h"
#include "router/openai/limits.h"

namespace bessemer {
namespace {

constexpr size_t kShownBytes = 48;  // of a client's own string in a message

std::string_view type_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number with a fraction or exponent";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "unknown";
}

// The beginning of `text`, cut between characters.
std::string shown(std::string_view text) {
  if (text.size() <= kShownBytes) return std::string(text);
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

std::string item_path(const std::string& list, size_t index) {
  return list + "[" + std::to_string(index) + "]";
}

std::string FieldReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void FieldReader::fail(ApiError error) {
  if (!failed()) *problem_ = std::move(error);
}

void FieldReader::fail(std::string_view key, const std::string& why) {
  const std::string param = path_of(key);
  fail(bad_request("'" + param + "' " + why, param));
}

void FieldReader::refuse(std::string_view key, const std::string& why) {
  fail(unsupported_parameter(path_of(key), why));
}

void FieldReader::wrong_type(const std::string& param, std::string_view wanted,
                             const json::value& got) {
  fail(bad_request(fmt::format("'{}' must be {}, not {}.", param, wanted, type_name(got)), param));
}

json::value* FieldReader::find(std::string_view key) {
  known_.push_back(key);
  if (failed()) return nullptr;
  json::value* value = object_->if_contains(key);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

void FieldReader::require(std::string_view key) {
  if (!has(key)) fail(missing_parameter(path_of(key)));
}

std::optional<bool> FieldReader::boolean(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) {
    wrong_type(path_of(key), "a boolean", *value);
    return std::nullopt;
  }
  return value->get_bool();
}

std::optional<int64_t> FieldReader::as_integer(const json::value& value, const std::string& param,
                                               int64_t low, int64_t high) {
  // Boost.JSON has uint64 for what int64 cannot hold, and double for what neither can.
  const bool huge = value.is_double() && std::abs(value.get_double()) >= 0x1p64;
  if (!value.is_int64() && !value.is_uint64() && !huge) {
    wrong_type(param, "an integer", value);
    return std::nullopt;
  }
  const int64_t* number = value.if_int64();
  if (number != nullptr && *number >= low && *number <= high) return *number;
  const std::string got = huge ? fmt::format("{}", value.get_double()) : json::serialize(value);
  fail(bad_request(fmt::format("'{}' must be between {} and {}, not {}.", param, low, high, got),
                   param));
  return std::nullopt;
}

std::optional<double> FieldReader::as_number(const json::value& value, const std::string& param,
                                             double low, double high) {
  if (!value.is_number()) {
    wrong_type(param, "a number", value);
    return std::nullopt;
  }
  const double number = value.to_number<double>();
  if (std::isfinite(number) && number >= low && number <= high) return number;
  fail(bad_request(fmt::format("'{}' must be between {} and {}, not {}.", param, low, high, number),
                   param));
  return std::nullopt;
}

std::optional<std::string> FieldReader::as_string(const json::value& value,
                                                  const std::string& param, size_t max_bytes) {
  if (!value.is_string()) {
    wrong_type(param, "a string", value);
    return std::nullopt;
  }
  const json::string& text = value.get_string();
  if (text.size() <= max_bytes) return std::string(text);
  fail(bad_request(
      fmt::format("'{}' must have at most {} bytes, not {}.", param, max_bytes, text.size()),
      param));
  return std::nullopt;
}

json::object* FieldReader::as_object(json::value& value, const std::string& param) {
  if (!value.is_object()) wrong_type(param, "an object", value);
  return value.if_object();
}

json::array* FieldReader::as_array(json::value& value, const std::string& param) {
  if (!value.is_array()) wrong_type(param, "an array", value);
  return value.if_array();
}

std::optional<int64_t> FieldReader::integer(std::string_view key, int64_t low, int64_t high) {
  const json::value* value = find(key);
  return value == nullptr ? std::nullopt : as_integer(*value, path_of(key), low, high);
}

std::optional<double> FieldReader::number(std::string_view key, double low, double high) {
  const json::value* value = find(key);
  return value == nullptr ? std::nullopt : as_number(*value, path_of(key), low, high);
}

std::optional<std::string> FieldReader::string(std::string_view key, size_t max_bytes) {
  const json::value* value = find(key);
  return value == nullptr ? std::nullopt : as_string(*value, path_of(key), max_bytes);
}

std::optional<std::string_view> FieldReader::choice(
    std::string_view key, std::initializer_list<std::string_view> allowed) {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    wrong_type(path_of(key), "a string", *value);
    return std::nullopt;
  }
  const std::string_view got = value->get_string();
  const auto* found = std::find(allowed.begin(), allowed.end(), got);
  if (found != allowed.end()) return *found;
  fail(key, fmt::format("must be one of '{}', not '{}'.", fmt::join(allowed, "', '"), shown(got)));
  return std::nullopt;
}

json::object* FieldReader::object(std::string_view key) {
  json::value* value = find(key);
  return value == nullptr ? nullptr : as_object(*value, path_of(key));
}

json::array* FieldReader::array(std::string_view key) {
  json::value* value = find(key);
  return value == nullptr ? nullptr : as_array(*value, path_of(key));
}

std::vector<int32_t> FieldReader::as_ids(const json::array& list, const std::string& param,
                                         size_t max_count) {
  std::vector<int32_t> ids;
  if (list.size() > max_count) {
    fail(bad_request(
        fmt::format("'{}' must have at most {} items, not {}.", param, max_count, list.size()),
        param));
    return ids;
  }
  ids.reserve(list.size());
  for (const json::value& item : list) {
    // The fast way first: a prompt of ids may have a hundred thousand of them, and their paths are
    // not wanted.
    if (item.is_int64() && item.get_int64() >= 0 && item.get_int64() <= kMaxTokenId) {
      ids.push_back(static_cast<int32_t>(item.get_int64()));
      continue;
    }
    as_integer(item, item_path(param, ids.size()), 0, kMaxTokenId);
    return {};
  }
  return ids;
}

std::vector<int32_t> FieldReader::ids(std::string_view key, size_t max_count) {
  const json::array* list = array(key);
  return list == nullptr ? std::vector<int32_t>{} : as_ids(*list, path_of(key), max_count);
}

std::vector<std::string> FieldReader::strings(std::string_view key, size_t max_count,
                                              size_t max_bytes) {
  std::vector<std::string> out;
  const json::array* list = array(key);
  if (list == nullptr) return out;
  if (list->size() > max_count) {
    fail(key, fmt::format("must have at most {} items, not {}.", max_count, list->size()));
    return out;
  }
  for (const json::value& item : *list) {
    const std::string param = item_path(path_of(key), out.size());
    std::optional<std::string> text = as_string(item, param, max_bytes);
    if (!text) return {};
    if (text->empty()) fail(bad_request("'" + param + "' must not be empty.", param));
    out.push_back(*std::move(text));
  }
  return out;
}

void FieldReader::finish() {
  if (failed()) return;
  for (const json::key_value_pair& pair : *object_) {
    const std::string_view key = pair.key();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const std::string_view guess = nearest(key, known_);
    const std::string hint =
        guess.empty() ? "" : fmt::format(" Did you mean '{}'?", path_of(guess));
    const std::string param = path_of(shown(key));
    return fail(bad_request("'" + param + "' is not a parameter of this request." + hint, param,
                            "unsupported_parameter"));
  }
}

}  // namespace bessemer
