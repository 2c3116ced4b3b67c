#include "router/text/jinja/json_text.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "router/text/jinja/numbers.h"
#include "router/text/jinja/objects.h"
#include "router/text/jinja/order.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

StatusOr<Value> convert(Runtime& runtime, const json::value& json, int depth);

StatusOr<Value> convert(Runtime& runtime, const json::object& object, int depth) {
  DictBuilder builder(runtime);
  for (const auto& member : object) {
    const std::string_view key(member.key().data(), member.key().size());
    ASSIGN_OR_RETURN(const Value value, convert(runtime, member.value(), depth + 1));
    RETURN_IF_ERROR(builder.set(key, value));
  }
  return builder.take();
}

StatusOr<Value> convert(Runtime& runtime, const json::array& array, int depth) {
  ASSIGN_OR_RETURN(const std::span<Value> items, runtime.array<Value>(array.size()));
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(items[i], convert(runtime, array[i], depth + 1));
  }
  return list_value(items);
}

StatusOr<Value> convert(Runtime& runtime, const json::value& json, int depth) {
  if (depth > kMaxValueDepth)
    return fail("the input is nested more than {} levels deep", kMaxValueDepth);
  RETURN_IF_ERROR(runtime.charge());
  switch (json.kind()) {
    case json::kind::null:
      return none_value();
    case json::kind::bool_:
      return bool_value(json.get_bool());
    case json::kind::int64:
      return int_value(json.get_int64());
    case json::kind::uint64:
      return int_value(json.get_uint64());
    case json::kind::double_:
      return number_value(json.get_double());
    case json::kind::string:
      return text_value({json.get_string().data(), json.get_string().size()});
    case json::kind::array:
      return convert(runtime, json.get_array(), depth);
    case json::kind::object:
      return convert(runtime, json.get_object(), depth);
  }
  return none_value();
}

void write_unicode_escape(TextBuilder& out, char32_t code) {
  if (code >= 0x10000) {
    const auto high = static_cast<uint32_t>(0xd800 + ((code - 0x10000) >> 10));
    const auto low = static_cast<uint32_t>(0xdc00 + ((code - 0x10000) & 0x3ff));
    out.add(fmt::format("\\u{:04x}\\u{:04x}", high, low));
  } else {
    out.add(fmt::format("\\u{:04x}", static_cast<uint32_t>(code)));
  }
}

void write_string(TextBuilder& out, std::string_view text, bool ascii_only) {
  constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f", kNames = "\"\\nrtbf";
  out.add('"');
  size_t plain = 0;  // what stands from here on is written as it is
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = unicode::next(text, at);
    const size_t special =
        code < 0x80 ? kSpecial.find(static_cast<char>(code)) : std::string_view::npos;
    if (special == std::string_view::npos && code >= 0x20 && !(ascii_only && code >= 0x7f))
      continue;
    out.add(text.substr(plain, begin - plain));
    plain = at;
    if (special != std::string_view::npos) {
      out.add('\\');
      out.add(kNames[special]);
    } else {
      write_unicode_escape(out, code);
    }
  }
  out.add(text.substr(plain));
  out.add('"');
}

void write_number(TextBuilder& out, double value) {
  if (std::isnan(value)) {
    out.add("NaN");
  } else if (std::isinf(value)) {
    out.add(value < 0 ? "-Infinity" : "Infinity");
  } else {
    out.add(number_text(value));
  }
}

class Writer {
 public:
  Writer(Runtime& runtime, TextBuilder& out, const JsonStyle& style)
      : runtime_(runtime), out_(out), style_(style) {}

  Status write(const Value& value, int depth) {
    if (depth > kMaxValueDepth)
      return fail("a value is nested more than {} levels deep", kMaxValueDepth);
    RETURN_IF_ERROR(runtime_.charge());
    if (out_.full()) return absl::ResourceExhaustedError("a JSON text is too long");
    switch (value.kind) {
      case Kind::none:
      case Kind::boolean:
      case Kind::integer:
      case Kind::number:
        write_scalar(value);
        return {};
      case Kind::string:
        write_string(out_, value.text(), style_.ascii_only);
        return runtime_.charge_bytes(value.size);
      case Kind::list:
      case Kind::tuple:
        return write_items(value.elements(), depth);
      case Kind::dict:
        return write_dict(*value.dict, depth);
      case Kind::undefined:
        return fail("{}, and cannot be written as JSON", undefined_message(value));
      default:
        return fail("an object of type {} cannot be written as JSON", type_name(value));
    }
  }

 private:
  void write_scalar(const Value& value) {
    if (value.is(Kind::none)) {
      out_.add("null");
    } else if (value.is(Kind::boolean)) {
      out_.add(value.boolean ? "true" : "false");
    } else if (value.is(Kind::integer)) {
      out_.add(int_text(value.integer));
    } else {
      write_number(out_, value.number);
    }
  }

  void new_line(int depth) {
    if (!style_.indented) return;
    out_.add('\n');
    for (int i = 0; i < depth && !out_.full(); ++i) out_.add(style_.indent);
  }

  Status write_items(std::span<const Value> items, int depth) {
    out_.add('[');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      new_line(depth + 1);
      RETURN_IF_ERROR(write(items[i], depth + 1));
    }
    if (!items.empty()) new_line(depth);
    out_.add(']');
    return {};
  }

  Status write_key(const Value& key) {
    if (key.is(Kind::string)) {
      write_string(out_, key.text(), style_.ascii_only);
      return {};
    }
    if (!key.is_number() && !key.is(Kind::none)) {
      return fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
    out_.add('"');
    write_scalar(key);
    out_.add('"');
    return {};
  }

  Status write_dict(const Dict& dict, int depth) {
    std::vector<Entry> entries(dict.entries.begin(), dict.entries.end());
    if (style_.sort_keys) {
      const auto less = [&](const Entry& a, const Entry& b) {
        return compare(runtime_, Comparison::less, a.key, b.key);
      };
      RETURN_IF_ERROR(stable_sort<Entry>(entries, less));
    }
    out_.add('{');
    for (const Entry& entry : entries) {
      if (&entry != entries.data()) out_.add(style_.item_separator);
      new_line(depth + 1);
      RETURN_IF_ERROR(write_key(entry.key));
      out_.add(style_.key_separator);
      RETURN_IF_ERROR(write(entry.value, depth + 1));
    }
    if (!entries.empty()) new_line(depth);
    out_.add('}');
    return {};
  }

  Runtime& runtime_;
  TextBuilder& out_;
  const JsonStyle& style_;
};

}  // namespace

StatusOr<Value> from_json(Runtime& runtime, const json::value& json) {
  return convert(runtime, json, 0);
}

StatusOr<Value> from_json(Runtime& runtime, const json::array& array) {
  return convert(runtime, array, 0);
}

Status write_json(Runtime& runtime, TextBuilder& out, const Value& value, const JsonStyle& style,
                  int depth) {
  return Writer(runtime, out, style).write(value, depth);
}

}  // namespace bessemer::jinja
