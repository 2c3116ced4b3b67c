#include "router/text/jinja/numbers.h"

#include <charconv>
#include <cmath>

#include "router/text/jinja/runtime.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

constexpr Int kMaxInt = ~(Int{1} << 127);
constexpr Int kMinInt = Int{1} << 127;

Status out_of_range() {
  return absl::OutOfRangeError("the result does not fit an integer of 128 bits");
}

// Digits with single underscores between them removed; nothing: misplaced underscores.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alnum = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return std::nullopt;
  }
  return out;
}

int digit_of(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'z') return character - 'a' + 10;
  if (character >= 'A' && character <= 'Z') return character - 'A' + 10;
  return 99;
}

// Removes "0x", "0o", "0b" where `base` allows it, and finds the base that 0 stands for; nothing: a
// leading zero.
std::optional<int> take_prefix(std::string_view& digits, int base) {
  int meant = 0;
  if (digits.size() > 1 && digits[0] == '0') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    meant = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  }
  if (meant != 0 && (base == 0 || base == meant)) {
    digits.remove_prefix(digits.size() > 2 && digits[2] == '_' ? 3 : 2);
    return meant;
  }
  if (base != 0) return base;
  const bool leading_zero = digits.size() > 1 && digits[0] == '0' &&
                            digits.find_first_not_of("0_") != std::string_view::npos;
  return leading_zero ? std::nullopt : std::optional<int>(10);
}

}  // namespace

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  std::string_view all(buffer, static_cast<size_t>(end - buffer));
  std::string out;
  if (all.front() == '-') {
    out = "-";
    all.remove_prefix(1);
  }
  const size_t e = all.find('e');
  int exponent = 0;
  const std::string_view power = all.substr(all[e + 1] == '+' ? e + 2 : e + 1);
  std::from_chars(power.data(), power.data() + power.size(), exponent);
  std::string digits(1, all[0]);
  if (e > 2) digits += all.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {  // where Python changes to the scientific form
    out += digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

std::string int_text(Int value) {
  return fmt::format("{}", value);
}

std::optional<double> parse_number(std::string_view text) {
  text = unicode::strip(text);
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || digits->front() == '-' || digits->front() == '+')
    return std::nullopt;
  const std::string word = unicode::lower(*digits);
  if (word == "nan") return std::nan("");
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (std::isalpha(static_cast<unsigned char>(word.front())) != 0) return std::nullopt;
  double value = 0;
  const char* const end = digits->data() + digits->size();
  const auto [stop, error] = std::from_chars(digits->data(), end, value);
  if (stop != end) return std::nullopt;
  if (error == std::errc::result_out_of_range) {  // too large or too small: strtod tells which
    value = std::strtod(digits->c_str(), nullptr);
  } else if (error != std::errc()) {
    return std::nullopt;
  }
  return negative ? -value : value;
}

StatusOr<std::optional<Int>> parse_int(std::string_view text, int base) {
  text = unicode::strip(text);
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const std::optional<int> meant = take_prefix(text, base);
  const std::optional<std::string> digits = without_underscores(text);
  if (!meant || !digits || digits->empty()) return std::nullopt;
  Int value = 0;
  for (const char character : *digits) {
    const int digit = digit_of(character);
    if (digit >= *meant) return std::nullopt;
    ASSIGN_OR_RETURN(value, multiply(value, *meant));
    ASSIGN_OR_RETURN(value, negative ? subtract(value, digit) : add(value, digit));
  }
  return value;
}

StatusOr<Int> add(Int a, Int b) {
  Int sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return out_of_range();
  return sum;
}

StatusOr<Int> subtract(Int a, Int b) {
  Int difference = 0;
  if (__builtin_sub_overflow(a, b, &difference)) return out_of_range();
  return difference;
}

// Not __builtin_mul_overflow: for 128 bits it needs a function that libgcc does not have.
StatusOr<Int> multiply(Int a, Int b) {
  if (a == 0 || b == 0) return 0;
  if (a == -1 || b == -1) return subtract(0, a == -1 ? b : a);
  const bool negative = (a < 0) != (b < 0);
  // a = -1 and b = -1 are gone, so these divisions cannot overflow.
  const bool fits = negative ? (a < 0 ? a >= kMinInt / b : b >= kMinInt / a)
                             : (a < 0 ? a >= kMaxInt / b : a <= kMaxInt / b);
  if (!fits) return out_of_range();
  return a * b;
}

StatusOr<Int> power(Int base, Int exponent) {
  if (exponent == 0) return 1;
  if (base == 0 || base == 1) return base;
  if (base == -1) return (exponent & 1) == 0 ? 1 : -1;
  Int result = 1;
  while (true) {
    if ((exponent & 1) != 0) {
      ASSIGN_OR_RETURN(result, multiply(result, base));
    }
    exponent >>= 1;
    if (exponent == 0) return result;
    ASSIGN_OR_RETURN(base, multiply(base, base));
  }
}

StatusOr<Int> floor_divide(Int a, Int b) {
  if (b == -1) return subtract(0, a);
  const Int quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Int modulo(Int a, Int b) {
  if (b == -1) return 0;
  const Int rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

StatusOr<Int> truncate(double value) {
  if (std::isnan(value)) return fail("cannot convert float NaN to integer");
  if (std::isinf(value)) return fail("cannot convert float infinity to integer");
  if (std::abs(value) >= 0x1p127) return out_of_range();
  return static_cast<Int>(value);
}

int compare(Int a, double b) {
  if (b >= 0x1p127) return -1;
  if (b < -0x1p127) return 1;
  const double whole = std::floor(b);
  const Int floor = static_cast<Int>(whole);
  if (a != floor) return a < floor ? -1 : 1;
  return b > whole ? -1 : 0;
}

}  // namespace bessemer::jinja
