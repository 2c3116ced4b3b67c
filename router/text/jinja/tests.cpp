// What may stand behind `is`.
#include "router/text/jinja/builtins.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

template <Kind kind>
Result is_kind(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is(kind));
}

Result defined(Runtime&, const Value& self, const Arguments&) {
  return bool_value(!self.is(Kind::undefined));
}

Result is_true(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is(Kind::boolean) && self.boolean);
}

Result is_false(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is(Kind::boolean) && !self.boolean);
}

Result number(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is_number());
}

Result iterable(Runtime&, const Value& self, const Arguments&) {
  return bool_value(is_iterable(self));
}

Result sequence(Runtime&, const Value& self, const Arguments&) {
  const bool indexed = self.is_sequence() || self.is(Kind::string) || self.is(Kind::dict) ||
                       self.is(Kind::range) || self.is(Kind::undefined);
  return bool_value(indexed);
}

Result callable(Runtime&, const Value& self, const Arguments&) {
  const bool can = self.is(Kind::macro) || self.is(Kind::native) || self.is(Kind::joiner) ||
                   self.is(Kind::loop) || self.is(Kind::undefined);
  return bool_value(can);
}

// value % divisor == rest
StatusOr<bool> leaves(Runtime& runtime, const Value& value, const Value& divisor, int rest) {
  ASSIGN_OR_RETURN(const Value left, apply(runtime, Operator::modulo, value, divisor));
  return equal(runtime, left, int_value(rest));
}

template <int rest>
Result parity(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const bool holds, leaves(runtime, self, int_value(2), rest));
  return bool_value(holds);
}

Result divisible_by(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const bool holds, leaves(runtime, self, given[0], 0));
  return bool_value(holds);
}

// Some character has a case, and each that has one has this.
StatusOr<bool> all_in_case(Runtime& runtime, const Value& value, bool (*wanted)(char32_t)) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, value));
  RETURN_IF_ERROR(runtime.charge_bytes(text.size));
  bool any = false;
  for (size_t at = 0; at < text.size;) {
    const char32_t code = unicode::next(text.text(), at);
    if (wanted(code)) any = true;
    if (unicode::is_cased(code) && !wanted(code)) return false;
  }
  return any;
}

template <bool (*wanted)(char32_t)>
Result in_case(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const bool holds, all_in_case(runtime, self, wanted));
  return bool_value(holds);
}

Result same_as(Runtime&, const Value& self, const Arguments& given) {
  return bool_value(same(self, given[0]));
}

Result escaped(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is_markup());
}

Result is_filter(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is(Kind::string) && find_filter(self.text()) != nullptr);
}

Result is_test(Runtime&, const Value& self, const Arguments&) {
  return bool_value(self.is(Kind::string) && find_test(self.text()) != nullptr);
}

template <Comparison how>
Result compares(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const bool holds, compare(runtime, how, self, given[0]));
  return bool_value(holds);
}

constexpr Native kTests[] = {
    {"defined", defined},
    {"undefined", is_kind<Kind::undefined>},
    {"none", is_kind<Kind::none>},
    {"boolean", is_kind<Kind::boolean>},
    {"true", is_true},
    {"false", is_false},
    {"integer", is_kind<Kind::integer>},
    {"float", is_kind<Kind::number>},
    {"number", number},
    {"string", is_kind<Kind::string>},
    {"mapping", is_kind<Kind::dict>},
    {"sequence", sequence},
    {"iterable", iterable},
    {"callable", callable},
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible_by, {"num!"}},
    {"lower", in_case<unicode::is_lower>},
    {"upper", in_case<unicode::is_upper>},
    {"sameas", same_as, {"other!"}},
    {"escaped", escaped},
    {"filter", is_filter},
    {"test", is_test},
    {"in", compares<Comparison::in>, {"seq!"}},
    {"eq", compares<Comparison::equal>, {"other!"}},
    {"equalto", compares<Comparison::equal>, {"other!"}},
    {"==", compares<Comparison::equal>, {"other!"}},
    {"ne", compares<Comparison::not_equal>, {"other!"}},
    {"!=", compares<Comparison::not_equal>, {"other!"}},
    {"lt", compares<Comparison::less>, {"other!"}},
    {"lessthan", compares<Comparison::less>, {"other!"}},
    {"<", compares<Comparison::less>, {"other!"}},
    {"le", compares<Comparison::less_equal>, {"other!"}},
    {"<=", compares<Comparison::less_equal>, {"other!"}},
    {"gt", compares<Comparison::greater>, {"other!"}},
    {"greaterthan", compares<Comparison::greater>, {"other!"}},
    {">", compares<Comparison::greater>, {"other!"}},
    {"ge", compares<Comparison::greater_equal>, {"other!"}},
    {">=", compares<Comparison::greater_equal>, {"other!"}},
};

}  // namespace

const Native* find_test(std::string_view name) {
  return find_native(kTests, name);
}

}  // namespace bessemer::jinja
