// Filters on lists and other things to go through.
#include <vector>

#include "router/text/jinja/attribute_path.h"
#include "router/text/jinja/builtins.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/loop.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

Value undefined(std::string_view message) {
  return undefined_value(message, Value::kMessage);
}

Result length_filter(Runtime& runtime, const Value& self, const Arguments&) {
  if (self.is(Kind::loop)) {
    ASSIGN_OR_RETURN(const Int size, self.loop->length(runtime));
    return int_value(size);
  }
  RETURN_IF_ERROR(runtime.charge_bytes(self.is(Kind::string) ? self.size : 0));
  ASSIGN_OR_RETURN(const Int size, length(self));
  return int_value(size);
}

Result list(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  return self.is_sequence() ? runtime.list(items) : list_value(items);
}

Result first(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(Iterator* const items, iterate(runtime, self));
  Value item;
  ASSIGN_OR_RETURN(const bool any, items->next(runtime, item));
  return any ? item : undefined("No first item, sequence was empty.");
}

Result last(Runtime& runtime, const Value& self, const Arguments&) {
  if (self.is(Kind::iterator) || !is_iterable(self))
    return fail("'{}' object is not reversible", type_name(self));
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  return items.empty() ? undefined("No last item, sequence was empty.") : items.back();
}

Result reverse(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  if (self.is(Kind::string)) {
    TextBuilder out(runtime);
    for (size_t i = items.size(); i > 0; --i) out.add(items[i - 1].text());
    return out.take(runtime);
  }
  ASSIGN_OR_RETURN(const std::span<Value> reversed, runtime.array<Value>(items.size()));
  std::copy(items.rbegin(), items.rend(), reversed.begin());
  return self.is(Kind::iterator) ? list_value(reversed) : iterator_value(runtime, reversed);
}

Result join(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, self));
  Value separator = text_value("");
  if (given[0].given()) {
    ASSIGN_OR_RETURN(separator, to_text(runtime, given[0]));
  }
  AttributePath path;
  if (!given[1].is_none_or_missing()) {
    ASSIGN_OR_RETURN(path, AttributePath::parse(runtime, given[1]));
  }
  TextBuilder out(runtime);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add(separator.text());
    ASSIGN_OR_RETURN(const Value item, path.of(runtime, items[i]));
    RETURN_IF_ERROR(write_str(runtime, out, item));
  }
  return out.take(runtime);
}

Result items(Runtime& runtime, const Value& self, const Arguments&) {
  if (self.is(Kind::undefined)) return iterator_value(runtime, {});
  if (!self.is(Kind::dict))
    return fail("can only get item pairs from a mapping, not from {}", type_name(self));
  ASSIGN_OR_RETURN(
      Iterator* const pairs,
      iterate(runtime, {.kind = Kind::view, .flavour = Value::kItems, .dict = self.dict}));
  return iterator_value(pairs);
}

Result sum(Runtime& runtime, const Value& self, const Arguments& given) {
  Value total = given[1].given() ? given[1] : int_value(0);
  if (total.is(Kind::string)) return fail("'sum' cannot add strings (use join)");
  AttributePath path;
  if (!given[0].is_none_or_missing()) {
    ASSIGN_OR_RETURN(path, AttributePath::parse(runtime, given[0]));
  }
  ASSIGN_OR_RETURN(const std::span<const Value> all, to_items(runtime, self));
  for (const Value& item : all) {
    ASSIGN_OR_RETURN(const Value addend, path.of(runtime, item));
    ASSIGN_OR_RETURN(total, apply(runtime, Operator::add, total, addend));
  }
  return total;
}

Result batch(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Int wanted, need_int(given[0], "'linecount'"));
  ASSIGN_OR_RETURN(const std::span<const Value> all, to_items(runtime, self));
  const auto size = static_cast<size_t>(clamp(std::max<Int>(wanted, 1), int64_t{1} << 40));
  std::vector<Value> lines;
  for (size_t begin = 0; begin < all.size(); begin += size) {
    std::vector<Value> line(
        all.begin() + static_cast<std::ptrdiff_t>(begin),
        all.begin() + static_cast<std::ptrdiff_t>(std::min(begin + size, all.size())));
    if (!given[1].is_none_or_missing() && line.size() < size) {
      RETURN_IF_ERROR(runtime.reserve(std::min(size, size_t{1} << 35) * sizeof(Value)));
      line.resize(size, given[1]);
    }
    ASSIGN_OR_RETURN(const Value kept, runtime.list(line));
    lines.push_back(kept);
  }
  ASSIGN_OR_RETURN(const Value result, runtime.list(lines));
  return iterator_value(runtime, result.elements());
}

Result slice(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Int count, need_int(given[0], "'slices'"));
  ASSIGN_OR_RETURN(const std::span<const Value> all, to_items(runtime, self));
  if (count == 0) return fail("division by zero");
  if (count > Int{kMaxRange}) return fail("'slice' makes at most {} lists", kMaxRange);
  const auto slices = static_cast<size_t>(std::max<Int>(count, 0));
  std::vector<Value> columns;
  size_t begin = 0;
  for (size_t i = 0; i < slices; ++i) {
    const bool longer = i < all.size() % slices;
    const size_t size = all.size() / slices + (longer ? 1 : 0);
    std::vector<Value> column(all.begin() + static_cast<std::ptrdiff_t>(begin),
                              all.begin() + static_cast<std::ptrdiff_t>(begin + size));
    begin += size;
    if (!given[1].is_none_or_missing() && !longer) column.push_back(given[1]);
    ASSIGN_OR_RETURN(const Value kept, runtime.list(column));
    columns.push_back(kept);
  }
  ASSIGN_OR_RETURN(const Value result, runtime.list(columns));
  return iterator_value(runtime, result.elements());
}

Result attr(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value name, to_text(runtime, given[0]));
  if (self.is(Kind::undefined)) return fail("{}", undefined_message(self));
  ASSIGN_OR_RETURN(const Value own, own_attribute(runtime, self, name.text()));
  return own.given() ? own : undefined_member(self, name.text());
}

Result unavailable_random(Runtime&, const Value&, const Arguments&) {
  return fail("the filter 'random' is not available: the same messages must give the same prompt");
}

Result unavailable_html(Runtime&, const Value&, const Arguments&) {
  return fail(
      "the filters 'urlize', 'xmlattr' and 'striptags' are not available: prompts are not HTML");
}

constexpr Native kFilters[] = {
    {"length", length_filter},
    {"count", length_filter},
    {"list", list},
    {"first", first},
    {"last", last},
    {"reverse", reverse},
    {"join", join, {"d", "attribute"}},
    {"items", items},
    {"sum", sum, {"attribute", "start"}},
    {"batch", batch, {"linecount!", "fill_with"}},
    {"slice", slice, {"slices!", "fill_with"}},
    {"attr", attr, {"name!"}},
    {"random", unavailable_random},
    {"urlize", unavailable_html, {"*"}},
    {"xmlattr", unavailable_html, {"*"}},
    {"striptags", unavailable_html},
};

}  // namespace

std::span<const Native> sequence_filters() {
  return kFilters;
}

}  // namespace bessemer::jinja
