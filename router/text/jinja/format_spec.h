// Numbers and text laid out to a width: what both ways of formatting share.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct FormatSpec {
  char32_t fill = ' ';
  char align = '\0';  // '<', '>', '^', '='; zero: the kind's own
  char sign = '-';
  bool alternate = false;
  char grouping = '\0';  // ',' or '_'
  size_t width = 0;
  int precision = -1;
  char type = '\0';
};

StatusOr<FormatSpec> parse_format_spec(std::string_view text);

// `sign` and `digits` (prefix, digits, fraction, exponent) padded to the width; '=' pads between
// them.
void write_padded(TextBuilder& out, const FormatSpec& spec, std::string_view sign,
                  std::string_view digits, char default_align);

std::string digits_of(Int magnitude, int base, bool upper);
// The magnitude of a float as the type says: e, f, g, %, or none for the shortest form.
std::string float_digits(double magnitude, const FormatSpec& spec);
// Separators between the groups of digits before the point; zeros in front up to `width`
// characters.
std::string grouped(std::string_view digits, char separator, size_t group, size_t width);

Status write_integer(TextBuilder& out, Int value, const FormatSpec& spec);
Status write_float(TextBuilder& out, double value, const FormatSpec& spec);

}  // namespace bessemer::jinja
