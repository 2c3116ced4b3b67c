// Filters on single values, numbers above all.
#include <cmath>

#include "router/text/jinja/builtins.h"
#include "router/text/jinja/format_spec.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;

Result default_filter(Runtime&, const Value& self, const Arguments& given) {
  const bool missing = self.is(Kind::undefined) || (truthy(given[1]) && !truthy(self));
  if (!missing) return self;
  return given[0].given() ? given[0] : text_value("");
}

Result abs_filter(Runtime&, const Value& self, const Arguments&) {
  if (self.is(Kind::number)) return number_value(std::abs(self.number));
  if (!self.is_integral()) return fail("bad operand type for abs(): '{}'", type_name(self));
  return self.as_int() < 0 ? negate(self) : plus(self);
}

// int(float(value)), for what int(value) does not take.
Result int_by_way_of_float(const Value& self, const Value& fallback) {
  const std::optional<double> number =
      self.is(Kind::string) ? parse_number(self.text()) : std::nullopt;
  if (!number || !std::isfinite(*number)) return fallback;
  ASSIGN_OR_RETURN(const Int value, truncate(*number));
  return int_value(value);
}

Result int_filter(Runtime& runtime, const Value& self, const Arguments& given) {
  const Value fallback = given[0].given() ? given[0] : int_value(0);
  Int base = 10;
  if (given[1].given()) {
    ASSIGN_OR_RETURN(base, need_int(given[1], "'base'"));
  }
  if (self.is(Kind::undefined)) return fail("{}", undefined_message(self));
  if (self.is_integral()) return int_value(self.as_int());
  if (self.is(Kind::number)) {
    if (std::isnan(self.number)) return fallback;
    ASSIGN_OR_RETURN(const Int value, truncate(self.number));
    return int_value(value);
  }
  if (!self.is(Kind::string)) return fallback;
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  const bool valid_base = base == 0 || (base >= 2 && base <= 36);
  if (valid_base) {
    ASSIGN_OR_RETURN(const std::optional<Int> value,
                     parse_int(self.text(), static_cast<int>(base)));
    if (value) return int_value(*value);
  }
  return int_by_way_of_float(self, fallback);
}

Result float_filter(Runtime& runtime, const Value& self, const Arguments& given) {
  const Value fallback = given[0].given() ? given[0] : number_value(0);
  if (self.is(Kind::undefined)) return fail("{}", undefined_message(self));
  if (self.is_number()) return number_value(self.as_double());
  if (!self.is(Kind::string)) return fallback;
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  const std::optional<double> value = parse_number(self.text());
  return value ? number_value(*value) : fallback;
}

// round() of Python: half to even, exactly.
double round_float(double value, int64_t digits) {
  constexpr int64_t kAllDigits = 340;  // more places than a double has, before and behind the point
  if (!std::isfinite(value) || digits > kAllDigits) return value;
  if (digits < -kAllDigits) return std::copysign(0.0, value);
  if (digits >= 0) {
    const FormatSpec spec{.precision = static_cast<int>(digits), .type = 'f'};
    return std::copysign(*parse_number(float_digits(std::abs(value), spec)), value);
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Result round_int(Int value, Int digits) {
  if (digits >= 0) return int_value(value);
  if (digits < -38) return int_value(0);
  ASSIGN_OR_RETURN(const Int unit, power(10, -digits));
  const Int rest = modulo(value, unit);
  ASSIGN_OR_RETURN(Int rounded, subtract(value, rest));
  const bool odd = modulo(rounded / unit, 2) == 1;
  if (2 * rest > unit || (2 * rest == unit && odd)) {
    ASSIGN_OR_RETURN(rounded, add(rounded, unit));
  }
  return int_value(rounded);
}

Result round(Runtime& runtime, const Value& self, const Arguments& given) {
  std::string_view method = "common";
  if (given[1].given()) method = given[1].is(Kind::string) ? given[1].text() : "";
  if (method != "common" && method != "ceil" && method != "floor") {
    return fail("the method of 'round' is common, ceil or floor");
  }
  Int digits = 0;
  if (given[0].given()) {
    ASSIGN_OR_RETURN(digits, need_int(given[0], "'precision'"));
  }
  if (self.is(Kind::undefined)) return fail("{}", undefined_message(self));
  if (!self.is_number()) return fail("'round' needs a number, not {}", type_name(self));
  if (method == "common") {
    if (self.is_integral()) return round_int(self.as_int(), digits);
    if (!std::isfinite(self.number) && !given[0].given())
      return fail("cannot round {}", number_text(self.number));
    return number_value(round_float(self.number, clamp(digits, 1000)));
  }
  ASSIGN_OR_RETURN(const Value unit,
                   apply(runtime, Operator::power, int_value(10), int_value(digits)));
  ASSIGN_OR_RETURN(const Value scaled, apply(runtime, Operator::multiply, self, unit));
  Value whole = scaled;
  if (scaled.is(Kind::number)) {
    const double edge = method == "ceil" ? std::ceil(scaled.number) : std::floor(scaled.number);
    ASSIGN_OR_RETURN(const Int integer, truncate(edge));
    whole = int_value(integer);
  }
  return apply(runtime, Operator::divide, whole, unit);
}

Result filesizeformat(Runtime& runtime, const Value& self, const Arguments& given) {
  const std::optional<double> number = self.is(Kind::string) ? parse_number(self.text())
                                       : self.is_number()    ? std::optional(self.as_double())
                                                             : std::nullopt;
  if (!number) return fail("'filesizeformat' needs a number, not {}", type_name(self));
  const double size = *number;
  const bool binary = truthy(given[0]);
  const double base = binary ? 1024 : 1000;
  if (size == 1) return text_value("1 Byte");
  if (size < base) {
    ASSIGN_OR_RETURN(const Int bytes, truncate(size));
    return runtime.text(fmt::format("{} Bytes", bytes));
  }
  constexpr std::string_view kPrefixes = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  while (i + 1 < kPrefixes.size() && size >= unit * base) {
    unit *= base;
    ++i;
  }
  const char prefix = binary && i == 0 ? 'K' : kPrefixes[i];
  return runtime.text(fmt::format("{:.1f} {}{}B", size / unit, prefix, binary ? "i" : ""));
}

constexpr Native kFilters[] = {
    {"default", default_filter, {"default_value", "boolean"}},
    {"d", default_filter, {"default_value", "boolean"}},
    {"abs", abs_filter},
    {"int", int_filter, {"default", "base"}},
    {"float", float_filter, {"default"}},
    {"round", round, {"precision", "method"}},
    {"filesizeformat", filesizeformat, {"binary"}},
};

}  // namespace

std::span<const Native> value_filters() {
  return kFilters;
}

}  // namespace bessemer::jinja
