#include "router/text/jinja/text_of.h"

#include "router/text/jinja/loop.h"
#include "router/text/jinja/macro.h"
#include "router/text/jinja/numbers.h"
#include "router/text/jinja/objects.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

void write_escaped(TextBuilder& out, char32_t code) {
  const auto number = static_cast<uint32_t>(code);
  if (code < 0x100) {
    out.add(fmt::format("\\x{:02x}", number));
  } else {
    out.add(code < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number));
  }
}

Status write_items(Runtime& runtime, TextBuilder& out, std::span<const Value> items, int depth) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.add(", ");
    RETURN_IF_ERROR(write_repr(runtime, out, items[i], depth + 1));
  }
  return {};
}

Status write_dict(Runtime& runtime, TextBuilder& out, const Dict& dict, int depth) {
  out.add('{');
  for (const Entry& entry : dict.entries) {
    if (&entry != dict.entries.data()) out.add(", ");
    RETURN_IF_ERROR(write_repr(runtime, out, entry.key, depth + 1));
    out.add(": ");
    RETURN_IF_ERROR(write_repr(runtime, out, entry.value, depth + 1));
  }
  out.add('}');
  return {};
}

Status write_view(Runtime& runtime, TextBuilder& out, const Value& view, int depth) {
  out.add(type_name(view));
  out.add("([");
  for (const Entry& entry : view.dict->entries) {
    if (&entry != view.dict->entries.data()) out.add(", ");
    const Value pair[] = {entry.key, entry.value};
    const Value shown = view.flavour == Value::kItems  ? tuple_value(pair)
                        : view.flavour == Value::kKeys ? entry.key
                                                       : entry.value;
    RETURN_IF_ERROR(write_repr(runtime, out, shown, depth + 1));
  }
  out.add("])");
  return {};
}

Status write_namespace(Runtime& runtime, TextBuilder& out, const Namespace& space, int depth) {
  out.add("<Namespace {");
  for (const Namespace::Attribute& attribute : space.attributes()) {
    if (&attribute != space.attributes().data()) out.add(", ");
    write_quoted(out, attribute.name);
    out.add(": ");
    RETURN_IF_ERROR(write_repr(runtime, out, attribute.value, depth + 1));
  }
  out.add("}>");
  return {};
}

Status write_loop(Runtime& runtime, TextBuilder& out, Loop& loop) {
  ASSIGN_OR_RETURN(const Int length, loop.length(runtime));
  out.add(fmt::format("<LoopContext {}/{}>", loop.index0() + 1, length));
  return {};
}

void write_range(TextBuilder& out, const Range& range) {
  out.add(fmt::format("range({}, {}", range.start, range.stop));
  if (range.step != 1) out.add(fmt::format(", {}", range.step));
  out.add(')');
}

Status write_object(Runtime& runtime, TextBuilder& out, const Value& value, int depth) {
  switch (value.kind) {
    case Kind::range:
      write_range(out, *value.range);
      return {};
    case Kind::view:
      return write_view(runtime, out, value, depth);
    case Kind::name_space:
      return write_namespace(runtime, out, *value.space, depth);
    case Kind::macro: {
      const std::string_view name = value.macro->body->name;
      out.add(name.empty() ? "<Macro anonymous>" : fmt::format("<Macro '{}'>", name));
      return {};
    }
    case Kind::loop:
      return write_loop(runtime, out, *value.loop);
    case Kind::native:
      out.add(fmt::format("<built-in {}>", value.native->native->name));
      return {};
    default:  // Python shows an address, which means nothing
      out.add(fmt::format("<{} object>", type_name(value)));
      return {};
  }
}

}  // namespace

void write_quoted(TextBuilder& out, std::string_view text, bool ascii_only) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out.add(quote);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t code = unicode::next(text, at);
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out.add('\\');
      out.add(static_cast<char>(code));
    } else if (code == '\n' || code == '\r' || code == '\t') {
      out.add(code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    } else if (!unicode::is_printable(code) || (ascii_only && code >= 0x80)) {
      write_escaped(out, code);
    } else {
      out.add(text.substr(begin, at - begin));
    }
  }
  out.add(quote);
}

Status write_repr(Runtime& runtime, TextBuilder& out, const Value& value, int depth) {
  if (depth > kMaxValueDepth) {
    return absl::ResourceExhaustedError(
        fmt::format("values are nested more than {} levels deep", kMaxValueDepth));
  }
  RETURN_IF_ERROR(runtime.charge());
  if (out.full()) return absl::ResourceExhaustedError("the text of a value is too long");
  switch (value.kind) {
    case Kind::undefined:
      out.add("Undefined");
      return {};
    case Kind::none:
      out.add("None");
      return {};
    case Kind::boolean:
      out.add(value.boolean ? "True" : "False");
      return {};
    case Kind::integer:
      out.add(int_text(value.integer));
      return {};
    case Kind::number:
      out.add(number_text(value.number));
      return {};
    case Kind::string:
      RETURN_IF_ERROR(runtime.charge_bytes(8 * size_t{value.size}));
      if (value.is_markup()) out.add("Markup(");
      write_quoted(out, value.text());
      if (value.is_markup()) out.add(')');
      return {};
    case Kind::list:
    case Kind::tuple:
      out.add(value.is(Kind::list) ? '[' : '(');
      RETURN_IF_ERROR(write_items(runtime, out, value.elements(), depth));
      out.add(value.is(Kind::list) ? "]" : value.size == 1 ? ",)" : ")");
      return {};
    case Kind::dict:
      return write_dict(runtime, out, *value.dict, depth);
    default:
      return write_object(runtime, out, value, depth);
  }
}

Status write_str(Runtime& runtime, TextBuilder& out, const Value& value) {
  if (value.is(Kind::undefined)) return {};
  if (!value.is(Kind::string)) return write_repr(runtime, out, value);
  out.add(value.text());
  return runtime.charge_bytes(value.size);
}

StatusOr<Value> to_text(Runtime& runtime, const Value& value) {
  if (value.is(Kind::string)) return value;
  TextBuilder text(runtime);
  RETURN_IF_ERROR(write_str(runtime, text, value));
  return text.take(runtime);
}

}  // namespace bessemer::jinja
