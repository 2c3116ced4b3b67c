// The functions that every template can call, and the table of all filters.
#include <ctime>

#include "router/text/jinja/builtins.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

Result raise_exception(Runtime& runtime, const Value&, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value message, to_text(runtime, given[0]));
  return absl::InvalidArgumentError(std::string(message.text()));
}

Result strftime_now(Runtime& runtime, const Value&, const Arguments& given) {
  constexpr size_t kMaxFormat = 256;
  if (!given[0].is(Kind::string) || given[0].size > kMaxFormat) {
    return fail("strftime_now() needs a format of at most {} bytes", kMaxFormat);
  }
  const time_t now = runtime.now_s();
  std::tm broken_down{};
  gmtime_r(&now, &broken_down);
  // A character in front tells an empty result from a failure. Widths such as %9999d are cut off by
  // the buffer.
  const std::string format = " " + std::string(given[0].text());
  std::string out(16 * kMaxFormat, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &broken_down));
  if (out.empty()) return fail("strftime_now('{}') gives too long a text", given[0].text());
  return runtime.text(std::string_view(out).substr(1));
}

Result range(Runtime& runtime, const Value&, const Arguments& given) {
  Int parts[3] = {0, 0, 1};
  for (size_t i = 0; i < 3 && given[i].given(); ++i) {
    ASSIGN_OR_RETURN(parts[i], need_int(given[i], "an argument of range()"));
    if (parts[i] > INT64_MAX || parts[i] < INT64_MIN)
      return fail("an argument of range() has more than 64 bits");
  }
  if (!given[1].given()) std::swap(parts[0], parts[1]);
  if (parts[2] == 0) return fail("range() arg 3 must not be zero");
  const Range range{parts[0], parts[1], parts[2]};
  if (range.size() > Int{kMaxRange}) return fail("range() gives at most {} numbers", kMaxRange);
  return Value{.kind = Kind::range, .range = runtime.make(range)};
}

// The arguments of dict() and namespace(): a mapping or pairs, then names.
Result collect(Runtime& runtime, const Arguments& given) {
  if (given.positional.size() > 1) return fail("at most one argument without a name is expected");
  DictBuilder builder(runtime);
  if (!given.positional.empty() && given[0].is(Kind::dict)) {
    for (const Entry& entry : given[0].dict->entries)
      RETURN_IF_ERROR(builder.set(entry.key, entry.value));
  } else if (!given.positional.empty()) {
    ASSIGN_OR_RETURN(const std::span<const Value> pairs, to_items(runtime, given[0]));
    for (const Value& pair : pairs) {
      ASSIGN_OR_RETURN(const std::span<const Value> parts, to_items(runtime, pair));
      if (parts.size() != 2)
        return fail("a dict is made of pairs; this item has {} parts", parts.size());
      RETURN_IF_ERROR(builder.set(parts[0], parts[1]));
    }
  }
  for (const Arguments::Named& named : given.named)
    RETURN_IF_ERROR(builder.set(named.name, named.value));
  return builder.take();
}

Result dict(Runtime& runtime, const Value&, const Arguments& given) {
  return collect(runtime, given);
}

Result make_namespace(Runtime& runtime, const Value&, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value attributes, collect(runtime, given));
  Namespace* const space = runtime.make(Namespace{});
  for (const Entry& entry : attributes.dict->entries) {
    if (!entry.key.is(Kind::string)) return fail("attributes of a namespace are named by strings");
    RETURN_IF_ERROR(space->set(runtime, entry.key.text(), entry.value));
  }
  return Value{.kind = Kind::name_space, .space = space};
}

Result make_cycler(Runtime& runtime, const Value&, const Arguments& given) {
  if (!given.named.empty() || given.positional.empty())
    return fail("cycler() needs at least one item");
  return Value{.kind = Kind::cycler, .cycler = runtime.make(Cycler{given.positional})};
}

Result make_joiner(Runtime& runtime, const Value&, const Arguments& given) {
  const Value separator = given[0].given() ? given[0] : text_value(", ");
  return Value{.kind = Kind::joiner, .joiner = runtime.make(Joiner{separator})};
}

Result lipsum(Runtime&, const Value&, const Arguments&) {
  return fail("lipsum() is not available: the same messages must give the same prompt");
}

constexpr Native kGlobals[] = {
    {"raise_exception", raise_exception, {"message!"}},
    {"strftime_now", strftime_now, {"format!"}},
    {"range", range, {"/start!", "/stop", "/step"}},
    {"dict", dict, {"*"}},
    {"namespace", make_namespace, {"*"}},
    {"cycler", make_cycler, {"*"}},
    {"joiner", make_joiner, {"sep"}},
    {"lipsum", lipsum, {"*"}},
};

const Native* find_in(std::span<const Native> table, std::string_view name) {
  for (const Native& row : table) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

const Native* find_global(std::string_view name) {
  return find_native(kGlobals, name);
}

const Native* find_filter(std::string_view name) {
  for (const std::span<const Native> table :
       {text_filters(), sequence_filters(), selection_filters(), ordering_filters(),
        value_filters()}) {
    if (const Native* const row = find_in(table, name)) return row;
  }
  return nullptr;
}

}  // namespace bessemer::jinja
