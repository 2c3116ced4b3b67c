// object.name, object[key] and object[start:stop:step].
#include <algorithm>

#include "router/text/jinja/loop.h"
#include "router/text/jinja/macro.h"
#include "router/text/jinja/methods.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

// Larger than any length, small enough that sums of two do not overflow.
constexpr int64_t kFar = int64_t{1} << 40;

StatusOr<Value> unsafe(Runtime& runtime, const Value& object, std::string_view name) {
  ASSIGN_OR_RETURN(const Value message,
                   runtime.text(fmt::format(
                       "access to attribute '{}' of '{}' object is unsafe: templates cannot change "
                       "their data (use a namespace)",
                       name, type_name(object))));
  return undefined_value(message.text(), Value::kMessage);
}

StatusOr<Value> macro_attribute(Runtime& runtime, const MacroBody& body, std::string_view name) {
  if (name == "name") return body.name.empty() ? none_value() : text_value(body.name);
  if (name == "catch_kwargs") return bool_value(body.kwargs_slot >= 0);
  if (name == "catch_varargs") return bool_value(body.varargs_slot >= 0);
  if (name == "caller") return bool_value(body.caller_slot >= 0);
  if (name != "arguments") return Value{};
  std::vector<Value> names;
  for (const MacroBody::Parameter& parameter : body.parameters)
    names.push_back(text_value(parameter.name));
  return runtime.tuple(names);
}

const Native* find_method(const Value& object, std::string_view name) {
  switch (object.kind) {
    case Kind::string:
      return find_text_method(name);
    case Kind::list:
      return find_list_method(name);
    case Kind::tuple:
      return find_sequence_method(name);
    case Kind::dict:
      return find_dict_method(name);
    case Kind::loop:
      return find_loop_method(name);
    case Kind::cycler:
      return find_cycler_method(name);
    default:
      return nullptr;
  }
}

// Attributes that are not methods; missing: none.
StatusOr<Value> data_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  switch (object.kind) {
    case Kind::name_space: {
      const Value* const found = object.space->find(name);
      if (found == nullptr) return Value{};
      return name.starts_with('_') ? unsafe(runtime, object, name) : *found;
    }
    case Kind::loop:
      return object.loop->member(runtime, name);
    case Kind::macro:
      return macro_attribute(runtime, *object.macro->body, name);
    case Kind::range:
      if (name == "start") return int_value(object.range->start);
      if (name == "stop") return int_value(object.range->stop);
      return name == "step" ? int_value(object.range->step) : Value{};
    case Kind::tuple:
      if (object.flavour != Value::kGroup) return Value{};
      return name == "grouper" ? object.items[0] : name == "list" ? object.items[1] : Value{};
    case Kind::cycler:
      return name == "current" ? object.cycler->items[object.cycler->position] : Value{};
    default:
      return Value{};
  }
}

// list[index] and the like; missing: out of range, or not to be indexed by numbers.
StatusOr<Value> element(Runtime& runtime, const Value& object, Int index) {
  const bool indexed = object.is_sequence() || object.is(Kind::string) || object.is(Kind::range);
  if (!indexed) return Value{};
  const Int size = *size_of(object);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return Value{};
  if (object.is(Kind::range)) return int_value(object.range->at(index));
  if (object.is_sequence()) return object.items[static_cast<size_t>(index)];
  RETURN_IF_ERROR(runtime.charge_bytes(object.size));
  const size_t begin = unicode::offset_of(object.text(), static_cast<size_t>(index));
  size_t end = begin;
  unicode::next(object.text(), end);
  Value character = text_value(object.text().substr(begin, end - begin));
  character.flavour = object.flavour;
  return character;
}

struct Slice {
  int64_t start, stop, step;
  int64_t size() const {
    if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
    return start > stop ? (start - stop - 1) / -step + 1 : 0;
  }
};

StatusOr<int64_t> bound_of(const Value& value, int64_t fallback, int64_t size, int64_t lowest,
                           int64_t highest) {
  if (value.is_none_or_missing()) return fallback;
  if (!value.is_integral())
    return fail("slice indices must be integers or none, not {}", type_name(value));
  int64_t index = clamp(value.as_int(), kFar);
  if (index < 0) index += size;
  return std::clamp(index, lowest, highest);
}

// What start:stop:step means for `size` items.
StatusOr<Slice> resolve(int64_t size, const Value& start, const Value& stop, const Value& step) {
  Slice slice{0, 0, 1};
  if (!step.is_none_or_missing()) {
    if (!step.is_integral())
      return fail("a slice step must be an integer or none, not {}", type_name(step));
    slice.step = clamp(step.as_int(), kFar);
  }
  if (slice.step == 0) return fail("slice step cannot be zero");
  const bool forward = slice.step > 0;
  const int64_t lowest = forward ? 0 : -1, highest = forward ? size : size - 1;
  ASSIGN_OR_RETURN(slice.start, bound_of(start, forward ? lowest : highest, size, lowest, highest));
  ASSIGN_OR_RETURN(slice.stop, bound_of(stop, forward ? highest : lowest, size, lowest, highest));
  return slice;
}

StatusOr<Value> slice_text(Runtime& runtime, const Value& object, const Slice& slice) {
  const std::string_view text = object.text();
  Value result;
  if (slice.step == 1) {
    const size_t begin = unicode::offset_of(text, static_cast<size_t>(slice.start));
    const size_t count = unicode::offset_of(text.substr(begin), static_cast<size_t>(slice.size()));
    result = text_value(text.substr(begin, count));
  } else {
    std::vector<size_t> offsets;
    for (size_t at = 0; at < text.size(); unicode::next(text, at)) offsets.push_back(at);
    offsets.push_back(text.size());
    TextBuilder picked(runtime);
    for (int64_t i = 0; i < slice.size(); ++i) {
      const auto at = static_cast<size_t>(slice.start + i * slice.step);
      picked.add(text.substr(offsets[at], offsets[at + 1] - offsets[at]));
    }
    ASSIGN_OR_RETURN(result, picked.take(runtime));
  }
  result.flavour = object.flavour;
  return result;
}

StatusOr<Value> slice_items(Runtime& runtime, const Value& object, const Slice& slice) {
  const auto size = static_cast<size_t>(slice.size());
  Value result = object;
  result.flavour = Value::kPlain;
  result.size = static_cast<uint32_t>(size);
  if (slice.step == 1) {
    result.items = object.items + slice.start;
    return result;
  }
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(size));
  for (size_t i = 0; i < size; ++i)
    items[i] = object.items[slice.start + static_cast<int64_t>(i) * slice.step];
  result.items = items.data();
  return result;
}

StatusOr<Value> slice_range(Runtime& runtime, const Range& range, const Slice& slice) {
  ASSIGN_OR_RETURN(const Int start, multiply(slice.start, range.step));
  ASSIGN_OR_RETURN(const Int stop, multiply(slice.stop, range.step));
  ASSIGN_OR_RETURN(const Int step, multiply(slice.step, range.step));
  ASSIGN_OR_RETURN(const Int first, add(range.start, start));
  ASSIGN_OR_RETURN(const Int end, add(range.start, stop));
  return Value{.kind = Kind::range, .range = runtime.make(Range{first, end, step})};
}

}  // namespace

StatusOr<Value> own_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is(Kind::undefined)) return fail("{}", undefined_message(object));
  if (const Native* const method = find_method(object, name)) return bind(runtime, *method, object);
  if (changes_object(object, name)) return unsafe(runtime, object, name);
  return data_attribute(runtime, object, name);
}

StatusOr<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  ASSIGN_OR_RETURN(const Value own, own_attribute(runtime, object, name));
  if (own.given()) return own;
  if (object.is(Kind::dict)) {
    if (const Value* const item = object.dict->find(name)) return *item;
  }
  return undefined_member(object, name);
}

StatusOr<Value> get_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is(Kind::undefined)) return fail("{}", undefined_message(object));
  if (object.is(Kind::dict) && hash(key).ok()) {
    ASSIGN_OR_RETURN(const size_t at, find_position(runtime, *object.dict, key));
    if (at != kNowhere) return object.dict->entries[at].value;
  }
  if (key.is_integral()) {
    ASSIGN_OR_RETURN(const Value found, element(runtime, object, key.as_int()));
    if (found.given()) return found;
    ASSIGN_OR_RETURN(const Value text, runtime.text(int_text(key.as_int())));
    return undefined_member(object, text.text());
  }
  if (!key.is(Kind::string)) return undefined_member(object, type_name(key));
  ASSIGN_OR_RETURN(const Value own, own_attribute(runtime, object, key.text()));
  return own.given() ? own : undefined_member(object, key.text());
}

StatusOr<Value> get_slice(Runtime& runtime, const Value& object, const Value& start,
                          const Value& stop, const Value& step) {
  if (object.is(Kind::undefined)) return fail("{}", undefined_message(object));
  const bool sliceable = object.is(Kind::string) || object.is_sequence() || object.is(Kind::range);
  if (!sliceable) return fail("'{}' object cannot be sliced", type_name(object));
  ASSIGN_OR_RETURN(const Slice slice, resolve(clamp(*size_of(object), kFar), start, stop, step));
  RETURN_IF_ERROR(runtime.charge_bytes(object.size));
  if (object.is(Kind::string)) return slice_text(runtime, object, slice);
  if (object.is_sequence()) return slice_items(runtime, object, slice);
  return slice_range(runtime, *object.range, slice);
}

}  // namespace bessemer::jinja
