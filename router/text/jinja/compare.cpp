// Equality, order, membership and hashing.
#include <cmath>

#include "router/text/jinja/iterate.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/objects.h"
#include "router/text/jinja/operators.h"

namespace bessemer::jinja {
namespace {

Status too_deep() {
  return absl::ResourceExhaustedError(
      fmt::format("values are nested more than {} levels deep", kMaxValueDepth));
}

constexpr std::string_view symbol(Comparison how) {
  switch (how) {
    case Comparison::less:
      return "<";
    case Comparison::less_equal:
      return "<=";
    case Comparison::greater:
      return ">";
    case Comparison::greater_equal:
      return ">=";
    default:
      return "==";
  }
}

bool holds(Comparison how, int order) {
  switch (how) {
    case Comparison::less:
      return order < 0;
    case Comparison::less_equal:
      return order <= 0;
    case Comparison::greater:
      return order > 0;
    case Comparison::greater_equal:
      return order >= 0;
    default:
      return order == 0;
  }
}

bool compare_numbers(Comparison how, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    const Int x = a.as_int(), y = b.as_int();
    return holds(how, x < y ? -1 : x > y ? 1 : 0);
  }
  if (std::isnan(a.as_double()) || std::isnan(b.as_double())) return false;
  if (a.is_integral()) return holds(how, compare(a.as_int(), b.number));
  if (b.is_integral()) return holds(how, -compare(b.as_int(), a.number));
  return holds(how, a.number < b.number ? -1 : a.number > b.number ? 1 : 0);
}

StatusOr<bool> equal_items(Runtime& runtime, std::span<const Value> a, std::span<const Value> b,
                           int depth) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSIGN_OR_RETURN(const bool same_item, equal(runtime, a[i], b[i], depth + 1));
    if (!same_item) return false;
  }
  return true;
}

StatusOr<bool> equal_dicts(Runtime& runtime, const Dict& a, const Dict& b, int depth) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const Entry& entry : a.entries) {
    ASSIGN_OR_RETURN(const size_t at, find_position(runtime, b, entry.key));
    if (at == kNowhere) return false;
    ASSIGN_OR_RETURN(const bool same_value,
                     equal(runtime, entry.value, b.entries[at].value, depth + 1));
    if (!same_value) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const Int size = a.size();
  if (size != b.size()) return false;
  return size == 0 || (a.start == b.start && (size == 1 || a.step == b.step));
}

// Lists and tuples: by the first items that differ.
StatusOr<bool> compare_items(Runtime& runtime, Comparison how, std::span<const Value> a,
                             std::span<const Value> b, int depth) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    ASSIGN_OR_RETURN(const bool same_item, equal(runtime, a[i], b[i], depth + 1));
    if (!same_item) return compare(runtime, how, a[i], b[i], depth + 1);
  }
  return holds(how, a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0);
}

}  // namespace

bool same(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::missing:
    case Kind::none:
      return true;
    case Kind::boolean:
      return a.boolean == b.boolean;
    case Kind::integer:
      return a.integer == b.integer;
    case Kind::number:
      return a.number == b.number;
    case Kind::string:
      return a.text() == b.text();  // Python shares equal short strings
    case Kind::list:
    case Kind::tuple:
      return a.items == b.items && a.size == b.size;
    case Kind::native:
      return a.native->native == b.native->native && same(a.native->self, b.native->self);
    default:
      return a.chars == b.chars;  // any of the pointers
  }
}

StatusOr<bool> equal(Runtime& runtime, const Value& a, const Value& b, int depth) {
  if (depth > kMaxValueDepth) return too_deep();
  RETURN_IF_ERROR(runtime.charge());
  if (a.is_number() && b.is_number()) return compare_numbers(Comparison::equal, a, b);
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::undefined:
      return true;
    case Kind::string:
      if (a.size != b.size) return false;
      RETURN_IF_ERROR(runtime.charge_bytes(a.size));
      return a.text() == b.text();
    case Kind::list:
    case Kind::tuple:
      return equal_items(runtime, a.elements(), b.elements(), depth);
    case Kind::dict:
      return equal_dicts(runtime, *a.dict, *b.dict, depth);
    case Kind::range:
      return equal_ranges(*a.range, *b.range);
    case Kind::view:
      if (a.flavour != b.flavour || a.flavour == Value::kValues) return same(a, b);
      if (a.flavour == Value::kItems) return equal_dicts(runtime, *a.dict, *b.dict, depth);
      for (const Entry& entry : a.dict->entries) {
        ASSIGN_OR_RETURN(const size_t at, find_position(runtime, *b.dict, entry.key));
        if (at == kNowhere) return false;
      }
      return a.dict->entries.size() == b.dict->entries.size();
    default:
      return same(a, b);
  }
}

StatusOr<bool> compare(Runtime& runtime, Comparison how, const Value& a, const Value& b,
                       int depth) {
  if (how == Comparison::equal) return equal(runtime, a, b, depth);
  if (how == Comparison::in) return contains(runtime, b, a);
  if (how == Comparison::not_equal || how == Comparison::not_in) {
    ASSIGN_OR_RETURN(const bool opposite, how == Comparison::not_in ? contains(runtime, b, a)
                                                                    : equal(runtime, a, b, depth));
    return !opposite;
  }
  if (depth > kMaxValueDepth) return too_deep();
  RETURN_IF_ERROR(runtime.charge());
  if (a.is_number() && b.is_number()) return compare_numbers(how, a, b);
  if (a.is(Kind::undefined)) return fail("{}", undefined_message(a));
  if (b.is(Kind::undefined)) return fail("{}", undefined_message(b));
  if (a.is(Kind::string) && b.is(Kind::string)) {
    RETURN_IF_ERROR(runtime.charge_bytes(std::min(a.size, b.size)));
    return holds(how, a.text().compare(b.text()));  // the order of UTF-8 is that of code points
  }
  if (a.is_sequence() && a.kind == b.kind)
    return compare_items(runtime, how, a.elements(), b.elements(), depth);
  return fail("'{}' not supported between instances of '{}' and '{}'", symbol(how), type_name(a),
              type_name(b));
}

StatusOr<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is(Kind::string)) {
    if (!item.is(Kind::string)) {
      return fail("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    RETURN_IF_ERROR(runtime.charge_bytes(container.size));
    return container.text().find(item.text()) != std::string_view::npos;
  }
  const bool by_key =
      container.is(Kind::dict) || (container.is(Kind::view) && container.flavour == Value::kKeys);
  if (by_key) {
    ASSIGN_OR_RETURN(const size_t at, find_position(runtime, *container.dict, item));
    return at != kNowhere;
  }
  if (!is_iterable(container))
    return fail("argument of type '{}' is not iterable", type_name(container));
  if (container.is(Kind::loop)) return fail("a loop cannot be searched with 'in'");
  ASSIGN_OR_RETURN(Iterator* const iterator, iterate(runtime, container));
  for (Value candidate;;) {
    ASSIGN_OR_RETURN(const bool more, iterator->next(runtime, candidate));
    if (!more) return false;
    ASSIGN_OR_RETURN(const bool found, equal(runtime, candidate, item));
    if (found || same(candidate, item)) return true;
  }
}

StatusOr<uint64_t> hash(const Value& value, int depth) {
  if (depth > kMaxValueDepth) return too_deep();
  constexpr uint64_t kMix =
      0x9e3779b97f4a7c15;  // 2^64 / golden ratio: spreads consecutive integers
  switch (value.kind) {
    case Kind::string:
      return hash_text(value.text());
    case Kind::boolean:
    case Kind::integer:
      return (static_cast<uint64_t>(value.as_int()) + 1) * kMix >> 16;
    case Kind::number: {
      const bool whole =
          std::abs(value.number) < 0x1p127 && std::floor(value.number) == value.number;
      if (whole) return hash(int_value(static_cast<Int>(value.number)));
      return std::hash<double>()(value.number);
    }
    case Kind::tuple: {
      uint64_t all = kMix;
      for (const Value& item : value.elements()) {
        ASSIGN_OR_RETURN(const uint64_t part, hash(item, depth + 1));
        all = (all ^ part) * kMix + 1;
      }
      return all >> 16;
    }
    case Kind::list:
    case Kind::dict:
    case Kind::view:
      return fail("unhashable type: '{}'", type_name(value));
    default:
      return static_cast<uint64_t>(value.kind);
  }
}

StatusOr<size_t> find_position(Runtime& runtime, const Dict& dict, const Value& key) {
  ASSIGN_OR_RETURN(const uint64_t code, hash(key));
  RETURN_IF_ERROR(runtime.charge());
  const auto matches = [&](size_t position) -> StatusOr<bool> {
    const Value& candidate = dict.entries[position].key;
    if (candidate.is(Kind::string) && key.is(Kind::string)) return candidate.text() == key.text();
    return equal(runtime, candidate, key);
  };
  for (size_t position = 0; dict.slots.empty() && position < dict.entries.size(); ++position) {
    ASSIGN_OR_RETURN(const bool found, matches(position));
    if (found) return position;
  }
  if (dict.slots.empty()) return kNowhere;
  for (size_t slot = code;; ++slot) {
    const uint32_t place = dict.slots[slot & (dict.slots.size() - 1)];
    if (place == 0) return kNowhere;
    RETURN_IF_ERROR(runtime.charge());  // keys may have been chosen to collide
    ASSIGN_OR_RETURN(const bool found, matches(place - 1));
    if (found) return place - 1;
  }
}

}  // namespace bessemer::jinja
