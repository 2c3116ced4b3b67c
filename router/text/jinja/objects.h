// The values that are more than data: dicts under construction, namespaces, macros, built-in
// functions.
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

struct MacroBody;
struct Scope;

// What a caller passes: f(1, 2, key=3).
struct Arguments {
  struct Named {
    std::string_view name;
    Value value;
  };
  std::span<const Value> positional;
  std::span<const Named> named;

  // As bound to the parameters of a Native: missing where the caller gave none.
  const Value& operator[](size_t index) const { return positional[index]; }
};

// A built-in filter, test, method or function.
struct Native {
  using Function = StatusOr<Value> (*)(Runtime&, const Value& self, const Arguments&);

  std::string_view name;
  Function run;
  // In order; "name!" must be given, "/name" only by position, "*" (alone) takes whatever comes,
  // unbound.
  std::array<std::string_view, 5> parameters{};

  // `self`: what the filter or test is applied to, or the method's object.
  StatusOr<Value> call(Runtime& runtime, const Value& self, const Arguments& arguments) const;
};

struct BoundNative {
  const Native* native;
  Value self;
};

Value bind(Runtime& runtime, const Native& native, const Value& self);

// The row of a table sorted or not; null: there is none.
template <size_t n>
const Native* find_native(const Native (&table)[n], std::string_view name) {
  for (const Native& row : table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// A macro, or the body of a call block (its name is empty).
struct Macro {
  const MacroBody* body;
  Scope* scope;  // where it was defined
};

// namespace(): the only values that a template can change.
struct Namespace {
  struct Attribute {
    std::string_view name;
    Value value;
  };
  std::span<Attribute> room;
  size_t size = 0;

  std::span<const Attribute> attributes() const { return room.first(size); }
  const Value* find(std::string_view name) const;
  Status set(Runtime& runtime, std::string_view name, const Value& value);
};

// Collects entries; a key that comes again keeps its place and changes its value.
class DictBuilder {
 public:
  explicit DictBuilder(Runtime& runtime) : runtime_(&runtime) {}

  // InvalidArgument: the key is not hashable.
  Status set(const Value& key, const Value& value);
  Status set(std::string_view key, const Value& value) { return set(text_value(key), value); }
  // False: the key was there before.
  StatusOr<bool> insert(const Value& key, const Value& value);
  StatusOr<Value> take();

 private:
  // Below this many entries a scan is as fast as a hash table.
  static constexpr size_t kScanned = 8;

  Status index_all();
  void place(uint64_t hash, size_t position);

  Runtime* runtime_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;
};

}  // namespace bessemer::jinja
