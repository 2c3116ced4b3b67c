// + - * / // % ** and their unary forms.
#include <cmath>

#include "router/text/jinja/escape.h"
#include "router/text/jinja/format_text.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/operators.h"

namespace bessemer::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

std::string_view symbol(Operator how) {
  return kSymbols[static_cast<size_t>(how)];
}

Status unsupported(Operator how, const Value& a, const Value& b) {
  if (a.is(Kind::undefined)) return fail("{}", undefined_message(a));
  if (b.is(Kind::undefined)) return fail("{}", undefined_message(b));
  return fail("unsupported operand type(s) for {}: '{}' and '{}'", symbol(how), type_name(a),
              type_name(b));
}

StatusOr<Value> integer(StatusOr<Int> result) {
  if (!result.ok()) return std::move(result).status();
  return int_value(*result);
}

StatusOr<Value> divide(Int a, Int b) {
  // 64-bit mantissas: correctly rounded for all integers that a double itself can hold.
  return number_value(
      static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
}

StatusOr<Value> raise(double base, double exponent) {
  if (base == 0 && exponent < 0) return fail("0.0 cannot be raised to a negative power");
  if (base < 0 && std::floor(exponent) != exponent && std::isfinite(base)) {
    return fail("a negative number cannot be raised to a fractional power");
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    return absl::OutOfRangeError("the power is too large for a float");
  }
  return number_value(result);
}

StatusOr<Value> apply_integers(Operator how, Int a, Int b) {
  const bool divides =
      how == Operator::divide || how == Operator::floor_divide || how == Operator::modulo;
  if (divides && b == 0) return fail("division by zero");
  switch (how) {
    case Operator::add:
      return integer(add(a, b));
    case Operator::subtract:
      return integer(subtract(a, b));
    case Operator::multiply:
      return integer(multiply(a, b));
    case Operator::divide:
      return divide(a, b);
    case Operator::floor_divide:
      return integer(floor_divide(a, b));
    case Operator::modulo:
      return int_value(modulo(a, b));
    case Operator::power:
      if (b < 0) return raise(static_cast<double>(a), static_cast<double>(b));
      return integer(power(a, b));
  }
  return fail("unknown operator");
}

StatusOr<Value> apply_doubles(Operator how, double a, double b) {
  const bool divides =
      how == Operator::divide || how == Operator::floor_divide || how == Operator::modulo;
  if (divides && b == 0) return fail("float division by zero");
  switch (how) {
    case Operator::add:
      return number_value(a + b);
    case Operator::subtract:
      return number_value(a - b);
    case Operator::multiply:
      return number_value(a * b);
    case Operator::divide:
      return number_value(a / b);
    case Operator::floor_divide: {
      const double rest = modulo(a, b);
      const double quotient = (a - rest) / b;
      const double whole = std::floor(quotient);
      return number_value(quotient - whole > 0.5 ? whole + 1
                          : quotient == 0        ? std::copysign(0.0, a / b)
                                                 : whole);
    }
    case Operator::modulo:
      return number_value(modulo(a, b));
    case Operator::power:
      return raise(a, b);
  }
  return fail("unknown operator");
}

StatusOr<Value> concatenate(Runtime& runtime, std::span<const Value> a, std::span<const Value> b,
                            bool tuple) {
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(a.size() + b.size()));
  std::copy(a.begin(), a.end(), items.begin());
  std::copy(b.begin(), b.end(), items.begin() + static_cast<std::ptrdiff_t>(a.size()));
  return tuple ? tuple_value(items) : list_value(items);
}

StatusOr<Value> join_texts(Runtime& runtime, const Value& a, const Value& b) {
  TextBuilder text(runtime);
  const bool markup = a.is_markup() || b.is_markup();
  for (const Value* part : {&a, &b}) {
    if (markup && !part->is_markup()) {
      escape_html(text, part->text());
    } else {
      text.add(part->text());
    }
  }
  ASSIGN_OR_RETURN(Value result, text.take(runtime));
  result.flavour = markup ? Value::kMarkup : Value::kPlain;
  return result;
}

// `unit` over and over until `room`, a multiple of it, is full.
template <typename T>
void fill_repeatedly(std::span<const T> unit, std::span<T> room) {
  for (size_t at = 0; at < room.size(); at += unit.size()) {
    std::copy(unit.begin(), unit.end(), room.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

StatusOr<Value> repeat(Runtime& runtime, const Value& value, Int times) {
  if (times < 0 || value.size == 0) times = 0;
  const size_t unit = value.is(Kind::string) ? 1 : sizeof(Value);
  const size_t limit = runtime.limits().memory_bytes;
  if (value.size != 0 && times > static_cast<Int>(limit / (value.size * unit))) {
    return absl::ResourceExhaustedError(
        fmt::format("the repetition takes more than {} MiB", limit >> 20));
  }
  const auto count = static_cast<size_t>(times);
  if (value.is(Kind::string)) {
    ASSIGN_OR_RETURN(const std::span<char> text, runtime.array<char>(count * value.size));
    fill_repeatedly<char>({value.chars, value.size}, text);
    Value result = text_value({text.data(), text.size()});
    result.flavour = value.flavour;
    return result;
  }
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(count * value.size));
  fill_repeatedly<Value>(value.elements(), items);
  return value.is(Kind::tuple) ? tuple_value(items) : list_value(items);
}

bool is_repeatable(const Value& value) {
  return value.is(Kind::string) || value.is_sequence();
}

}  // namespace

StatusOr<Value> apply(Runtime& runtime, Operator how, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return apply_integers(how, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return apply_doubles(how, a.as_double(), b.as_double());
  if (how == Operator::modulo && a.is(Kind::string)) return format_percent(runtime, a, b);
  if (how == Operator::add && a.kind == b.kind) {
    if (a.is(Kind::string)) return join_texts(runtime, a, b);
    if (a.is_sequence()) return concatenate(runtime, a.elements(), b.elements(), a.is(Kind::tuple));
  }
  if (how == Operator::multiply && is_repeatable(a) && b.is_integral())
    return repeat(runtime, a, b.as_int());
  if (how == Operator::multiply && is_repeatable(b) && a.is_integral())
    return repeat(runtime, b, a.as_int());
  return unsupported(how, a, b);
}

StatusOr<Value> negate(const Value& value) {
  if (value.is(Kind::number)) return number_value(-value.number);
  if (value.is_integral()) return integer(subtract(0, value.as_int()));
  if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
  return fail("bad operand type for unary -: '{}'", type_name(value));
}

StatusOr<Value> plus(const Value& value) {
  if (value.is(Kind::number)) return value;
  if (value.is_integral()) return int_value(value.as_int());
  if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
  return fail("bad operand type for unary +: '{}'", type_name(value));
}

StatusOr<Int> need_int(const Value& value, std::string_view what) {
  if (value.is_integral()) return value.as_int();
  if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
  return fail("{} must be an integer, not {}", what, type_name(value));
}

int64_t clamp(Int value, int64_t bound) {
  return static_cast<int64_t>(value > bound ? Int{bound} : value < -bound ? -Int{bound} : value);
}

}  // namespace bessemer::jinja
