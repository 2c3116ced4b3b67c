// The methods of lists, tuples, dicts, loops and cyclers.
#include "router/text/jinja/methods.h"

#include <algorithm>

#include "router/text/jinja/iterate.h"
#include "router/text/jinja/loop.h"
#include "router/text/jinja/operators.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

Result count(Runtime& runtime, const Value& self, const Arguments& given) {
  Int found = 0;
  for (const Value& item : self.elements()) {
    ASSIGN_OR_RETURN(const bool same_item, equal(runtime, item, given[0]));
    found += same_item ? 1 : 0;
  }
  return int_value(found);
}

Result index(Runtime& runtime, const Value& self, const Arguments& given) {
  Int bounds[2] = {0, self.size};
  for (size_t i = 0; i < 2; ++i) {
    if (!given[i + 1].given()) continue;
    ASSIGN_OR_RETURN(bounds[i], need_int(given[i + 1], "a position"));
    if (bounds[i] < 0) bounds[i] = std::max<Int>(bounds[i] + self.size, 0);
  }
  for (Int at = bounds[0]; at < std::min<Int>(bounds[1], self.size); ++at) {
    ASSIGN_OR_RETURN(const bool same_item,
                     equal(runtime, self.items[static_cast<size_t>(at)], given[0]));
    if (same_item) return int_value(at);
  }
  return fail("the value is not in the {}", type_name(self));
}

Result copy(Runtime& runtime, const Value& self, const Arguments&) {
  return runtime.list(self.elements());
}

Result get(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const size_t at, find_position(runtime, *self.dict, given[0]));
  if (at != kNowhere) return self.dict->entries[at].value;
  return given[1].given() ? given[1] : none_value();
}

template <uint8_t what>
Result view(Runtime&, const Value& self, const Arguments&) {
  return Value{.kind = Kind::view, .flavour = what, .dict = self.dict};
}

// Another object with the same entries; nothing can change either.
Result copy_dict(Runtime& runtime, const Value& self, const Arguments&) {
  return dict_value(runtime.make(Dict{*self.dict}));
}

Result cycle(Runtime&, const Value& self, const Arguments& given) {
  if (!given.named.empty() || given.positional.empty())
    return fail("loop.cycle() needs at least one item");
  return given[static_cast<size_t>(self.loop->index0()) % given.positional.size()];
}

Result changed(Runtime& runtime, const Value& self, const Arguments& given) {
  Value& last = self.loop->last_changed();
  const Value now = tuple_value(given.positional);
  bool same_values = false;
  if (last.given()) {
    ASSIGN_OR_RETURN(same_values, equal(runtime, last, now));
  }
  last = now;
  return bool_value(!same_values);
}

Result next(Runtime&, const Value& self, const Arguments&) {
  Cycler& cycler = *self.cycler;
  const Value item = cycler.items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items.size();
  return item;
}

Result reset(Runtime&, const Value& self, const Arguments&) {
  self.cycler->position = 0;
  return none_value();
}

constexpr Native kSequenceMethods[] = {
    {"count", count, {"/value!"}},
    {"index", index, {"/value!", "/start", "/stop"}},
};
constexpr Native kListCopy{"copy", copy};
constexpr Native kDictMethods[] = {
    {"get", get, {"/key!", "/default"}},
    {"items", view<Value::kItems>},
    {"keys", view<Value::kKeys>},
    {"values", view<Value::kValues>},
    {"copy", copy_dict},
};
constexpr Native kLoopMethods[] = {{"cycle", cycle, {"*"}}, {"changed", changed, {"*"}}};
constexpr Native kCyclerMethods[] = {{"next", next}, {"reset", reset}};

}  // namespace

const Native* find_list_method(std::string_view name) {
  return name == "copy" ? &kListCopy : find_sequence_method(name);
}

const Native* find_sequence_method(std::string_view name) {
  return find_native(kSequenceMethods, name);
}

const Native* find_dict_method(std::string_view name) {
  return find_native(kDictMethods, name);
}

const Native* find_loop_method(std::string_view name) {
  return find_native(kLoopMethods, name);
}

const Native* find_cycler_method(std::string_view name) {
  return find_native(kCyclerMethods, name);
}

bool changes_object(const Value& object, std::string_view name) {
  static constexpr std::string_view kList[] = {"append", "clear",  "extend",  "insert",
                                               "pop",    "remove", "reverse", "sort"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is(Kind::list)) return std::ranges::find(kList, name) != std::end(kList);
  return object.is(Kind::dict) && std::ranges::find(kDict, name) != std::end(kDict);
}

}  // namespace bessemer::jinja
