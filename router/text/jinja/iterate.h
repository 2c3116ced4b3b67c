// Going through values: Python's iter(), list() and len().
#pragma once
#include <optional>
#include <span>

#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

// Lives in the memory of its rendering. The built-in ones hold a source and nothing else.
class Iterator {
 public:
  // The next value into `out`; false: there is none.
  virtual StatusOr<bool> next(Runtime& runtime, Value& out) = 0;
  // Iterators over iterators over ... below this one; bounded by kMaxValueDepth.
  int depth = 0;

 protected:
  ~Iterator() = default;
};

// A one-shot value that yields what `iterator` does.
inline Value iterator_value(Iterator* iterator) {
  return {.kind = Kind::iterator, .iterator = iterator};
}
// A one-shot value that yields `items`, which live as long as the rendering.
Value iterator_value(Runtime& runtime, std::span<const Value> items);

bool is_iterable(const Value& value);
// InvalidArgument: not iterable.
StatusOr<Iterator*> iterate(Runtime& runtime, const Value& value);
// All that iterate() yields; no copy is made of lists and tuples.
StatusOr<std::span<const Value>> to_items(Runtime& runtime, const Value& value);

// len(); nothing for what has none.
std::optional<Int> size_of(const Value& value);
StatusOr<Int> length(const Value& value);

}  // namespace bessemer::jinja
