#include "router/text/jinja/lexer.h"

#include <algorithm>
#include <optional>
#include <string>

#include "router/text/jinja/numbers.h"
#include "router/text/jinja/runtime.h"
#include "router/text/jinja/string_literal.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

constexpr size_t npos = std::string_view::npos;

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

class Lexer {
 public:
  explicit Lexer(Program& program) : program_(program), source_(program.source) {}

  StatusOr<std::vector<Token>> run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(data());
    add(TokenKind::end, source_.size());
    return std::move(tokens_);
  }

 private:
  Status error(size_t offset, std::string_view what) const {
    return fail("{}: {}", position(source_, offset), what);
  }
  void add(TokenKind kind, size_t offset, std::string_view text = {}, const Value& value = {}) {
    tokens_.push_back({kind, static_cast<uint32_t>(offset), text, value});
  }
  bool looking_at(std::string_view text, size_t at) const {
    return source_.substr(at).starts_with(text);
  }
  size_t behind_spaces(size_t at) const {
    const std::string_view rest = source_.substr(at);
    return at + rest.size() - unicode::strip(rest, std::nullopt, unicode::Side::left).size();
  }
  // Moves on to `end`; what stands before it decides whether a line begins here.
  void advance(size_t end) {
    if (end > at_) line_starts_ = source_[end - 1] == '\n';
    at_ = end;
  }

  // Template data up to the next tag, and that tag.
  Status data() {
    const size_t tag = next_tag(at_);
    if (tag == npos) {
      add(TokenKind::data, at_, source_.substr(at_));
      advance(source_.size());
      return {};
    }
    const char kind = source_[tag + 1];
    const std::optional<size_t> raw =
        kind == '%' ? behind_keyword(tag, "raw", false) : std::nullopt;
    const char sign = sign_at(tag + 2);
    add_data(source_.substr(at_, tag - at_), sign, kind == '{');
    advance(tag + (sign == ' ' ? 2 : 3));
    if (raw) {
      advance(*raw);
      return raw_block(tag);
    }
    if (kind == '#') return comment(tag);
    return tag_tokens(tag, kind == '{');
  }

  size_t next_tag(size_t from) const {
    for (size_t at = source_.find('{', from); at != npos; at = source_.find('{', at + 1)) {
      if (at + 1 < source_.size() && std::string_view("{%#").find(source_[at + 1]) != npos)
        return at;
    }
    return npos;
  }

  char sign_at(size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : ' ';
  }

  void add_data(std::string_view text, char sign, bool before_print) {
    const size_t offset = at_;
    if (sign == '-') {
      text = unicode::strip(text, std::nullopt, unicode::Side::right);
    } else if (sign != '+' && !before_print) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == npos ? 0 : newline + 1;
      const bool blank = unicode::strip(text.substr(line)).empty();
      if (blank && (line > 0 || line_starts_)) text = text.substr(0, line);
    }
    if (!text.empty()) add(TokenKind::data, offset, text);
  }

  // Behind "{% keyword %}" when that stands at `tag`. `trims`: a newline behind it goes too.
  std::optional<size_t> behind_keyword(size_t tag, std::string_view keyword, bool trims) const {
    size_t at = behind_spaces(tag + (sign_at(tag + 2) == ' ' ? 2 : 3));
    if (!looking_at(keyword, at)) return std::nullopt;
    at = behind_spaces(at + keyword.size());
    if (!trims && looking_at("+%}", at)) return std::nullopt;
    return behind_end(at, "%}", trims);
  }

  // Behind the end of a tag that may begin at `at`: "-%}" takes the white space behind it, "+%}"
  // nothing.
  std::optional<size_t> behind_end(size_t at, std::string_view end, bool trims) const {
    if (looking_at("-", at) && looking_at(end, at + 1)) return behind_spaces(at + 3);
    if (looking_at("+", at) && looking_at(end, at + 1) && end != "}}") return at + 3;
    if (!looking_at(end, at)) return std::nullopt;
    return at + 2 + (trims && looking_at("\n", at + 2) ? 1 : 0);
  }

  Status comment(size_t begin) {
    const size_t end = source_.find("#}", at_);
    if (end == npos) return error(begin, "this comment is not closed: '#}' is missing");
    const bool signed_end = end > at_ && sign_at(end - 1) != ' ';
    advance(*behind_end(signed_end ? end - 1 : end, "#}", true));
    return {};
  }

  Status raw_block(size_t begin) {
    for (size_t tag = source_.find("{%", at_); tag != npos; tag = source_.find("{%", tag + 1)) {
      const std::optional<size_t> end = behind_keyword(tag, "endraw", true);
      if (!end) continue;
      add_data(source_.substr(at_, tag - at_), sign_at(tag + 2), false);
      advance(*end);
      return {};
    }
    return error(begin, "this raw block is not closed: '{% endraw %}' is missing");
  }

  Status tag_tokens(size_t begin, bool print) {
    add(print ? TokenKind::print_begin : TokenKind::block_begin, begin);
    brackets_.clear();
    while (true) {
      advance(behind_spaces(at_));
      if (brackets_.empty()) {
        if (const auto end = behind_end(at_, print ? "}}" : "%}", !print)) {
          add(print ? TokenKind::print_end : TokenKind::block_end, at_);
          advance(*end);
          return {};
        }
      }
      if (at_ >= source_.size()) return {};  // the parser says what is missing
      RETURN_IF_ERROR(token());
    }
  }

  Status token() {
    const char character = source_[at_];
    if (is_digit(character)) return number();
    if (character == '"' || character == '\'') return string();
    size_t end = at_;
    for (size_t at = at_; at < source_.size() && unicode::is_word(unicode::next(source_, at));)
      end = at;
    if (end > at_) {
      add(TokenKind::name, at_, source_.substr(at_, end - at_));
      advance(end);
      return {};
    }
    return symbol();
  }

  size_t behind_digits(size_t at) const {
    while (at < source_.size() &&
           (is_digit(source_[at]) ||
            (source_[at] == '_' && at + 1 < source_.size() && is_digit(source_[at + 1])))) {
      ++at;
    }
    return at;
  }

  // Behind the fraction and exponent that make an integer ending at `at` a float; `at`: there is
  // neither.
  size_t behind_float(size_t at) const {
    if (at_ > 0 && source_[at_ - 1] == '.') return at;  // x.1.2 is x[1][2]
    size_t end = at;
    const auto digit_at = [&](size_t i) { return i < source_.size() && is_digit(source_[i]); };
    if (looking_at(".", end) && digit_at(end + 1)) end = behind_digits(end + 1);
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const size_t digits = end + (sign_at(end + 1) == ' ' ? 1 : 2);
      if (digit_at(digits)) end = behind_digits(digits);
    }
    return end;
  }

  size_t behind_prefixed(size_t at) const {
    const char letter = at + 1 < source_.size() ? static_cast<char>(source_[at + 1] | 0x20) : ' ';
    const std::string_view digits = letter == 'x'   ? "0123456789abcdefABCDEF"
                                    : letter == 'o' ? "01234567"
                                    : letter == 'b' ? "01"
                                                    : "";
    if (source_[at] != '0' || digits.empty()) return at;
    size_t end = at + 2;
    const auto digit_at = [&](size_t i) {
      return i < source_.size() && digits.find(source_[i]) != npos;
    };
    while (digit_at(end) || (looking_at("_", end) && digit_at(end + 1))) ++end;
    return end == at + 2 ? at : end;
  }

  Status number() {
    const size_t whole = behind_digits(at_), end = behind_float(whole);
    if (end > whole) {
      std::string digits(source_.substr(at_, end - at_));
      std::erase(digits, '_');
      add(TokenKind::number, at_, source_.substr(at_, end - at_),
          number_value(*parse_number(digits)));
      advance(end);
      return {};
    }
    size_t stop = behind_prefixed(at_);
    if (stop == at_) stop = source_[at_] == '0' ? behind_zeros(at_) : whole;
    const std::string_view digits = source_.substr(at_, stop - at_);
    const StatusOr<std::optional<Int>> value = parse_int(digits, 0);
    if (!value.ok() || !*value)
      return error(at_, fmt::format("the integer {} is too large", digits));
    add(TokenKind::number, at_, digits, int_value(**value));
    advance(stop);
    return {};
  }

  size_t behind_zeros(size_t at) const {
    while (looking_at("0", at) || looking_at("_0", at)) ++at;
    return at;
  }

  Status string() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return error(at_, "this string is not closed");
    const StatusOr<std::string> text = unescape(source_.substr(at_ + 1, end - at_ - 1));
    if (!text.ok()) return error(at_, text.status().message().data());
    add(TokenKind::text, at_, program_.keep(*text));
    advance(end + 1);
    return {};
  }

  Status symbol() {
    constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kShort = "+-/*%~[](){}<>=.:|,;";
    size_t size = kShort.find(source_[at_]) != npos ? 1 : 0;
    for (const std::string_view symbol : kLong) {
      if (looking_at(symbol, at_)) size = 2;
    }
    const std::string_view text = source_.substr(at_, size);
    if (size == 0) return error(at_, fmt::format("unexpected character '{}'", character_at(at_)));
    RETURN_IF_ERROR(balance(text));
    add(TokenKind::symbol, at_, text);
    advance(at_ + size);
    return {};
  }

  std::string_view character_at(size_t at) const {
    size_t end = at;
    unicode::next(source_, end);
    return source_.substr(at, end - at);
  }

  // Within brackets "}}" and "%}" do not end a tag.
  Status balance(std::string_view symbol) {
    constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (symbol.size() != 1) return {};
    if (const size_t open = kOpen.find(symbol[0]); open != npos) {
      brackets_ += kClose[open];
      return {};
    }
    if (kClose.find(symbol[0]) == npos) return {};
    if (brackets_.empty()) return error(at_, fmt::format("unexpected '{}'", symbol));
    const char expected = brackets_.back();
    brackets_.pop_back();
    if (expected == symbol[0]) return {};
    return error(at_, fmt::format("unexpected '{}', expected '{}'", symbol, expected));
  }

  Program& program_;
  std::string_view source_;
  size_t at_ = 0;
  bool line_starts_ = true;
  std::string brackets_;  // the closing ones that are still to come
  std::vector<Token> tokens_;
};

}  // namespace

StatusOr<std::vector<Token>> tokenize(Program& program) {
  return Lexer(program).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "template text";
    case TokenKind::print_begin:
      return "'{{'";
    case TokenKind::print_end:
      return "'}}'";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::text:
      return "a string";
    case TokenKind::name:
    case TokenKind::number:
    case TokenKind::symbol:
      return "'" + std::string(token.text) + "'";
    case TokenKind::end:
      return "the end of the template";
  }
  return "a token";
}

}  // namespace bessemer::jinja
