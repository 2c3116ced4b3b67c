// Typed reads of the fields of one JSON object of a request.
//
// The first thing that is wrong is kept and every later read does nothing, so a parser reads
// straight through and looks once at the end. null counts as absent. Types are strict: true is not
// 1, 1.0 is not an integer, "1" is not a number.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "router/openai/error.h"

namespace bessemer {

class FieldReader {
 public:
  // `path` leads to the object in the request ("messages[1]"; "" at the top) and becomes the
  // error's `param`. `problem` is shared by the readers of one request; all three outlive the
  // reader.
  FieldReader(json::object& object, std::string path, std::optional<ApiError>& problem)
      : object_(&object), path_(std::move(path)), problem_(&problem) {}

  // nullptr: absent, null, or something was wrong before. Whoever asks for a key makes it known to
  // `finish`.
  json::value* find(std::string_view key);
  bool has(std::string_view key) { return find(key) != nullptr; }

  std::optional<bool> boolean(std::string_view key);
  std::optional<int64_t> integer(std::string_view key, int64_t low, int64_t high);
  std::optional<double> number(std::string_view key, double low, double high);
  // At most `max_bytes` bytes of UTF-8.
  std::optional<std::string> string(std::string_view key, size_t max_bytes);
  // One of `allowed`; the result points into it.
  std::optional<std::string_view> choice(std::string_view key,
                                         std::initializer_list<std::string_view> allowed);
  json::object* object(std::string_view key);
  json::array* array(std::string_view key);
  // Lists of at most `max_count`; empty when absent.
  std::vector<int32_t> ids(std::string_view key, size_t max_count);
  std::vector<std::string> strings(std::string_view key, size_t max_count, size_t max_bytes);

  // Elements, for lists whose items are looked at one by one; `param` is the whole path of the
  // item.
  std::optional<int64_t> as_integer(const json::value& value, const std::string& param, int64_t low,
                                    int64_t high);
  std::optional<double> as_number(const json::value& value, const std::string& param, double low,
                                  double high);
  std::optional<std::string> as_string(const json::value& value, const std::string& param,
                                       size_t max_bytes);
  json::object* as_object(json::value& value, const std::string& param);
  json::array* as_array(json::value& value, const std::string& param);
  // The items of a list of token ids that has already been found.
  std::vector<int32_t> as_ids(const json::array& list, const std::string& param, size_t max_count);

  // An error when `key` is absent.
  void require(std::string_view key);
  // An error when anything is in the object that nobody has asked for; suggests the nearest known
  // name.
  void finish();

  // Keeps `error` unless there was one already.
  void fail(ApiError error);
  // 400 with the path of `key` as its param; `why` follows the quoted path in the message.
  void fail(std::string_view key, const std::string& why);
  void refuse(std::string_view key, const std::string& why);
  bool failed() const { return problem_->has_value(); }
  std::string path_of(std::string_view key) const;
  // For a reader of an object inside this one.
  std::optional<ApiError>& problem() { return *problem_; }

 private:
  void wrong_type(const std::string& param, std::string_view wanted, const json::value& got);

  json::object* object_;
  std::string path_;
  std::optional<ApiError>* problem_;
  std::vector<std::string_view> known_;  // keys asked for; all are string literals
};

// "messages" and 1: "messages[1]".
std::string item_path(const std::string& list, size_t index);

}  // namespace bessemer
