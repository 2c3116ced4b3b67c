// Numbers as text and back, as Python writes and reads them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "common/status.h"
#include "router/text/jinja/value.h"

namespace bessemer::jinja {

// repr(float): the shortest digits that read back as the same number.
std::string number_text(double value);
std::string int_text(Int value);

// float(text) and int(text, base), white space, signs and underscores included; nothing: not a
// number.
std::optional<double> parse_number(std::string_view text);
// OutOfRange: more than 128 bits.
StatusOr<std::optional<Int>> parse_int(std::string_view text, int base);

// Checked arithmetic; OutOfRange where 128 bits do not hold the result.
StatusOr<Int> add(Int a, Int b);
StatusOr<Int> subtract(Int a, Int b);
StatusOr<Int> multiply(Int a, Int b);
StatusOr<Int> power(Int base, Int exponent);  // exponent >= 0
// Rounded towards minus infinity, the remainder with the divisor's sign. b != 0.
StatusOr<Int> floor_divide(Int a, Int b);
Int modulo(Int a, Int b);
double modulo(double a, double b);
// int(float). InvalidArgument: not finite.
StatusOr<Int> truncate(double value);
// a <=> b exactly, where a double cannot hold every integer. Not for NaN.
int compare(Int a, double b);

}  // namespace bessemer::jinja
