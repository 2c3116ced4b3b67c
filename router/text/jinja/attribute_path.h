// "address.city" and "items.0": where filters such as map and sort look within each item.
#pragma once
#include <vector>

#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

class AttributePath {
 public:
  AttributePath() = default;  // the item itself
  // Of a filter's argument: text with dots, an integer, or anything else as one key. none: the item
  // itself.
  static StatusOr<AttributePath> parse(Runtime& runtime, const Value& argument);
  // One path for each of the names between commas.
  static StatusOr<std::vector<AttributePath>> parse_several(Runtime& runtime,
                                                            const Value& argument);

  // What the path leads to from `item`; `fallback` (if given) stands in for what is undefined on
  // the way.
  StatusOr<Value> of(Runtime& runtime, const Value& item, const Value& fallback = {}) const;

 private:
  static StatusOr<AttributePath> parse_text(Runtime& runtime, std::string_view text);
  std::vector<Value> parts_;
};

// Text in lower case, anything else as it is: how Jinja2 compares unless told to mind the case.
StatusOr<Value> ignore_case(Runtime& runtime, const Value& value);

}  // namespace bessemer::jinja
