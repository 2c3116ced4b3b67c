// Strings as Python sees them: sequences of code points, with Python's case mapping and character
// classes. All text handed to these functions is valid UTF-8.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bessemer::jinja::unicode {

// Offset of the first byte that is not part of a well-formed character; npos: the text is valid
// UTF-8.
size_t find_invalid(std::string_view text);

void append(std::string& out, char32_t code);
// The character at `offset`, which is moved behind it. offset < text.size().
char32_t next(std::string_view text, size_t& offset);
// The character that ends at `offset`, which is moved to its first byte. offset > 0.
char32_t previous(std::string_view text, size_t& offset);

size_t length(std::string_view text);
// Byte offset of the index-th character; text.size() when there are not so many.
size_t offset_of(std::string_view text, size_t index);

bool is_space(char32_t code);
bool is_alpha(char32_t code);
bool is_alnum(char32_t code);  // "word" characters are these and '_'
bool is_decimal(char32_t code);
bool is_digit(char32_t code);    // decimals, superscripts, circled digits
bool is_numeric(char32_t code);  // digits, fractions, Roman numerals
bool is_upper(char32_t code);
bool is_lower(char32_t code);
bool is_title(char32_t code);
bool is_printable(char32_t code);  // stands for itself in repr()
bool is_line_end(char32_t code);   // where str.splitlines() splits
inline bool is_cased(char32_t code) {
  return is_upper(code) || is_lower(code) || is_title(code);
}
inline bool is_word(char32_t code) {
  return code == '_' || is_alnum(code);
}

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string swap_case(std::string_view text);
// The first character in title case, the rest in lower case.
std::string capitalize(std::string_view text);
// Python's str.title(): every run of cased characters capitalised.
std::string title(std::string_view text);

enum class Side { both, left, right };
// Without characters of `chars` (white space if none is given) at its ends.
std::string_view strip(std::string_view text, std::optional<std::string_view> chars = std::nullopt,
                       Side side = Side::both);

}  // namespace bessemer::jinja::unicode
