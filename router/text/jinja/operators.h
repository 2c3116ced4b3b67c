// Python's operators on values.
#pragma once
#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

enum class Comparison : uint8_t {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};
enum class Operator : uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };

// Errors: types that do not compare, nesting beyond kMaxValueDepth.
StatusOr<bool> equal(Runtime& runtime, const Value& a, const Value& b, int depth = 0);
StatusOr<bool> compare(Runtime& runtime, Comparison how, const Value& a, const Value& b,
                       int depth = 0);
// item in container
StatusOr<bool> contains(Runtime& runtime, const Value& container, const Value& item);
// The same object, as Python's `is` says.
bool same(const Value& a, const Value& b);
// InvalidArgument: a list or dict, which cannot be a key.
StatusOr<uint64_t> hash(const Value& value, int depth = 0);

StatusOr<Value> apply(Runtime& runtime, Operator how, const Value& a, const Value& b);
StatusOr<Value> negate(const Value& value);
StatusOr<Value> plus(const Value& value);

// object.name: methods and other attributes first, then the item of that name. Undefined when there
// is neither.
StatusOr<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name);
// The attribute alone; missing: the object has none of that name.
StatusOr<Value> own_attribute(Runtime& runtime, const Value& object, std::string_view name);
// object[key]: the item first, then the attribute.
StatusOr<Value> get_item(Runtime& runtime, const Value& object, const Value& key);
// object[start:stop:step]; missing or none: left out.
StatusOr<Value> get_slice(Runtime& runtime, const Value& object, const Value& start,
                          const Value& stop, const Value& step);
// Which entry of a dict has this key; kNowhere: none. InvalidArgument: the key is not hashable.
constexpr size_t kNowhere = static_cast<size_t>(-1);
StatusOr<size_t> find_position(Runtime& runtime, const Dict& dict, const Value& key);

// An integer argument, bool included. InvalidArgument names `what` when it is something else.
StatusOr<Int> need_int(const Value& value, std::string_view what);
// `value` within [-bound, bound].
int64_t clamp(Int value, int64_t bound);

}  // namespace bessemer::jinja
