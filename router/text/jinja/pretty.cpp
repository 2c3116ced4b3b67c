#include "router/text/jinja/pretty.h"

#include <vector>

#include "router/text/jinja/methods.h"
#include "router/text/jinja/objects.h"
#include "router/text/jinja/order.h"
#include "router/text/jinja/text_of.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

constexpr int64_t kWidth = 80;

std::string quoted(const Runtime& runtime, std::string_view text) {
  TextBuilder out(runtime);
  write_quoted(out, text);
  return out.release();
}

int64_t length_of(std::string_view text) {
  return static_cast<int64_t>(unicode::length(text));
}

class Printer {
 public:
  Printer(Runtime& runtime, TextBuilder& out) : runtime_(runtime), out_(out) {}

  // `indent`: where the value begins; `allowance`: characters that will follow it on its last line.
  Status write(const Value& value, int64_t indent, int64_t allowance, int level) {
    TextBuilder repr(runtime_);
    RETURN_IF_ERROR(write_repr(runtime_, repr, value));
    if (level > kMaxValueDepth)
      return fail("a value is nested more than {} levels deep", kMaxValueDepth);
    const bool fits = length_of(repr.view()) <= kWidth - indent - allowance;
    if (!fits && value.is(Kind::dict)) return write_dict(*value.dict, indent, allowance, level);
    if (!fits && value.is_sequence()) return write_items(value, indent, allowance, level);
    if (!fits && value.is(Kind::string) && !value.is_markup())
      return write_text(value.text(), indent, allowance, level);
    out_.add(repr.view());
    return {};
  }

 private:
  void new_line(int64_t indent) {
    out_.add('\n');
    out_.fill(' ', static_cast<size_t>(indent));
  }

  Status write_dict(const Dict& dict, int64_t indent, int64_t allowance, int level) {
    out_.add('{');
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) {
        out_.add(',');
        new_line(indent + 1);
      }
      TextBuilder key(runtime_);
      RETURN_IF_ERROR(write_repr(runtime_, key, dict.entries[i].key));
      out_.add(key.view());
      out_.add(": ");
      const bool last = i + 1 == dict.entries.size();
      RETURN_IF_ERROR(write(dict.entries[i].value, indent + 1 + length_of(key.view()) + 2,
                            last ? allowance + 1 : 1, level + 1));
    }
    out_.add('}');
    return {};
  }

  Status write_items(const Value& sequence, int64_t indent, int64_t allowance, int level) {
    const bool list = sequence.is(Kind::list);
    const std::string_view end = list ? "]" : sequence.size == 1 ? ",)" : ")";
    out_.add(list ? '[' : '(');
    for (size_t i = 0; i < sequence.size; ++i) {
      if (i > 0) {
        out_.add(',');
        new_line(indent + 1);
      }
      const bool last = i + 1 == sequence.size;
      RETURN_IF_ERROR(write(sequence.items[i], indent + 1,
                            last ? allowance + static_cast<int64_t>(end.size()) : 1, level + 1));
    }
    out_.add(end);
    return {};
  }

  // Long text in several literals, broken at line ends and behind white space.
  Status write_text(std::string_view text, int64_t indent, int64_t allowance, int level) {
    const bool outermost = level == 1;
    if (outermost) {
      ++indent;
      ++allowance;
    }
    const std::vector<std::string_view> lines = split_lines(text, true);
    std::vector<std::string> chunks;
    for (const std::string_view& line : lines) {
      RETURN_IF_ERROR(runtime_.charge_bytes(64 * line.size()));
      const int64_t reserved = &line == &lines.back() ? allowance : 0;
      std::string whole = quoted(runtime_, line);
      if (length_of(whole) <= kWidth - indent - reserved) {
        chunks.push_back(std::move(whole));
      } else {
        RETURN_IF_ERROR(break_line(line, kWidth - indent, reserved, chunks));
      }
    }
    if (outermost && chunks.size() > 1) out_.add('(');
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (i > 0) new_line(indent);
      out_.add(chunks[i]);
    }
    if (outermost && chunks.size() > 1) out_.add(')');
    return {};
  }

  Status break_line(std::string_view line, int64_t width, int64_t reserved,
                    std::vector<std::string>& chunks) {
    std::string_view current = line.substr(0, 0);
    for (size_t at = 0; at < line.size();) {
      const size_t begin = at;
      at = behind_word(line, at);
      const std::string_view candidate = line.substr(
          static_cast<size_t>(current.data() - line.data()), current.size() + at - begin);
      RETURN_IF_ERROR(runtime_.charge_bytes(8 * candidate.size()));
      const int64_t room = at == line.size() ? width - reserved : width;
      if (length_of(quoted(runtime_, candidate)) <= room) {
        current = candidate;
        continue;
      }
      if (!current.empty()) chunks.push_back(quoted(runtime_, current));
      current = line.substr(begin, at - begin);
    }
    if (!current.empty()) chunks.push_back(quoted(runtime_, current));
    return {};
  }

  // Behind what is not white space and the white space after it.
  static size_t behind_word(std::string_view line, size_t at) {
    bool blank = false;
    while (at < line.size()) {
      size_t next = at;
      const bool space = unicode::is_space(unicode::next(line, next));
      if (blank && !space) break;
      blank = space;
      at = next;
    }
    return at;
  }

  Runtime& runtime_;
  TextBuilder& out_;
};

// The same value with the keys of all its dicts in order, as pprint shows them.
StatusOr<Value> sorted(Runtime& runtime, const Value& value, int depth) {
  if (depth > kMaxValueDepth)
    return fail("a value is nested more than {} levels deep", kMaxValueDepth);
  if (value.is_sequence()) {
    std::vector<Value> items;
    for (const Value& item : value.elements()) {
      ASSIGN_OR_RETURN(const Value inner, sorted(runtime, item, depth + 1));
      items.push_back(inner);
    }
    return value.is(Kind::list) ? runtime.list(items) : runtime.tuple(items);
  }
  if (!value.is(Kind::dict)) return value;
  std::vector<Entry> entries(value.dict->entries.begin(), value.dict->entries.end());
  RETURN_IF_ERROR(
      stable_sort<Entry>(entries, [&](const Entry& a, const Entry& b) -> StatusOr<bool> {
        const StatusOr<bool> less = compare(runtime, Comparison::less, a.key, b.key);
        return less.ok() ? less : type_name(a.key) < type_name(b.key);  // types that have no order
      }));
  DictBuilder builder(runtime);
  for (const Entry& entry : entries) {
    ASSIGN_OR_RETURN(const Value inner, sorted(runtime, entry.value, depth + 1));
    RETURN_IF_ERROR(builder.set(entry.key, inner));
  }
  return builder.take();
}

}  // namespace

Status write_pretty(Runtime& runtime, TextBuilder& out, const Value& value) {
  ASSIGN_OR_RETURN(const Value shown, sorted(runtime, value, 0));
  return Printer(runtime, out).write(shown, 0, 0, 1);
}

}  // namespace bessemer::jinja
