#include "router/text/jinja/attribute_path.h"

#include <algorithm>

#include "router/text/jinja/numbers.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {

StatusOr<AttributePath> AttributePath::parse_text(Runtime& runtime, std::string_view text) {
  AttributePath path;
  for (size_t begin = 0; begin <= text.size();) {
    RETURN_IF_ERROR(runtime.charge());
    const size_t end = std::min(text.find('.', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const bool digits =
        !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    Value key = text_value(part);
    if (digits) {
      ASSIGN_OR_RETURN(const std::optional<Int> index, parse_int(part, 10));
      key = int_value(*index);
    }
    path.parts_.push_back(key);
    begin = end + 1;
  }
  return path;
}

StatusOr<AttributePath> AttributePath::parse(Runtime& runtime, const Value& argument) {
  if (argument.is(Kind::string)) return parse_text(runtime, argument.text());
  AttributePath path;
  if (!argument.is_none_or_missing()) path.parts_.push_back(argument);
  return path;
}

StatusOr<std::vector<AttributePath>> AttributePath::parse_several(Runtime& runtime,
                                                                  const Value& argument) {
  std::vector<AttributePath> paths;
  if (!argument.is(Kind::string)) {
    ASSIGN_OR_RETURN(AttributePath path, parse(runtime, argument));
    paths.push_back(std::move(path));
    return paths;
  }
  const std::string_view text = argument.text();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    ASSIGN_OR_RETURN(AttributePath path, parse_text(runtime, text.substr(begin, end - begin)));
    paths.push_back(std::move(path));
    begin = end + 1;
  }
  return paths;
}

StatusOr<Value> AttributePath::of(Runtime& runtime, const Value& item,
                                  const Value& fallback) const {
  Value value = item;
  for (const Value& part : parts_) {
    ASSIGN_OR_RETURN(value, get_item(runtime, value, part));
    if (fallback.given() && value.is(Kind::undefined)) value = fallback;
  }
  return value;
}

StatusOr<Value> ignore_case(Runtime& runtime, const Value& value) {
  if (!value.is(Kind::string)) return value;
  RETURN_IF_ERROR(runtime.charge_bytes(8 * size_t{value.size}));
  return runtime.text(unicode::lower(value.text()));
}

}  // namespace bessemer::jinja
