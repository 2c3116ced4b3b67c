#include "router/text/jinja/unicode.h"

#include <algorithm>
#include <iterator>

#include <utf8proc.h>

namespace bessemer::jinja::unicode {
namespace {

struct Range {
  char32_t first, last;
};
struct Expansion {
  char32_t from;
  std::u32string_view to;
};

// Characters whose upper case is more than one character (Unicode SpecialCasing.txt, unconditional
// rows).
constexpr Expansion kUpper[] = {
    {0xdf, U"\x53\x53"},          {0x149, U"\x2bc\x4e"},        {0x1f0, U"\x4a\x30c"},
    {0x390, U"\x399\x308\x301"},  {0x3b0, U"\x3a5\x308\x301"},  {0x587, U"\x535\x552"},
    {0x1e96, U"\x48\x331"},       {0x1e97, U"\x54\x308"},       {0x1e98, U"\x57\x30a"},
    {0x1e99, U"\x59\x30a"},       {0x1e9a, U"\x41\x2be"},       {0x1f50, U"\x3a5\x313"},
    {0x1f52, U"\x3a5\x313\x300"}, {0x1f54, U"\x3a5\x313\x301"}, {0x1f56, U"\x3a5\x313\x342"},
    {0x1f80, U"\x1f08\x399"},     {0x1f81, U"\x1f09\x399"},     {0x1f82, U"\x1f0a\x399"},
    {0x1f83, U"\x1f0b\x399"},     {0x1f84, U"\x1f0c\x399"},     {0x1f85, U"\x1f0d\x399"},
    {0x1f86, U"\x1f0e\x399"},     {0x1f87, U"\x1f0f\x399"},     {0x1f88, U"\x1f08\x399"},
    {0x1f89, U"\x1f09\x399"},     {0x1f8a, U"\x1f0a\x399"},     {0x1f8b, U"\x1f0b\x399"},
    {0x1f8c, U"\x1f0c\x399"},     {0x1f8d, U"\x1f0d\x399"},     {0x1f8e, U"\x1f0e\x399"},
    {0x1f8f, U"\x1f0f\x399"},     {0x1f90, U"\x1f28\x399"},     {0x1f91, U"\x1f29\x399"},
    {0x1f92, U"\x1f2a\x399"},     {0x1f93, U"\x1f2b\x399"},     {0x1f94, U"\x1f2c\x399"},
    {0x1f95, U"\x1f2d\x399"},     {0x1f96, U"\x1f2e\x399"},     {0x1f97, U"\x1f2f\x399"},
    {0x1f98, U"\x1f28\x399"},     {0x1f99, U"\x1f29\x399"},     {0x1f9a, U"\x1f2a\x399"},
    {0x1f9b, U"\x1f2b\x399"},     {0x1f9c, U"\x1f2c\x399"},     {0x1f9d, U"\x1f2d\x399"},
    {0x1f9e, U"\x1f2e\x399"},     {0x1f9f, U"\x1f2f\x399"},     {0x1fa0, U"\x1f68\x399"},
    {0x1fa1, U"\x1f69\x399"},     {0x1fa2, U"\x1f6a\x399"},     {0x1fa3, U"\x1f6b\x399"},
    {0x1fa4, U"\x1f6c\x399"},     {0x1fa5, U"\x1f6d\x399"},     {0x1fa6, U"\x1f6e\x399"},
    {0x1fa7, U"\x1f6f\x399"},     {0x1fa8, U"\x1f68\x399"},     {0x1fa9, U"\x1f69\x399"},
    {0x1faa, U"\x1f6a\x399"},     {0x1fab, U"\x1f6b\x399"},     {0x1fac, U"\x1f6c\x399"},
    {0x1fad, U"\x1f6d\x399"},     {0x1fae, U"\x1f6e\x399"},     {0x1faf, U"\x1f6f\x399"},
    {0x1fb2, U"\x1fba\x399"},     {0x1fb3, U"\x391\x399"},      {0x1fb4, U"\x386\x399"},
    {0x1fb6, U"\x391\x342"},      {0x1fb7, U"\x391\x342\x399"}, {0x1fbc, U"\x391\x399"},
    {0x1fc2, U"\x1fca\x399"},     {0x1fc3, U"\x397\x399"},      {0x1fc4, U"\x389\x399"},
    {0x1fc6, U"\x397\x342"},      {0x1fc7, U"\x397\x342\x399"}, {0x1fcc, U"\x397\x399"},
    {0x1fd2, U"\x399\x308\x300"}, {0x1fd3, U"\x399\x308\x301"}, {0x1fd6, U"\x399\x342"},
    {0x1fd7, U"\x399\x308\x342"}, {0x1fe2, U"\x3a5\x308\x300"}, {0x1fe3, U"\x3a5\x308\x301"},
    {0x1fe4, U"\x3a1\x313"},      {0x1fe6, U"\x3a5\x342"},      {0x1fe7, U"\x3a5\x308\x342"},
    {0x1ff2, U"\x1ffa\x399"},     {0x1ff3, U"\x3a9\x399"},      {0x1ff4, U"\x38f\x399"},
    {0x1ff6, U"\x3a9\x342"},      {0x1ff7, U"\x3a9\x342\x399"}, {0x1ffc, U"\x3a9\x399"},
    {0xfb00, U"\x46\x46"},        {0xfb01, U"\x46\x49"},        {0xfb02, U"\x46\x4c"},
    {0xfb03, U"\x46\x46\x49"},    {0xfb04, U"\x46\x46\x4c"},    {0xfb05, U"\x53\x54"},
    {0xfb06, U"\x53\x54"},        {0xfb13, U"\x544\x546"},      {0xfb14, U"\x544\x535"},
    {0xfb15, U"\x544\x53b"},      {0xfb16, U"\x54e\x546"},      {0xfb17, U"\x544\x53d"},
};

// Lower and upper case without being of category Ll or Lu (Other_Lowercase, Other_Uppercase).
constexpr Range kOtherLower[] = {
    {0xaa, 0xaa},       {0xba, 0xba},       {0x2b0, 0x2b8},     {0x2c0, 0x2c1},    {0x2e0, 0x2e4},
    {0x345, 0x345},     {0x37a, 0x37a},     {0x1d2c, 0x1d6a},   {0x1d78, 0x1d78},  {0x1d9b, 0x1dbf},
    {0x2071, 0x2071},   {0x207f, 0x207f},   {0x2090, 0x209c},   {0x2170, 0x217f},  {0x24d0, 0x24e9},
    {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},   {0xa770, 0xa770},   {0xa7f8, 0xa7f9},  {0xab5c, 0xab5f},
    {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba}};
constexpr Range kOtherUpper[] = {
    {0x2160, 0x216f}, {0x24b6, 0x24cf}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
// Digits that are not decimals (Numeric_Type=Digit).
constexpr Range kOtherDigit[] = {
    {0xb2, 0xb3},       {0xb9, 0xb9},       {0x1369, 0x1371},   {0x19da, 0x19da},
    {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
    {0x2474, 0x247c},   {0x2488, 0x2490},   {0x24ea, 0x24ea},   {0x24f5, 0x24fd},
    {0x24ff, 0x24ff},   {0x2776, 0x277e},   {0x2780, 0x2788},   {0x278a, 0x2792},
    {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};
constexpr Range kSpace[] = {{0x9, 0xd},       {0x1c, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                            {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                            {0x205f, 0x205f}, {0x3000, 0x3000}};

template <size_t n>
bool within(const Range (&ranges)[n], char32_t code) {
  const Range* range = std::upper_bound(
      std::begin(ranges), std::end(ranges), code,
      [](char32_t wanted, const Range& candidate) { return wanted < candidate.first; });
  return range != std::begin(ranges) && code <= range[-1].last;
}

const Expansion* upper_expansion(char32_t code) {
  const Expansion* row = std::lower_bound(
      std::begin(kUpper), std::end(kUpper), code,
      [](const Expansion& candidate, char32_t wanted) { return candidate.from < wanted; });
  return row != std::end(kUpper) && row->from == code ? row : nullptr;
}

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

void append_upper(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code >= 'a' && code <= 'z' ? code - 32 : code);
  } else if (const Expansion* row = upper_expansion(code)) {
    for (const char32_t part : row->to) append(out, part);
  } else {
    append(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_title(std::string& out, char32_t code) {
  constexpr char32_t kSharpS = 0xdf;  // utf8proc knows a single capital for it, Python does not
  const auto simple = static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code)));
  const Expansion* row = code < 0x80 ? nullptr : upper_expansion(code);
  if (row == nullptr || (simple != code && code != kSharpS)) return append(out, simple);
  append(out, row->to[0]);
  for (const char32_t part : row->to.substr(1)) {
    append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(part))));
  }
}

bool is_case_ignorable(char32_t code) {
  switch (category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return std::u32string_view(U"'.:\u00b7\u2018\u2019\u2024\u2027").find(code) !=
             std::u32string_view::npos;
  }
}

// A capital sigma at the end of a word becomes the final form: a cased character before it, none
// behind it.
bool is_final_sigma(std::string_view text, size_t before, size_t behind) {
  bool preceded = false;
  while (before > 0 && !preceded) {
    const char32_t code = previous(text, before);
    if (is_case_ignorable(code)) continue;
    if (!is_cased(code)) return false;
    preceded = true;
  }
  while (preceded && behind < text.size()) {
    const char32_t code = next(text, behind);
    if (!is_case_ignorable(code)) return !is_cased(code);
  }
  return preceded;
}

// The lower case of `code`, which stands at text[begin, end).
void append_lower(std::string& out, std::string_view text, size_t begin, size_t end,
                  char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
  } else if (code == 0x130) {  // capital I with dot above: the only lower case of two characters
    append(out, 'i');
    append(out, 0x307);
  } else if (code == 0x3a3) {
    append(out, is_final_sigma(text, begin, end) ? 0x3c2 : 0x3c3);
  } else {
    append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

}  // namespace

size_t find_invalid(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code = 0;
    const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (used <= 0) return at;
    at += static_cast<size_t>(used);
  }
  return std::string_view::npos;
}

void append(std::string& out, char32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

char32_t next(std::string_view text, size_t& offset) {
  const auto lead = static_cast<unsigned char>(text[offset++]);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  char32_t code = lead & (0x3fu >> more);
  for (int i = 0; i < more && offset < text.size(); ++i) {
    code = code << 6 | (static_cast<unsigned char>(text[offset++]) & 0x3fu);
  }
  return code;
}

char32_t previous(std::string_view text, size_t& offset) {
  do --offset;
  while (offset > 0 && (static_cast<unsigned char>(text[offset]) & 0xc0) == 0x80);
  size_t at = offset;
  return next(text, at);
}

size_t length(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  }));
}

size_t offset_of(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index) next(text, at);
  return at;
}

bool is_space(char32_t code) {
  return within(kSpace, code);
}

bool is_alpha(char32_t code) {
  const auto kind = category(code);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_alnum(char32_t code) {
  return is_alpha(code) || is_numeric(code);
}

bool is_decimal(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t code) {
  return is_decimal(code) || within(kOtherDigit, code);
}

bool is_numeric(char32_t code) {
  const auto kind = category(code);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, code);
}

bool is_lower(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_LL || within(kOtherLower, code);
}

bool is_title(char32_t code) {
  return category(code) == UTF8PROC_CATEGORY_LT;
}

bool is_printable(char32_t code) {
  if (code < 0x7f) return code >= ' ';
  const auto kind = category(code);  // CN is 0; ZS and behind are separators, controls, private use
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

bool is_line_end(char32_t code) {
  return (code >= '\n' && code <= '\r') || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_upper(out, next(text, at));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = next(text, at);
    append_lower(out, text, begin, at, code);
  }
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = next(text, at);
    if (is_upper(code)) {
      append_lower(out, text, begin, at, code);
    } else if (is_lower(code)) {
      append_upper(out, code);
    } else {
      append(out, code);
    }
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = next(text, at);
    if (begin == 0) {
      append_title(out, code);
    } else {
      append_lower(out, text, begin, at, code);
    }
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = next(text, at);
    if (inside) {
      append_lower(out, text, begin, at, code);
    } else {
      append_title(out, code);
    }
    inside = is_cased(code);
  }
  return out;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side) {
  const auto drop = [&](char32_t code) {
    if (!chars) return is_space(code);
    std::string one;
    append(one, code);
    return chars->find(one) != std::string_view::npos;
  };
  size_t begin = 0, end = text.size();
  while (side != Side::right && begin < end) {
    size_t at = begin;
    if (!drop(next(text, at))) break;
    begin = at;
  }
  while (side != Side::left && begin < end) {
    size_t at = end;
    if (!drop(previous(text, at))) break;
    end = at;
  }
  return text.substr(begin, end - begin);
}

}  // namespace bessemer::jinja::unicode
