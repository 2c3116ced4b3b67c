// The methods of strings.
#include <algorithm>
#include <cstring>

#include "router/text/jinja/format_text.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/methods.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

using Result = StatusOr<Value>;
constexpr size_t npos = std::string_view::npos;

StatusOr<std::string_view> need_text(const Value& value, std::string_view what) {
  if (value.is(Kind::string)) return value.text();
  if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
  return fail("{} must be a string, not {}", what, type_name(value));
}

template <std::string (*map)(std::string_view)>
Result mapped(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.charge_bytes(8 * size_t{self.size}));
  return runtime.text(map(self.text()));
}

template <unicode::Side side>
Result strip(Runtime& runtime, const Value& self, const Arguments& given) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  if (given[0].is_none_or_missing())
    return text_value(unicode::strip(self.text(), std::nullopt, side));
  ASSIGN_OR_RETURN(const std::string_view chars, need_text(given[0], "the argument of strip()"));
  RETURN_IF_ERROR(runtime.charge_bytes(size_t{self.size} * (1 + chars.size() / 64)));
  return text_value(unicode::strip(self.text(), chars, side));
}

// text[start:end] in characters, as find() and its like take it.
struct Window {
  std::string_view text;
  size_t first = 0;   // characters before it
  bool valid = true;  // false: start lies behind the end, where not even "" is found
};

StatusOr<Window> window(Runtime& runtime, std::string_view text, const Value& start,
                        const Value& end) {
  RETURN_IF_ERROR(runtime.charge_bytes(text.size()));
  if (start.is_none_or_missing() && end.is_none_or_missing()) return Window{text};
  const auto size = static_cast<int64_t>(unicode::length(text));
  int64_t bounds[2] = {0, size};
  const Value* const given[2] = {&start, &end};
  for (int i = 0; i < 2; ++i) {
    if (given[i]->is_none_or_missing()) continue;
    ASSIGN_OR_RETURN(const Int index, need_int(*given[i], "a position"));
    bounds[i] = clamp(index, int64_t{1} << 40);
    if (bounds[i] < 0) bounds[i] = std::max<int64_t>(bounds[i] + size, 0);
  }
  bounds[1] = std::min(bounds[1], size);
  if (bounds[0] > bounds[1]) return Window{{}, 0, false};
  const size_t begin = unicode::offset_of(text, static_cast<size_t>(bounds[0]));
  const size_t count =
      unicode::offset_of(text.substr(begin), static_cast<size_t>(bounds[1] - bounds[0]));
  return Window{text.substr(begin, count), static_cast<size_t>(bounds[0])};
}

// Character index of `needle`; -1: not there.
template <bool from_right, bool must_be_there>
Result find(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view needle, need_text(given[0], "what is looked for"));
  ASSIGN_OR_RETURN(const Window where, window(runtime, self.text(), given[1], given[2]));
  RETURN_IF_ERROR(
      runtime.charge_bytes(from_right ? where.text.size() * (1 + needle.size() / 16) : 0));
  const size_t at = from_right ? where.text.rfind(needle) : find_text(where.text, needle);
  if (where.valid && at != npos) {
    return int_value(static_cast<Int>(where.first + unicode::length(where.text.substr(0, at))));
  }
  if (must_be_there) return fail("substring not found");
  return int_value(-1);
}

Result count(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view needle, need_text(given[0], "what is counted"));
  ASSIGN_OR_RETURN(const Window where, window(runtime, self.text(), given[1], given[2]));
  if (!where.valid) return int_value(0);
  if (needle.empty()) return int_value(static_cast<Int>(unicode::length(where.text)) + 1);
  Int found = 0;
  for (size_t at = find_text(where.text, needle); at != npos;
       at = find_text(where.text, needle, at + needle.size())) {
    ++found;
  }
  return int_value(found);
}

template <bool at_end>
Result has_affix(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Window where, window(runtime, self.text(), given[1], given[2]));
  const std::span<const Value> wanted =
      given[0].is(Kind::tuple) ? given[0].elements() : std::span(&given[0], 1);
  for (const Value& affix : wanted) {
    ASSIGN_OR_RETURN(const std::string_view text, need_text(affix, "a prefix or suffix"));
    const bool has = at_end ? where.text.ends_with(text) : where.text.starts_with(text);
    if (has && where.valid) return bool_value(true);
  }
  return bool_value(false);
}

Result remove_prefix(Runtime&, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view prefix, need_text(given[0], "the prefix"));
  std::string_view text = self.text();
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return text_value(text);
}

Result remove_suffix(Runtime&, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view suffix, need_text(given[0], "the suffix"));
  std::string_view text = self.text();
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text_value(text);
}

Result replace(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view old_text, need_text(given[0], "what is replaced"));
  ASSIGN_OR_RETURN(const std::string_view new_text, need_text(given[1], "the replacement"));
  Int limit = -1;
  if (given[2].given()) {
    ASSIGN_OR_RETURN(limit, need_int(given[2], "the count"));
  }
  TextBuilder out(runtime);
  RETURN_IF_ERROR(replace_text(runtime, out, self.text(), old_text, new_text, limit));
  return out.take(runtime);
}

// Pieces between white space, at most `limit` cuts; the rest stays one piece.
std::vector<std::string_view> split_words(std::string_view text, size_t limit) {
  std::vector<std::string_view> words;
  while (true) {
    text = unicode::strip(text, std::nullopt, unicode::Side::left);
    if (text.empty()) return words;
    size_t end = text.size();
    for (size_t at = 0; words.size() < limit && at < text.size();) {
      const size_t begin = at;
      if (!unicode::is_space(unicode::next(text, at))) continue;
      end = begin;
      break;
    }
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// The same from the right; the words come out in reverse.
std::vector<std::string_view> split_words_right(std::string_view text, size_t limit) {
  std::vector<std::string_view> words;
  while (true) {
    text = unicode::strip(text, std::nullopt, unicode::Side::right);
    if (text.empty()) return words;
    size_t begin = 0;
    for (size_t at = text.size(); words.size() < limit && at > 0;) {
      const size_t end = at;
      if (!unicode::is_space(unicode::previous(text, at))) continue;
      begin = end;
      break;
    }
    words.push_back(text.substr(begin));
    text = text.substr(0, begin);
  }
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       size_t limit) {
  std::vector<std::string_view> pieces;
  while (pieces.size() < limit) {
    const size_t at = find_text(text, separator);
    if (at == npos) break;
    pieces.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  pieces.push_back(text);
  return pieces;
}

std::vector<std::string_view> split_at_right(std::string_view text, std::string_view separator,
                                             size_t limit) {
  std::vector<std::string_view> pieces;
  while (pieces.size() < limit) {
    const size_t at = text.rfind(separator);
    if (at == npos) break;
    pieces.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  pieces.push_back(text);
  return pieces;
}

Result list_of(Runtime& runtime, const std::vector<std::string_view>& pieces) {
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(pieces.size()));
  for (size_t i = 0; i < items.size(); ++i) items[i] = text_value(pieces[i]);
  return list_value(items);
}

template <bool from_right>
Result split(Runtime& runtime, const Value& self, const Arguments& given) {
  size_t limit = npos;
  if (given[1].given()) {
    ASSIGN_OR_RETURN(const Int wanted, need_int(given[1], "the number of splits"));
    if (wanted >= 0) limit = static_cast<size_t>(clamp(wanted, int64_t{1} << 40));
  }
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  std::vector<std::string_view> pieces;
  if (given[0].is_none_or_missing()) {
    pieces = from_right ? split_words_right(self.text(), limit) : split_words(self.text(), limit);
  } else {
    ASSIGN_OR_RETURN(const std::string_view separator, need_text(given[0], "the separator"));
    if (separator.empty()) return fail("empty separator");
    RETURN_IF_ERROR(
        runtime.charge_bytes(from_right ? size_t{self.size} * (1 + separator.size() / 16) : 0));
    pieces = from_right ? split_at_right(self.text(), separator, limit)
                        : split_at(self.text(), separator, limit);
  }
  if (from_right) std::ranges::reverse(pieces);
  return list_of(runtime, pieces);
}

template <bool from_right>
Result partition(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view separator, need_text(given[0], "the separator"));
  if (separator.empty()) return fail("empty separator");
  RETURN_IF_ERROR(runtime.charge_bytes(size_t{self.size} * (1 + separator.size() / 16)));
  const std::string_view text = self.text();
  const size_t at = from_right ? text.rfind(separator) : find_text(text, separator);
  const Value empty = text_value(""), all = text_value(text);
  Value parts[] = {from_right ? empty : all, empty, from_right ? all : empty};
  if (at != npos) {
    parts[0] = text_value(text.substr(0, at));
    parts[1] = text_value(separator);
    parts[2] = text_value(text.substr(at + separator.size()));
  }
  return runtime.tuple(parts);
}

Result splitlines(Runtime& runtime, const Value& self, const Arguments& given) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  return list_of(runtime, split_lines(self.text(), truthy(given[0])));
}

Result join(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, given[0]));
  TextBuilder out(runtime);
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(runtime.charge());
    if (!items[i].is(Kind::string)) {
      return fail("sequence item {}: expected str instance, {} found", i, type_name(items[i]));
    }
    if (i > 0) out.add(self.text());
    out.add(items[i].text());
  }
  return out.take(runtime);
}

Result format(Runtime& runtime, const Value& self, const Arguments& given) {
  return format_braces(runtime, self.text(), given);
}

Result format_map(Runtime& runtime, const Value& self, const Arguments& given) {
  if (!given[0].is(Kind::dict))
    return fail("format_map() needs a mapping, not {}", type_name(given[0]));
  std::vector<Arguments::Named> named;
  for (const Entry& entry : given[0].dict->entries) {
    if (entry.key.is(Kind::string)) named.push_back({entry.key.text(), entry.value});
  }
  return format_braces(runtime, self.text(), {{}, named});
}

StatusOr<size_t> width_of(const Value& value) {
  ASSIGN_OR_RETURN(const Int width, need_int(value, "the width"));
  if (width > Int{kMaxPadding}) return fail("a width is larger than {}", kMaxPadding);
  return static_cast<size_t>(std::max<Int>(width, 0));
}

StatusOr<char32_t> fill_of(const Value& value) {
  if (!value.given()) return U' ';
  ASSIGN_OR_RETURN(const std::string_view text, need_text(value, "the fill character"));
  if (unicode::length(text) != 1)
    return fail("the fill character must be exactly one character long");
  size_t at = 0;
  return unicode::next(text, at);
}

Result center_method(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const size_t width, width_of(given[0]));
  ASSIGN_OR_RETURN(const char32_t fill, fill_of(given[1]));
  return center(runtime, self.text(), static_cast<Int>(width), fill);
}

template <bool before>
Result justify(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const size_t width, width_of(given[0]));
  ASSIGN_OR_RETURN(const char32_t fill, fill_of(given[1]));
  RETURN_IF_ERROR(runtime.charge_bytes(self.size + width));
  const size_t length = unicode::length(self.text());
  std::string padding;
  for (size_t i = length; i < width; ++i) unicode::append(padding, fill);
  TextBuilder out(runtime);
  out.add(before ? padding : self.text());
  out.add(before ? self.text() : padding);
  return out.take(runtime);
}

Result zfill(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const size_t width, width_of(given[0]));
  RETURN_IF_ERROR(runtime.charge_bytes(self.size + width));
  std::string_view text = self.text();
  const size_t length = unicode::length(text);
  TextBuilder out(runtime);
  if (text.starts_with('+') || text.starts_with('-')) {
    out.add(text[0]);
    text.remove_prefix(1);
  }
  if (width > length) out.fill('0', width - length);
  out.add(text);
  return out.take(runtime);
}

Result expandtabs(Runtime& runtime, const Value& self, const Arguments& given) {
  size_t tab = 8, column = 0;
  if (given[0].given()) {
    ASSIGN_OR_RETURN(tab, width_of(given[0]));
  }
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  TextBuilder out(runtime);
  for (size_t at = 0; at < self.size && !out.full();) {
    const size_t begin = at;
    const char32_t code = unicode::next(self.text(), at);
    if (code == '\t') {
      const size_t spaces = tab == 0 ? 0 : tab - column % tab;
      out.fill(' ', spaces);
      column += spaces;
      continue;
    }
    column = code == '\n' || code == '\r' ? 0 : column + 1;
    out.add(self.text().substr(begin, at - begin));
  }
  return out.take(runtime);
}

template <bool (*wanted)(char32_t), bool if_empty>
Result all_are(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  if (self.size == 0) return bool_value(if_empty);
  for (size_t at = 0; at < self.size;) {
    if (!wanted(unicode::next(self.text(), at))) return bool_value(false);
  }
  return bool_value(true);
}

bool is_ascii(char32_t code) {
  return code < 0x80;
}

template <bool (*wanted)(char32_t)>
Result all_cased_are(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  bool any = false;
  for (size_t at = 0; at < self.size;) {
    const char32_t code = unicode::next(self.text(), at);
    if (wanted(code)) any = true;
    if (unicode::is_cased(code) && !wanted(code)) return bool_value(false);
  }
  return bool_value(any);
}

Result istitle(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  bool any = false, inside = false;
  for (size_t at = 0; at < self.size;) {
    const char32_t code = unicode::next(self.text(), at);
    const bool capital = unicode::is_upper(code) || unicode::is_title(code);
    if (capital ? inside : unicode::is_lower(code) && !inside) return bool_value(false);
    inside = unicode::is_cased(code);
    any |= inside;
  }
  return bool_value(any);
}

Result isidentifier(Runtime& runtime, const Value& self, const Arguments&) {
  RETURN_IF_ERROR(runtime.charge_bytes(self.size));
  for (size_t at = 0; at < self.size;) {
    const bool first = at == 0;
    const char32_t code = unicode::next(self.text(), at);
    if (first ? code != '_' && !unicode::is_alpha(code) : !unicode::is_word(code))
      return bool_value(false);
  }
  return bool_value(self.size > 0);
}

constexpr Native kMethods[] = {
    {"strip", strip<unicode::Side::both>, {"/chars"}},
    {"lstrip", strip<unicode::Side::left>, {"/chars"}},
    {"rstrip", strip<unicode::Side::right>, {"/chars"}},
    {"split", split<false>, {"sep", "maxsplit"}},
    {"rsplit", split<true>, {"sep", "maxsplit"}},
    {"startswith", has_affix<false>, {"/prefix!", "/start", "/end"}},
    {"endswith", has_affix<true>, {"/suffix!", "/start", "/end"}},
    {"replace", replace, {"/old!", "/new!", "/count"}},
    {"upper", mapped<unicode::upper>},
    {"lower", mapped<unicode::lower>},
    {"title", mapped<unicode::title>},
    {"capitalize", mapped<unicode::capitalize>},
    {"swapcase", mapped<unicode::swap_case>},
    {"join", join, {"/iterable!"}},
    {"find", find<false, false>, {"/sub!", "/start", "/end"}},
    {"rfind", find<true, false>, {"/sub!", "/start", "/end"}},
    {"index", find<false, true>, {"/sub!", "/start", "/end"}},
    {"rindex", find<true, true>, {"/sub!", "/start", "/end"}},
    {"count", count, {"/sub!", "/start", "/end"}},
    {"format", format, {"*"}},
    {"format_map", format_map, {"/mapping!"}},
    {"splitlines", splitlines, {"keepends"}},
    {"partition", partition<false>, {"/sep!"}},
    {"rpartition", partition<true>, {"/sep!"}},
    {"removeprefix", remove_prefix, {"/prefix!"}},
    {"removesuffix", remove_suffix, {"/suffix!"}},
    {"center", center_method, {"/width!", "/fillchar"}},
    {"ljust", justify<false>, {"/width!", "/fillchar"}},
    {"rjust", justify<true>, {"/width!", "/fillchar"}},
    {"zfill", zfill, {"/width!"}},
    {"expandtabs", expandtabs, {"tabsize"}},
    {"isalpha", all_are<unicode::is_alpha, false>},
    {"isalnum", all_are<unicode::is_alnum, false>},
    {"isdecimal", all_are<unicode::is_decimal, false>},
    {"isdigit", all_are<unicode::is_digit, false>},
    {"isnumeric", all_are<unicode::is_numeric, false>},
    {"isspace", all_are<unicode::is_space, false>},
    {"isprintable", all_are<unicode::is_printable, true>},
    {"isascii", all_are<is_ascii, true>},
    {"isupper", all_cased_are<unicode::is_upper>},
    {"islower", all_cased_are<unicode::is_lower>},
    {"istitle", istitle},
    {"isidentifier", isidentifier},
};

}  // namespace

const Native* find_text_method(std::string_view name) {
  return find_native(kMethods, name);
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size() || needle.size() > text.size() - from) return npos;
  if (needle.empty()) return from;
  // memmem is linear; string_view::find takes the product of both sizes in the worst case.
  const void* const found =
      memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return found == nullptr ? npos
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

Status replace_text(Runtime& runtime, TextBuilder& out, std::string_view text,
                    std::string_view old_text, std::string_view new_text, Int count) {
  RETURN_IF_ERROR(runtime.charge_bytes((old_text.empty() ? 16 : 1) * text.size()));
  size_t done = 0;
  Int replaced = 0;
  const auto may = [&] { return (count < 0 || replaced < count) && !out.full(); };
  if (old_text.empty()) {  // between all characters, and at both ends
    for (size_t at = 0; may(); ++replaced) {
      out.add(text.substr(done, at - done));
      out.add(new_text);
      done = at;
      if (at == text.size()) break;
      unicode::next(text, at);
    }
  } else {
    for (size_t at = find_text(text, old_text); at != npos && may();
         at = find_text(text, old_text, done)) {
      out.add(text.substr(done, at - done));
      out.add(new_text);
      done = at + old_text.size();
      ++replaced;
    }
  }
  out.add(text.substr(done));
  return {};
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t code = unicode::next(text, at);
    if (!unicode::is_line_end(code)) continue;
    if (code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

StatusOr<Value> center(Runtime& runtime, std::string_view text, Int width, char32_t fill) {
  if (width > Int{kMaxPadding}) return fail("a width is larger than {}", kMaxPadding);
  const auto length = static_cast<Int>(unicode::length(text));
  const Int padding = std::max<Int>(width - length, 0);
  const Int left = padding / 2 + (padding & width & 1);  // Python's way to spread an odd padding
  RETURN_IF_ERROR(runtime.charge_bytes(text.size() + static_cast<size_t>(padding)));
  std::string out;
  for (Int i = 0; i < left; ++i) unicode::append(out, fill);
  out += text;
  for (Int i = left; i < padding; ++i) unicode::append(out, fill);
  return runtime.text(out);
}

}  // namespace bessemer::jinja
