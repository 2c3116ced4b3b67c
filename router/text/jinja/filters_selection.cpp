// map, select, reject and their like: lazy, as in Python, so that what is never asked for never
// fails.
#include "router/text/jinja/attribute_path.h"
#include "router/text/jinja/builtins.h"
#include "router/text/jinja/iterate.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

// What to do with each item: look along a path, then call a filter or a test.
struct Step {
  Value attribute;       // the path's spelling; missing: none
  Value fallback;        // for what is undefined on the path
  const Native* native;  // null: take the value itself
  Arguments arguments;
};

StatusOr<Value> take_step(Runtime& runtime, const Step& step, const Value& item) {
  Value value = item;
  if (step.attribute.given()) {
    ASSIGN_OR_RETURN(const AttributePath path, AttributePath::parse(runtime, step.attribute));
    ASSIGN_OR_RETURN(value, path.of(runtime, item, step.fallback));
  }
  return step.native == nullptr ? value : step.native->call(runtime, value, step.arguments);
}

class MapIterator final : public Iterator {
 public:
  MapIterator(Iterator* source, const Step& step) : source_(source), step_(step) {
    depth = source->depth + 1;
  }
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    Value item;
    ASSIGN_OR_RETURN(const bool more, source_->next(runtime, item));
    if (!more) return false;
    ASSIGN_OR_RETURN(out, take_step(runtime, step_, item));
    return true;
  }

 private:
  Iterator* source_;
  Step step_;
};

class SelectIterator final : public Iterator {
 public:
  SelectIterator(Iterator* source, const Step& step, bool wanted)
      : source_(source), step_(step), wanted_(wanted) {
    depth = source->depth + 1;
  }
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    while (true) {
      ASSIGN_OR_RETURN(const bool more, source_->next(runtime, out));
      if (!more) return false;
      ASSIGN_OR_RETURN(const Value tested, take_step(runtime, step_, out));
      if (truthy(tested) == wanted_) return true;
    }
  }

 private:
  Iterator* source_;
  Step step_;
  bool wanted_;
};

StatusOr<Iterator*> source_of(Runtime& runtime, const Value& self) {
  ASSIGN_OR_RETURN(Iterator* const source, iterate(runtime, self));
  if (source->depth < kMaxValueDepth) return source;
  return absl::ResourceExhaustedError(fmt::format(
      "more than {} of map, select and the like are applied to each other", kMaxValueDepth));
}

// A filter or test named by a value.
StatusOr<const Native*> named(const Value& name, const Native* (*find)(std::string_view),
                              std::string_view kind) {
  const Native* const native = name.is(Kind::string) ? find(name.text()) : nullptr;
  if (native != nullptr) return native;
  return fail("there is no {} named '{}'", kind,
              name.is(Kind::string) ? name.text() : type_name(name));
}

Status read_map_attribute(const Arguments& given, Step& step) {
  for (const Arguments::Named& argument : given.named) {
    if (argument.name == "attribute") {
      step.attribute = argument.value;
    } else if (argument.name == "default") {
      if (!argument.value.is(Kind::none)) step.fallback = argument.value;
    } else {
      return fail("'map' has no argument named '{}'", argument.name);
    }
  }
  if (!step.attribute.given()) return fail("'map' needs a filter or an attribute");
  return {};
}

Result map(Runtime& runtime, const Value& self, const Arguments& given) {
  if (!truthy(self)) return iterator_value(runtime, {});
  Step step{{}, {}, nullptr, {}};
  if (given.positional.empty()) {
    RETURN_IF_ERROR(read_map_attribute(given, step));
  } else {
    ASSIGN_OR_RETURN(step.native, named(given[0], find_filter, "filter"));
    step.arguments = {given.positional.subspan(1), given.named};
  }
  ASSIGN_OR_RETURN(Iterator* const source, source_of(runtime, self));
  return iterator_value(runtime.make(MapIterator(source, step)));
}

template <bool wanted, bool by_attribute>
Result select(Runtime& runtime, const Value& self, const Arguments& given) {
  if (!truthy(self)) return iterator_value(runtime, {});
  Step step{{}, {}, nullptr, {}};
  std::span<const Value> rest = given.positional;
  if (by_attribute) {
    if (rest.empty()) return fail("the name of an attribute is missing");
    step.attribute = rest[0];
    rest = rest.subspan(1);
  }
  if (!rest.empty()) {
    ASSIGN_OR_RETURN(step.native, named(rest[0], find_test, "test"));
    step.arguments = {rest.subspan(1), given.named};
  }
  ASSIGN_OR_RETURN(Iterator* const source, source_of(runtime, self));
  return iterator_value(runtime.make(SelectIterator(source, step, wanted)));
}

constexpr Native kFilters[] = {
    {"map", map, {"*"}},
    {"select", select<true, false>, {"*"}},
    {"reject", select<false, false>, {"*"}},
    {"selectattr", select<true, true>, {"*"}},
    {"rejectattr", select<false, true>, {"*"}},
};

}  // namespace

std::span<const Native> selection_filters() {
  return kFilters;
}

}  // namespace bessemer::jinja
