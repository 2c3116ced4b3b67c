// Filters that compare items with each other.
#include <vector>

#include "router/text/jinja/attribute_path.h"
#include "router/text/jinja/builtins.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/order.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

struct Keyed {
  Value key, item;
};

// What an item is compared by.
StatusOr<Value> key_of(Runtime& runtime, const AttributePath& path, bool case_sensitive,
                       const Value& item, const Value& fallback = {}) {
  ASSIGN_OR_RETURN(const Value key, path.of(runtime, item, fallback));
  return case_sensitive ? StatusOr<Value>(key) : ignore_case(runtime, key);
}

Status sort_by_key(Runtime& runtime, std::vector<Keyed>& items, bool descending) {
  return stable_sort<Keyed>(items, [&](const Keyed& a, const Keyed& b) {
    return descending ? compare(runtime, Comparison::less, b.key, a.key)
                      : compare(runtime, Comparison::less, a.key, b.key);
  });
}

Result items_of(Runtime& runtime, const std::vector<Keyed>& keyed) {
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(keyed.size()));
  for (size_t i = 0; i < items.size(); ++i) items[i] = keyed[i].item;
  return list_value(items);
}

Result sort(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::vector<AttributePath> paths,
                   AttributePath::parse_several(runtime, given[2]));
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  RETURN_IF_ERROR(runtime.reserve(items.size() * sizeof(Keyed)));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) {
      ASSIGN_OR_RETURN(const Value key, key_of(runtime, path, truthy(given[1]), item));
      keys.push_back(key);
    }
    ASSIGN_OR_RETURN(const Value key, runtime.list(keys));
    keyed.push_back({key, item});
  }
  RETURN_IF_ERROR(sort_by_key(runtime, keyed, truthy(given[0])));
  return items_of(runtime, keyed);
}

Result dictsort(Runtime& runtime, const Value& self, const Arguments& given) {
  if (!self.is(Kind::dict)) return fail("'dictsort' needs a mapping, not {}", type_name(self));
  bool by_value = false;
  if (given[1].given()) {
    by_value = given[1].is(Kind::string) && given[1].text() == "value";
    if (!by_value && !(given[1].is(Kind::string) && given[1].text() == "key")) {
      return fail("'dictsort' sorts by 'key' or by 'value'");
    }
  }
  std::vector<Keyed> keyed;
  for (const Entry& entry : self.dict->entries) {
    const Value pair[] = {entry.key, entry.value};
    ASSIGN_OR_RETURN(const Value item, runtime.tuple(pair));
    ASSIGN_OR_RETURN(const Value key,
                     key_of(runtime, {}, truthy(given[0]), by_value ? entry.value : entry.key));
    keyed.push_back({key, item});
  }
  RETURN_IF_ERROR(sort_by_key(runtime, keyed, truthy(given[2])));
  return items_of(runtime, keyed);
}

Result unique(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const AttributePath path, AttributePath::parse(runtime, given[1]));
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  DictBuilder seen(runtime);
  std::vector<Value> kept;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value key, key_of(runtime, path, truthy(given[0]), item));
    ASSIGN_OR_RETURN(const bool is_new, seen.insert(key, none_value()));
    if (is_new) kept.push_back(item);
  }
  ASSIGN_OR_RETURN(const Value list, runtime.list(kept));
  return iterator_value(runtime, list.elements());
}

Value make_group(const Value& tuple) {
  Value group = tuple;
  group.flavour = Value::kGroup;
  return group;
}

Result groupby(Runtime& runtime, const Value& self, const Arguments& given) {
  const bool case_sensitive = truthy(given[2]);
  const Value fallback = given[1].is(Kind::none) ? Value{} : given[1];
  ASSIGN_OR_RETURN(const AttributePath path, AttributePath::parse(runtime, given[0]));
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value key, key_of(runtime, path, case_sensitive, item, fallback));
    keyed.push_back({key, item});
  }
  RETURN_IF_ERROR(sort_by_key(runtime, keyed, false));
  std::vector<Value> groups;
  for (size_t begin = 0, end = 0; begin < keyed.size(); begin = end) {
    std::vector<Value> members;
    for (bool alike = true; end < keyed.size(); ++end) {
      ASSIGN_OR_RETURN(alike, equal(runtime, keyed[begin].key, keyed[end].key));
      if (!alike) break;
      members.push_back(keyed[end].item);
    }
    // The key as the first member spells it.
    ASSIGN_OR_RETURN(const Value key, key_of(runtime, path, true, members[0], fallback));
    ASSIGN_OR_RETURN(const Value list, runtime.list(members));
    const Value pair[] = {key, list};
    ASSIGN_OR_RETURN(const Value group, runtime.tuple(pair));
    groups.push_back(make_group(group));
  }
  return runtime.list(groups);
}

template <Comparison better>
Result extreme(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const AttributePath path, AttributePath::parse(runtime, given[1]));
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  Keyed best;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value key, key_of(runtime, path, truthy(given[0]), item));
    bool replaces = !best.item.given();
    if (!replaces) {
      ASSIGN_OR_RETURN(replaces, compare(runtime, better, key, best.key));
    }
    if (replaces) best = {key, item};
  }
  if (best.item.given()) return best.item;
  return undefined_value("No aggregated item, sequence was empty.", Value::kMessage);
}

constexpr Native kFilters[] = {
    {"sort", sort, {"reverse", "case_sensitive", "attribute"}},
    {"dictsort", dictsort, {"case_sensitive", "by", "reverse"}},
    {"unique", unique, {"case_sensitive", "attribute"}},
    {"groupby", groupby, {"attribute!", "default", "case_sensitive"}},
    {"min", extreme<Comparison::less>, {"case_sensitive", "attribute"}},
    {"max", extreme<Comparison::greater>, {"case_sensitive", "attribute"}},
};

}  // namespace

std::span<const Native> ordering_filters() {
  return kFilters;
}

}  // namespace bessemer::jinja
