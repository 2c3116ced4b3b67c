#include "router/text/jinja/value.h"

#include <functional>

#include "router/text/jinja/loop.h"

namespace bessemer::jinja {

size_t hash_text(std::string_view text) {
  return std::hash<std::string_view>()(text);
}

const Value* Dict::find(std::string_view key) const {
  const auto matches = [&](const Entry& entry) {
    return entry.key.is(Kind::string) && entry.key.text() == key;
  };
  if (slots.empty()) {
    for (const Entry& entry : entries) {
      if (matches(entry)) return &entry.value;
    }
    return nullptr;
  }
  for (size_t slot = hash_text(key);; ++slot) {
    const uint32_t position = slots[slot & (slots.size() - 1)];
    if (position == 0) return nullptr;
    if (matches(entries[position - 1])) return &entries[position - 1].value;
  }
}

Int Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

std::string_view type_name(Kind kind) {
  switch (kind) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::number:
      return "float";
    case Kind::string:
      return "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::dict:
      return "dict";
    case Kind::range:
      return "range";
    case Kind::view:
      return "dict view";
    case Kind::iterator:
      return "generator";
    case Kind::name_space:
      return "Namespace";
    case Kind::macro:
      return "Macro";
    case Kind::native:
      return "builtin_function_or_method";
    case Kind::loop:
      return "LoopContext";
    case Kind::cycler:
      return "Cycler";
    case Kind::joiner:
      return "Joiner";
  }
  return "object";
}

std::string_view type_name(const Value& value) {
  if (!value.is(Kind::view)) return type_name(value.kind);
  constexpr std::string_view kNames[] = {"dict_keys", "dict_values", "dict_items"};
  return kNames[value.flavour];
}

bool truthy(const Value& value) {
  switch (value.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::number:
      return value.number != 0;
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
      return value.size > 0;
    case Kind::dict:
    case Kind::view:
      return !value.dict->entries.empty();
    case Kind::range:
      return value.range->size() > 0;
    default:
      return true;
  }
}

std::string undefined_message(const Value& undefined) {
  const std::string text(undefined.text());
  if (undefined.flavour == Value::kMessage) return text;
  if (undefined.flavour == Value::kName) return "'" + text + "' is undefined";
  const auto owner = static_cast<Kind>(undefined.flavour - Value::kMember);
  const std::string object =
      owner == Kind::none ? "None" : std::string(type_name(owner)) + " object";
  return "'" + object + "' has no attribute '" + text + "'";
}

}  // namespace bessemer::jinja
