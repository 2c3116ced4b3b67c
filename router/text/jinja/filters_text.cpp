// Filters whose result is text.
#include <algorithm>

#include "router/text/jinja/builtins.h"
#include "router/text/jinja/escape.h"
#include "router/text/jinja/format_text.h"
#include "router/text/jinja/iterate.h"
#include "router/text/jinja/json_text.h"
#include "router/text/jinja/methods.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/pretty.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"
#include "router/text/jinja/wrap.h"

namespace bessemer::jinja {
namespace {

using Texts = StatusOr<Value>;

StatusOr<std::string_view> need_text(const Value& value, std::string_view filter) {
  if (value.is(Kind::string)) return value.text();
  if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
  return fail("'{}' needs a string, not {}", filter, type_name(value));
}

template <std::string (*map)(std::string_view)>
Texts mapped(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  RETURN_IF_ERROR(runtime.charge_bytes(8 * size_t{text.size}));
  return runtime.text(map(text.text()));
}

// Jinja's own title(): words begin behind white space, hyphens and opening brackets.
std::string titled(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const auto separates = [&](size_t& offset) {
      const char32_t code = unicode::next(text, offset);
      return unicode::is_space(code) ||
             std::u32string_view(U"-({[<").find(code) != std::u32string_view::npos;
    };
    for (size_t next = end; next < text.size() && separates(next);) end = next;
    out += text.substr(at, end - at);
    at = end;
    for (size_t next = end; next < text.size() && !separates(next);) end = next;
    if (end == at) continue;
    size_t first = at;
    unicode::next(text, first);
    out += unicode::upper(text.substr(at, first - at));
    out += unicode::lower(text.substr(first, end - first));
    at = end;
  }
  return out;
}

Texts trim(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  RETURN_IF_ERROR(runtime.charge_bytes(text.size));
  if (given[0].is_none_or_missing()) return text_value(unicode::strip(text.text()));
  ASSIGN_OR_RETURN(const std::string_view chars, need_text(given[0], "trim"));
  RETURN_IF_ERROR(runtime.charge_bytes(text.size * (1 + chars.size() / 64)));
  return text_value(unicode::strip(text.text(), chars));
}

Texts replace(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  ASSIGN_OR_RETURN(const Value old_text, to_text(runtime, given[0]));
  ASSIGN_OR_RETURN(const Value new_text, to_text(runtime, given[1]));
  Int count = -1;
  if (!given[2].is_none_or_missing()) {
    ASSIGN_OR_RETURN(count, need_int(given[2], "'count'"));
  }
  TextBuilder out(runtime);
  RETURN_IF_ERROR(replace_text(runtime, out, text.text(), old_text.text(), new_text.text(), count));
  return out.take(runtime);
}

Texts indent(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view text, need_text(self, "indent"));
  const bool first = truthy(given[1]), blank = truthy(given[2]);
  std::string indention(4, ' ');
  if (given[0].is(Kind::string)) {
    indention = given[0].text();
  } else if (given[0].given()) {
    ASSIGN_OR_RETURN(const Int width, need_int(given[0], "'width'"));
    if (width > Int{kMaxPadding}) return fail("an indentation is wider than {}", kMaxPadding);
    indention.assign(static_cast<size_t>(std::max<Int>(width, 0)), ' ');
  }
  RETURN_IF_ERROR(runtime.charge_bytes(text.size()));
  const std::string whole = std::string(text) + "\n";  // so that an empty last line counts
  const std::vector<std::string_view> lines = split_lines(whole, false);
  TextBuilder out(runtime);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.add('\n');
    if (i == 0 ? first : blank || !lines[i].empty()) out.add(indention);
    out.add(lines[i]);
  }
  return out.take(runtime);
}

Texts truncate_text(Runtime& runtime, const Value& self, const Arguments& given) {
  Int limit = 255, leeway = 5;
  if (given[0].given()) {
    ASSIGN_OR_RETURN(limit, need_int(given[0], "'length'"));
  }
  if (!given[3].is_none_or_missing()) {
    ASSIGN_OR_RETURN(leeway, need_int(given[3], "'leeway'"));
  }
  std::string_view end = "...";
  if (given[2].given()) {
    ASSIGN_OR_RETURN(end, need_text(given[2], "truncate"));
  }
  const auto end_size = static_cast<Int>(unicode::length(end));
  if (limit < end_size) return fail("expected length >= {}, got {}", end_size, limit);
  if (leeway < 0) return fail("expected leeway >= 0, got {}", leeway);
  RETURN_IF_ERROR(runtime.charge_bytes(self.is(Kind::string) ? self.size : 0));
  ASSIGN_OR_RETURN(const Int size, length(self));
  if (size <= limit || size - limit <= leeway) return self;
  ASSIGN_OR_RETURN(const std::string_view text, need_text(self, "truncate"));
  std::string_view kept =
      text.substr(0, unicode::offset_of(text, static_cast<size_t>(limit - end_size)));
  if (!truthy(given[1])) kept = kept.substr(0, kept.rfind(' '));
  return runtime.text(std::string(kept).append(end));
}

Texts center_filter(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  Int width = 80;
  if (given[0].given()) {
    ASSIGN_OR_RETURN(width, need_int(given[0], "'width'"));
  }
  return center(runtime, text.text(), width, ' ');
}

Texts format(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  if (given.named.empty()) return format_percent(runtime, text, tuple_value(given.positional));
  if (!given.positional.empty()) {
    return fail("'format' takes positional or named arguments, not both at the same time");
  }
  DictBuilder values(runtime);
  for (const Arguments::Named& named : given.named)
    RETURN_IF_ERROR(values.set(named.name, named.value));
  ASSIGN_OR_RETURN(const Value mapping, values.take());
  return format_percent(runtime, text, mapping);
}

Texts escape_again(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  TextBuilder out(runtime);
  escape_html(out, text.text());
  ASSIGN_OR_RETURN(Value result, out.take(runtime));
  result.flavour = Value::kMarkup;
  return result;
}

Texts escape(Runtime& runtime, const Value& self, const Arguments& given) {
  return self.is_markup() ? self : escape_again(runtime, self, given);
}

Texts safe(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(Value text, to_text(runtime, self));
  text.flavour = Value::kMarkup;
  return text;
}

void quote_url(TextBuilder& out, std::string_view text, bool in_query) {
  constexpr std::string_view kKept = "_.-~";
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    const bool alnum = code < 0x80 && unicode::is_alnum(code);
    if (alnum || kKept.find(byte) != std::string_view::npos || (byte == '/' && !in_query)) {
      out.add(byte);
    } else if (byte == ' ' && in_query) {
      out.add('+');
    } else {
      out.add(fmt::format("%{:02X}", static_cast<unsigned>(code)));
    }
  }
}

Status quote_pair(Runtime& runtime, TextBuilder& out, const Value& pair) {
  ASSIGN_OR_RETURN(const std::span<const Value> parts, to_items(runtime, pair));
  if (parts.size() != 2) return fail("'urlencode' needs pairs of key and value");
  for (size_t i = 0; i < 2; ++i) {
    ASSIGN_OR_RETURN(const Value text, to_text(runtime, parts[i]));
    if (i == 1) out.add('=');
    quote_url(out, text.text(), true);
  }
  return {};
}

Texts urlencode(Runtime& runtime, const Value& self, const Arguments&) {
  TextBuilder out(runtime);
  if (self.is(Kind::string) || !is_iterable(self)) {
    ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
    quote_url(out, text.text(), false);
    return out.take(runtime);
  }
  Value pairs = self;
  if (self.is(Kind::dict))
    pairs = {.kind = Kind::view, .flavour = Value::kItems, .dict = self.dict};
  ASSIGN_OR_RETURN(const std::span<const Value> items, to_items(runtime, pairs));
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add('&');
    RETURN_IF_ERROR(quote_pair(runtime, out, items[i]));
  }
  return out.take(runtime);
}

Texts wordcount(Runtime& runtime, const Value& self, const Arguments&) {
  ASSIGN_OR_RETURN(const Value text, to_text(runtime, self));
  RETURN_IF_ERROR(runtime.charge_bytes(text.size));
  Int words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size;) {
    const bool word = unicode::is_word(unicode::next(text.text(), at));
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return int_value(words);
}

Texts wordwrap(Runtime& runtime, const Value& self, const Arguments& given) {
  ASSIGN_OR_RETURN(const std::string_view text, need_text(self, "wordwrap"));
  WrapStyle style;
  if (given[0].given()) {
    ASSIGN_OR_RETURN(const Int width, need_int(given[0], "'width'"));
    if (width <= 0) return fail("invalid width {} (must be > 0)", width);
    style.width = static_cast<size_t>(clamp(width, int64_t{1} << 40));
  }
  style.break_long_words = !given[1].given() || truthy(given[1]);
  style.break_on_hyphens = !given[3].given() || truthy(given[3]);
  std::string_view separator = "\n";
  if (!given[2].is_none_or_missing()) {
    ASSIGN_OR_RETURN(separator, need_text(given[2], "wordwrap"));
  }
  TextBuilder out(runtime);
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    RETURN_IF_ERROR(runtime.charge_bytes(8 * line.size()));
    if (!first) out.add(separator);
    first = false;
    bool first_part = true;
    for (const std::string& part : wrap_line(line, style)) {
      if (!first_part) out.add(separator);
      first_part = false;
      out.add(part);
    }
  }
  return out.take(runtime);
}

StatusOr<std::string_view> separator(const Value& pair, size_t index) {
  const bool valid = pair.is_sequence() && pair.size == 2 && pair.items[index].is(Kind::string);
  if (!valid) return fail("'separators' must be two strings");
  return pair.items[index].text();
}

Texts tojson(Runtime& runtime, const Value& self, const Arguments& given) {
  JsonStyle style;
  style.ascii_only = truthy(given[0]);
  style.sort_keys = truthy(given[3]);
  std::string spaces;
  if (given[1].is(Kind::string)) {
    style.indent = given[1].text();
  } else if (!given[1].is_none_or_missing()) {
    ASSIGN_OR_RETURN(const Int width, need_int(given[1], "'indent'"));
    if (width > Int{kMaxPadding}) return fail("an indentation is wider than {}", kMaxPadding);
    spaces.assign(static_cast<size_t>(std::max<Int>(width, 0)), ' ');
    style.indent = spaces;
  }
  style.indented = !given[1].is_none_or_missing();
  if (style.indented) style.item_separator = ",";
  if (!given[2].is_none_or_missing()) {
    ASSIGN_OR_RETURN(style.item_separator, separator(given[2], 0));
    ASSIGN_OR_RETURN(style.key_separator, separator(given[2], 1));
  }
  TextBuilder out(runtime);
  RETURN_IF_ERROR(write_json(runtime, out, self, style));
  return out.take(runtime);
}

Texts string(Runtime& runtime, const Value& self, const Arguments&) {
  return to_text(runtime, self);
}

Texts pprint(Runtime& runtime, const Value& self, const Arguments&) {
  TextBuilder out(runtime);
  RETURN_IF_ERROR(write_pretty(runtime, out, self));
  return out.take(runtime);
}

constexpr Native kFilters[] = {
    {"upper", mapped<unicode::upper>},
    {"lower", mapped<unicode::lower>},
    {"capitalize", mapped<unicode::capitalize>},
    {"title", mapped<titled>},
    {"trim", trim, {"chars"}},
    {"replace", replace, {"old!", "new!", "count"}},
    {"indent", indent, {"width", "first", "blank"}},
    {"truncate", truncate_text, {"length", "killwords", "end", "leeway"}},
    {"center", center_filter, {"width"}},
    {"format", format, {"*"}},
    {"e", escape},
    {"escape", escape},
    {"forceescape", escape_again},
    {"safe", safe},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
    {"wordwrap", wordwrap, {"width", "break_long_words", "wrapstring", "break_on_hyphens"}},
    // As transformers defines it: plain JSON, nothing escaped for HTML.
    {"tojson", tojson, {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {"string", string},
    {"pprint", pprint},
};

}  // namespace

std::span<const Native> text_filters() {
  return kFilters;
}

}  // namespace bessemer::jinja
