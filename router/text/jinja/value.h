// What templates compute with: Python's values as small plain structs. Nothing is owned: text and
// items live in the template, in the caller's JSON or in the memory of one rendering, whichever
// made them.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bessemer::jinja {

// Integers have 128 bits (JSON brings unsigned 64-bit ones); what does not fit is an error, never
// wrapped.
__extension__ typedef __int128 Int;

enum class Kind : uint8_t {
  missing,    // no value: an argument not given, a variable not yet set; templates never see it
  undefined,  // Jinja's Undefined: prints as nothing, is false, fails when used
  none,
  boolean,
  integer,
  number,  // double
  string,
  list,
  tuple,
  dict,
  range,
  view,      // dict.keys(), .values(), .items()
  iterator,  // result of map, select and the like: can be gone through once
  name_space,
  macro,
  native,  // a built-in function, or a method with its object
  loop,
  cycler,
  joiner,
};

struct Dict;
struct Range;
struct Namespace;
struct Macro;
struct BoundNative;
struct Cycler;
struct Joiner;
class Iterator;
class Loop;

struct Value {
  // Meaning of `flavour`.
  static constexpr uint8_t kPlain = 0;
  static constexpr uint8_t kMarkup = 1;  // string: `safe`, concatenation escapes the other side
  static constexpr uint8_t kGroup = 1;   // tuple: from groupby, has .grouper and .list
  static constexpr uint8_t kKeys = 0, kValues = 1, kItems = 2;  // view
  static constexpr uint8_t kName = 0;     // undefined: `text` is the variable's name
  static constexpr uint8_t kMessage = 1;  // undefined: `text` is the whole message
  static constexpr uint8_t kMember = 2;  // undefined: + Kind of the object that lacks member `text`

  Kind kind = Kind::missing;
  uint8_t flavour = kPlain;
  uint32_t size = 0;  // bytes of a string, items of a list or tuple
  union {
    bool boolean;
    Int integer = 0;
    double number;
    const char* chars;
    const Value* items;
    const Dict* dict;  // also of a view
    const Range* range;
    Namespace* space;
    const Macro* macro;
    const BoundNative* native;
    Iterator* iterator;
    Loop* loop;
    Cycler* cycler;
    Joiner* joiner;
  };

  bool is(Kind wanted) const { return kind == wanted; }
  bool given() const { return kind != Kind::missing; }
  bool is_none_or_missing() const { return kind == Kind::none || kind == Kind::missing; }
  bool is_sequence() const { return kind == Kind::list || kind == Kind::tuple; }
  bool is_number() const {
    return kind == Kind::integer || kind == Kind::boolean || kind == Kind::number;
  }
  // Python's bool is an int.
  bool is_integral() const { return kind == Kind::integer || kind == Kind::boolean; }
  bool is_markup() const { return kind == Kind::string && flavour == kMarkup; }

  // Only for the kinds that their names say.
  std::string_view text() const { return {chars, size}; }
  std::span<const Value> elements() const { return {items, size}; }
  Int as_int() const { return kind == Kind::boolean ? Int{boolean} : integer; }
  double as_double() const { return kind == Kind::number ? number : static_cast<double>(as_int()); }
};

inline Value none_value() {
  return {.kind = Kind::none, .integer = 0};
}
inline Value bool_value(bool value) {
  return {.kind = Kind::boolean, .boolean = value};
}
inline Value int_value(Int value) {
  return {.kind = Kind::integer, .integer = value};
}
inline Value number_value(double value) {
  return {.kind = Kind::number, .number = value};
}
// A view: `text` outlives the value. Sizes are below 4 GiB by the limits on sources, input and
// memory.
inline Value text_value(std::string_view text) {
  return {.kind = Kind::string, .size = static_cast<uint32_t>(text.size()), .chars = text.data()};
}
inline Value list_value(std::span<const Value> items) {
  return {.kind = Kind::list, .size = static_cast<uint32_t>(items.size()), .items = items.data()};
}
inline Value tuple_value(std::span<const Value> items) {
  return {.kind = Kind::tuple, .size = static_cast<uint32_t>(items.size()), .items = items.data()};
}
inline Value dict_value(const Dict* dict) {
  return {.kind = Kind::dict, .dict = dict};
}
inline Value undefined_value(std::string_view text, uint8_t flavour) {
  return {.kind = Kind::undefined,
          .flavour = flavour,
          .size = static_cast<uint32_t>(text.size()),
          .chars = text.data()};
}
inline Value undefined_member(const Value& object, std::string_view member) {
  return undefined_value(member,
                         static_cast<uint8_t>(Value::kMember + static_cast<int>(object.kind)));
}

struct Entry {
  Value key, value;
};

// In order of insertion; keys are hashable and distinct. Never changed once made.
struct Dict {
  std::span<const Entry> entries;
  // Open addressing, a power of two of slots holding position + 1; empty for small dicts, which are
  // scanned.
  std::span<const uint32_t> slots;

  // The value under a text key; null: there is none.
  const Value* find(std::string_view key) const;
};

struct Range {
  Int start, stop, step;
  Int size() const;
  Int at(Int index) const { return start + index * step; }
};

struct Cycler {
  std::span<const Value> items;
  size_t position = 0;
};

struct Joiner {
  Value separator;
  bool used = false;
};

// Python's name of the type, as in its error messages.
std::string_view type_name(const Value& value);
std::string_view type_name(Kind kind);

// What Python's bool() says.
bool truthy(const Value& value);

// "'x' is undefined" and the like.
std::string undefined_message(const Value& undefined);

size_t hash_text(std::string_view text);

}  // namespace bessemer::jinja
