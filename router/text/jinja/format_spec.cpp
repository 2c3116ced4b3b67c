#include "router/text/jinja/format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "router/text/jinja/numbers.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

bool is_align(char32_t code) {
  return code == '<' || code == '>' || code == '^' || code == '=';
}

// A number in front of `rest`, at most kMaxPadding; nothing: no digit there.
StatusOr<std::optional<size_t>> take_size(std::string_view& rest) {
  if (rest.empty() || rest[0] < '0' || rest[0] > '9') return std::nullopt;
  size_t value = 0;
  for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1)) {
    value = 10 * value + static_cast<size_t>(rest[0] - '0');
    if (value > kMaxPadding)
      return fail("a width or precision in a format is larger than {}", kMaxPadding);
  }
  return value;
}

// True: a fill character was given.
bool take_alignment(std::string_view& rest, FormatSpec& spec) {
  if (rest.empty()) return false;
  size_t at = 0;
  const char32_t first = unicode::next(rest, at);
  if (at < rest.size() && is_align(static_cast<unsigned char>(rest[at]))) {
    spec.fill = first;
    spec.align = rest[at];
    rest.remove_prefix(at + 1);
    return true;
  }
  if (is_align(first)) {
    spec.align = rest[0];
    rest.remove_prefix(1);
  }
  return false;
}

bool take(std::string_view& rest, char character) {
  if (!rest.starts_with(character)) return false;
  rest.remove_prefix(1);
  return true;
}

std::string_view sign_of(bool negative, char style) {
  return negative ? "-" : style == '+' ? "+" : style == ' ' ? " " : "";
}

std::string print_float(const char* format, int precision, double value) {
  const int size = std::snprintf(nullptr, 0, format, precision, value);
  std::string text(static_cast<size_t>(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), format, precision, value);
  text.pop_back();
  return text;
}

// As %g, but with a digit behind the point, which Python wants where no type is given; a number
// that leaves no room for that digit is written with an exponent.
std::string general_with_point(double magnitude, int precision) {
  precision = std::max(precision, 1);
  const std::string scientific = print_float("%.*e", precision - 1, magnitude);
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  if (exponent >= -4 && exponent < precision - 1) {
    const std::string fixed = print_float("%.*g", precision, magnitude);
    return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
  }
  std::string mantissa = scientific.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.resize(mantissa.find_last_not_of('0') + 1);
    if (mantissa.ends_with('.')) mantissa.pop_back();
  }
  return mantissa + scientific.substr(e);
}

}  // namespace

StatusOr<FormatSpec> parse_format_spec(std::string_view text) {
  FormatSpec spec;
  std::string_view rest = text;
  const bool filled = take_alignment(rest, spec);
  for (const char sign : {'+', '-', ' '}) {
    if (take(rest, sign)) {
      spec.sign = sign;
      break;
    }
  }
  spec.alternate = take(rest, '#');
  if (rest.starts_with('0') && !filled) {
    spec.fill = '0';
    if (spec.align == '\0') spec.align = '=';
  }
  ASSIGN_OR_RETURN(const std::optional<size_t> width, take_size(rest));
  spec.width = width.value_or(0);
  for (const char separator : {',', '_'}) {
    if (take(rest, separator)) spec.grouping = separator;
  }
  if (take(rest, '.')) {
    ASSIGN_OR_RETURN(const std::optional<size_t> precision, take_size(rest));
    if (!precision) return fail("a format lacks the precision behind '.'");
    spec.precision = static_cast<int>(*precision);
  }
  if (!rest.empty()) {
    spec.type = rest[0];
    rest.remove_prefix(1);
  }
  if (!rest.empty()) return fail("invalid format '{}'", text);
  return spec;
}

void write_padded(TextBuilder& out, const FormatSpec& spec, std::string_view sign,
                  std::string_view digits, char default_align) {
  const size_t length = sign.size() + unicode::length(digits);
  const size_t padding = spec.width > length ? spec.width - length : 0;
  const char align = spec.align == '\0' ? default_align : spec.align;
  const size_t before = align == '<' ? 0 : align == '^' ? padding / 2 : padding;
  std::string fill;
  unicode::append(fill, spec.fill);
  if (align == '=') out.add(sign);
  for (size_t i = 0; i < before; ++i) out.add(fill);
  if (align != '=') out.add(sign);
  out.add(digits);
  for (size_t i = before; i < padding; ++i) out.add(fill);
}

std::string digits_of(Int magnitude, int base, bool upper) {
  std::string digits;
  do {
    digits += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[static_cast<int>(magnitude % base)];
    magnitude /= base;
  } while (magnitude != 0);
  std::ranges::reverse(digits);
  return digits;
}

std::string float_digits(double magnitude, const FormatSpec& spec) {
  const char type = spec.type == 'n' ? 'g' : spec.type;
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  if (!std::isfinite(magnitude)) {
    std::string word = std::isnan(magnitude) ? "nan" : "inf";
    if (upper) word = unicode::upper(word);
    return type == '%' ? word + "%" : word;
  }
  if (type == '\0' && spec.precision < 0) return number_text(magnitude);
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  const bool alternate = spec.alternate;
  switch (type) {
    case 'e':
      return print_float(alternate ? "%#.*e" : "%.*e", precision, magnitude);
    case 'E':
      return print_float(alternate ? "%#.*E" : "%.*E", precision, magnitude);
    case 'f':
    case 'F':
      return print_float(alternate ? "%#.*f" : "%.*f", precision, magnitude);
    case '%':
      return print_float("%.*f", precision, 100 * magnitude) + "%";
    case 'g':
      return print_float(alternate ? "%#.*g" : "%.*g", precision, magnitude);
    case 'G':
      return print_float(alternate ? "%#.*G" : "%.*G", precision, magnitude);
    default:
      return general_with_point(magnitude, precision);
  }
}

std::string grouped(std::string_view digits, char separator, size_t group, size_t width) {
  const size_t point = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  const std::string_view rest = digits.substr(point);
  std::string whole(digits.substr(0, point));
  const auto size = [&](size_t count) { return count + (count - 1) / group + rest.size(); };
  size_t zeros = 0;
  while (size(whole.size() + zeros) < width) ++zeros;
  whole.insert(0, zeros, '0');
  std::string out;
  for (size_t at = 0; at < whole.size(); ++at) {
    if (at > 0 && (whole.size() - at) % group == 0) out += separator;
    out += whole[at];
  }
  return out.append(rest);
}

Status write_integer(TextBuilder& out, Int value, const FormatSpec& spec) {
  constexpr std::string_view kFloatTypes = "eEfFgG%";
  if (kFloatTypes.find(spec.type) != std::string_view::npos && spec.type != '\0') {
    return write_float(out, static_cast<double>(value), spec);
  }
  if (spec.precision >= 0) return fail("an integer is not formatted with a precision");
  if (spec.type == 'c') {
    if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
      return fail("no character has this number");
    std::string character;
    unicode::append(character, static_cast<char32_t>(value));
    write_padded(out, spec, "", character, '<');
    return {};
  }
  const int base = spec.type == 'b'            ? 2
                   : spec.type == 'o'          ? 8
                   : (spec.type | 0x20) == 'x' ? 16
                                               : 10;
  if (std::string_view("bodxXn").find(spec.type) == std::string_view::npos && spec.type != '\0') {
    return fail("unknown format code '{}' for an integer", spec.type);
  }
  if (spec.grouping == ',' && base != 10)
    return fail("',' does not go with format code '{}'", spec.type);
  std::string digits;
  if (value == Int{1} << 127)
    return absl::OutOfRangeError("the integer is too large to be formatted");
  digits = digits_of(value < 0 ? -value : value, base, spec.type == 'X');
  std::string sign(sign_of(value < 0, spec.sign));
  if (spec.alternate && base != 10)
    sign += spec.type == 'b' ? "0b" : spec.type == 'o' ? "0o" : spec.type == 'x' ? "0x" : "0X";
  if (spec.grouping != '\0') {
    const bool zero_filled = spec.align == '=' && spec.fill == '0';
    const size_t width = zero_filled && spec.width > sign.size() ? spec.width - sign.size() : 0;
    digits = grouped(digits, spec.grouping, base == 10 ? 3 : 4, width);
  }
  write_padded(out, spec, sign, digits, '>');
  return {};
}

Status write_float(TextBuilder& out, double value, const FormatSpec& spec) {
  if (spec.type != '\0' && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos) {
    return fail("unknown format code '{}' for a float", spec.type);
  }
  const bool negative = std::signbit(value) && !std::isnan(value);
  const std::string_view sign = sign_of(negative, spec.sign);
  std::string digits = float_digits(std::abs(value), spec);
  if (spec.grouping != '\0' && std::isfinite(value)) {
    const bool zero_filled = spec.align == '=' && spec.fill == '0';
    const size_t width = zero_filled && spec.width > sign.size() ? spec.width - sign.size() : 0;
    digits = grouped(digits, spec.grouping, 3, width);
  }
  write_padded(out, spec, sign, digits, '>');
  return {};
}

}  // namespace bessemer::jinja
