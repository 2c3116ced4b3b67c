#include "router/text/jinja/format_text.h"

#include <charconv>

#include "router/text/jinja/format_spec.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/operators.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

// "%s" % values, conversion by conversion.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& values)
      : runtime_(runtime), rest_(format), values_(values), out_(runtime) {}

  StatusOr<Value> run() {
    while (!rest_.empty()) {
      const size_t percent = std::min(rest_.find('%'), rest_.size());
      out_.add(rest_.substr(0, percent));
      rest_.remove_prefix(percent);
      if (rest_.empty()) break;
      rest_.remove_prefix(1);
      RETURN_IF_ERROR(conversion());
    }
    // As in Python, values that can be indexed may stay unused, a tuple's may not.
    const bool indexable =
        values_.is(Kind::dict) || values_.is(Kind::list) || values_.is(Kind::undefined);
    const size_t given = values_.is(Kind::tuple) ? values_.size : indexable ? used_ : 1;
    if (used_ < given && !by_name_) return fail("not all arguments were converted by the format");
    return out_.take(runtime_);
  }

 private:
  Status conversion() {
    FormatSpec spec;
    Value value;
    if (rest_.starts_with('(')) {
      ASSIGN_OR_RETURN(value, named());
    }
    RETURN_IF_ERROR(flags(spec));
    if (rest_.empty()) return fail("the format ends within a conversion");
    spec.type = rest_[0];
    rest_.remove_prefix(1);
    if (spec.type == '%') {
      out_.add('%');
      return {};
    }
    if (!value.given()) {
      ASSIGN_OR_RETURN(value, next());
    }
    return write(value, spec);
  }

  StatusOr<Value> named() {
    size_t depth = 0, end = 0;
    do {
      depth += rest_[end] == '(' ? 1 : 0;
      depth -= rest_[end] == ')' ? 1 : 0;
      ++end;
    } while (depth > 0 && end < rest_.size());
    if (depth > 0) return fail("the format contains a name that is not closed");
    if (!values_.is(Kind::dict)) return fail("the format needs a mapping");
    const std::string_view name = rest_.substr(1, end - 2);
    rest_.remove_prefix(end);
    by_name_ = true;
    const Value* const value = values_.dict->find(name);
    if (value == nullptr) return fail("the mapping has no '{}' for the format", name);
    return *value;
  }

  StatusOr<Value> next() {
    const size_t index = used_++;
    if (values_.is(Kind::tuple)) {
      if (index < values_.size) return values_.items[index];
    } else if (index == 0) {
      return values_;
    }
    return fail("not enough arguments for the format");
  }

  Status flags(FormatSpec& spec) {
    for (; !rest_.empty() && std::string_view("#0- +").find(rest_[0]) != std::string_view::npos;
         rest_.remove_prefix(1)) {
      const char flag = rest_[0];
      if (flag == '#') spec.alternate = true;
      if (flag == '-') spec.align = '<';
      if (flag == '0' && spec.align != '<') spec.align = '=';
      if (flag == '+' || (flag == ' ' && spec.sign != '+')) spec.sign = flag;
    }
    if (spec.align == '=') spec.fill = '0';
    ASSIGN_OR_RETURN(Int width, size());
    if (width < 0) {
      spec.align = '<';
      spec.fill = ' ';
      width = -width;
    }
    spec.width = static_cast<size_t>(width);
    if (rest_.starts_with('.')) {
      rest_.remove_prefix(1);
      ASSIGN_OR_RETURN(const Int precision, size());
      spec.precision = static_cast<int>(std::max<Int>(precision, 0));
    }
    const size_t length = rest_.find_first_not_of("hlL");  // means nothing, as in Python
    rest_.remove_prefix(std::min<size_t>(std::min(length, rest_.size()), 1));
    return {};
  }

  StatusOr<Int> size() {
    Int value = 0;
    if (rest_.starts_with('*')) {
      rest_.remove_prefix(1);
      ASSIGN_OR_RETURN(const Value given, next());
      ASSIGN_OR_RETURN(value, need_int(given, "a width or precision given as *"));
    }
    for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9' && value <= Int{kMaxPadding};
         rest_.remove_prefix(1)) {
      value = 10 * value + (rest_[0] - '0');
    }
    if (value > Int{kMaxPadding} || value < -Int{kMaxPadding}) {
      return fail("a width or precision in a format is larger than {}", kMaxPadding);
    }
    return value;
  }

  Status write(const Value& value, FormatSpec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
        return write_text(value, spec);
      case 'c':
        return write_character(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return write_digits(value, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is(Kind::undefined)) return fail("{}", undefined_message(value));
        if (!value.is_number()) return fail("the format needs a number, not {}", type_name(value));
        return write_float(out_, value.as_double(), spec);
      default:
        return fail("unsupported format character '{}'", spec.type);
    }
  }

  Status write_text(const Value& value, FormatSpec& spec) {
    TextBuilder text(runtime_);
    RETURN_IF_ERROR(spec.type == 's' ? write_str(runtime_, text, value)
                                     : write_repr(runtime_, text, value));
    std::string_view shown = text.view();
    if (spec.precision >= 0)
      shown = shown.substr(0, unicode::offset_of(shown, static_cast<size_t>(spec.precision)));
    spec.fill = ' ';
    if (spec.align == '=') spec.align = '>';
    write_padded(out_, spec, "", shown, '>');
    return {};
  }

  Status write_character(const Value& value, FormatSpec& spec) {
    if (value.is_integral()) {
      TextBuilder text(runtime_);
      RETURN_IF_ERROR(write_integer(text, value.as_int(), {.type = 'c'}));
      write_padded(out_, spec, "", text.view(), '>');
      return {};
    }
    if (!value.is(Kind::string) || unicode::length(value.text()) != 1) {
      return fail("%c needs an integer or one character");
    }
    write_padded(out_, spec, "", value.text(), '>');
    return {};
  }

  Status write_digits(const Value& value, FormatSpec& spec) {
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    Int number = 0;
    if (value.is(Kind::number) && decimal) {
      ASSIGN_OR_RETURN(number, truncate(value.number));
    } else {
      ASSIGN_OR_RETURN(number, need_int(value, fmt::format("the value for %{}", spec.type)));
    }
    if (number == Int{1} << 127)
      return absl::OutOfRangeError("the integer is too large to be formatted");
    const int base = decimal ? 10 : spec.type == 'o' ? 8 : 16;
    std::string digits = digits_of(number < 0 ? -number : number, base, spec.type == 'X');
    const auto precision = static_cast<size_t>(std::max(spec.precision, 0));
    if (digits.size() < precision) digits.insert(0, precision - digits.size(), '0');
    std::string sign = number < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
    if (spec.alternate && !decimal)
      sign += spec.type == 'o' ? "0o" : spec.type == 'x' ? "0x" : "0X";
    write_padded(out_, spec, sign, digits, '>');
    return {};
  }

  Runtime& runtime_;
  std::string_view rest_;
  const Value& values_;
  TextBuilder out_;
  size_t used_ = 0;
  bool by_name_ = false;
};

// "{}".format(...), field by field.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& given) : runtime_(runtime), given_(given) {}

  // A format within a format ("{:{width}}") has depth 1; Python allows no more.
  Status run(TextBuilder& out, std::string_view format, int depth) {
    if (depth > 1) return fail("formats are nested too deeply");
    for (size_t at = 0; at < format.size();) {
      const size_t brace = std::min(format.find_first_of("{}", at), format.size());
      out.add(format.substr(at, brace - at));
      if (brace == format.size()) break;
      if (brace + 1 < format.size() && format[brace + 1] == format[brace]) {
        out.add(format[brace]);
        at = brace + 2;
        continue;
      }
      if (format[brace] == '}') return fail("the format has a '}}' without '{{'");
      ASSIGN_OR_RETURN(at, field(out, format, brace + 1, depth));
    }
    return {};
  }

 private:
  // The field that begins at `begin`; returns where it ends.
  StatusOr<size_t> field(TextBuilder& out, std::string_view format, size_t begin, int depth) {
    int open = 1;
    size_t end = begin;
    for (; end < format.size() && open > 0; ++end)
      open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
    if (open > 0) return fail("the format has a '{{' without '}}'");
    const std::string_view whole = format.substr(begin, end - 1 - begin);
    size_t name_end = std::min(whole.find_first_of("!:["), whole.size());
    while (name_end < whole.size() && whole[name_end] == '[') {
      name_end = std::min(whole.find(']', name_end), whole.size());
      name_end = std::min(whole.find_first_of("!:[", name_end), whole.size());
    }
    ASSIGN_OR_RETURN(Value value, lookup(whole.substr(0, name_end)));
    std::string_view rest = whole.substr(name_end);
    if (rest.starts_with('!')) {
      if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
        return fail("invalid conversion in a format field");
      ASSIGN_OR_RETURN(value, converted(value, rest[1]));
      rest.remove_prefix(2);
    }
    TextBuilder spec(runtime_);
    if (rest.starts_with(':')) RETURN_IF_ERROR(run(spec, rest.substr(1), depth + 1));
    RETURN_IF_ERROR(write_formatted(runtime_, out, value, spec.view()));
    return end;
  }

  StatusOr<Value> converted(const Value& value, char how) {
    if (how == 's') return to_text(runtime_, value);
    if (how != 'r') return fail("unknown conversion '!{}' in a format field", how);
    TextBuilder text(runtime_);
    RETURN_IF_ERROR(write_repr(runtime_, text, value));
    return text.take(runtime_);
  }

  // "", "0", "name", each followed by ".attribute" or "[key]" any number of times.
  StatusOr<Value> lookup(std::string_view path) {
    const size_t first = std::min(path.find_first_of(".["), path.size());
    ASSIGN_OR_RETURN(Value value, argument(path.substr(0, first)));
    path.remove_prefix(first);
    while (!path.empty()) {
      const bool by_key = path[0] == '[';
      const size_t end =
          by_key ? path.find(']') : std::min(path.find_first_of(".[", 1), path.size());
      if (end == std::string_view::npos || end == 1) return fail("invalid name in a format field");
      const std::string_view name = path.substr(1, end - 1);
      path.remove_prefix(by_key ? end + 1 : end);
      if (by_key && !path.empty() && path[0] != '.' && path[0] != '[')
        return fail("invalid name in a format field");
      const std::optional<size_t> index = number(name);
      ASSIGN_OR_RETURN(value, !by_key ? get_attribute(runtime_, value, name)
                                      : get_item(runtime_, value,
                                                 index ? int_value(static_cast<Int>(*index))
                                                       : text_value(name)));
    }
    return value;
  }

  static std::optional<size_t> number(std::string_view text) {
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
      return std::nullopt;
    return value;
  }

  StatusOr<Value> argument(std::string_view name) {
    std::optional<size_t> index = number(name);
    if (name.empty() || index) {
      if (numbering_ != 0 && numbering_ != (name.empty() ? 'a' : 'm')) {
        return fail("a format cannot mix numbered and unnumbered fields");
      }
      numbering_ = name.empty() ? 'a' : 'm';
      if (name.empty()) index = next_++;
      if (*index < given_.positional.size()) return given_[*index];
      return fail("the format has more fields than there are arguments");
    }
    for (const Arguments::Named& named : given_.named) {
      if (named.name == name) return named.value;
    }
    return fail("there is no argument '{}' for the format", name);
  }

  Runtime& runtime_;
  const Arguments& given_;
  char numbering_ = 0;  // 'a': automatic, 'm': by hand
  size_t next_ = 0;
};

Status write_formatted_text(TextBuilder& out, std::string_view text, const FormatSpec& spec) {
  if (spec.type != '\0' && spec.type != 's')
    return fail("unknown format code '{}' for a string", spec.type);
  if (spec.sign != '-' || spec.alternate || spec.grouping != '\0')
    return fail("this format is for numbers only");
  FormatSpec used = spec;
  if (used.align == '=') {
    if (used.fill != '0') return fail("'=' alignment is for numbers only");
    used.align = '<';
  }
  if (spec.precision >= 0)
    text = text.substr(0, unicode::offset_of(text, static_cast<size_t>(spec.precision)));
  write_padded(out, used, "", text, '<');
  return {};
}

}  // namespace

StatusOr<Value> format_percent(Runtime& runtime, const Value& format, const Value& values) {
  RETURN_IF_ERROR(runtime.charge_bytes(format.size));
  return PercentFormatter(runtime, format.text(), values).run();
}

StatusOr<Value> format_braces(Runtime& runtime, std::string_view format, const Arguments& given) {
  RETURN_IF_ERROR(runtime.charge_bytes(format.size()));
  TextBuilder out(runtime);
  RETURN_IF_ERROR(BraceFormatter(runtime, given).run(out, format, 0));
  return out.take(runtime);
}

Status write_formatted(Runtime& runtime, TextBuilder& out, const Value& value,
                       std::string_view text) {
  if (text.empty()) return write_str(runtime, out, value);
  ASSIGN_OR_RETURN(const FormatSpec spec, parse_format_spec(text));
  switch (value.kind) {
    case Kind::string:
      return write_formatted_text(out, value.text(), spec);
    case Kind::boolean:
    case Kind::integer:
      return write_integer(out, value.as_int(), spec);
    case Kind::number:
      return write_float(out, value.number, spec);
    default:
      return fail("a format such as '{}' does not go with {}", text, type_name(value));
  }
}

}  // namespace bessemer::jinja
