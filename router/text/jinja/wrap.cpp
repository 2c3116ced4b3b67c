#include "router/text/jinja/wrap.h"

#include <algorithm>

#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

using Text = std::u32string_view;

bool is_blank(char32_t code) {
  return Text(U"\t\n\v\f\r ").find(code) != Text::npos;
}
bool is_letter(char32_t code) {
  return unicode::is_word(code) && !unicode::is_decimal(code);
}
bool may_precede_dash(char32_t code) {
  return unicode::is_word(code) || Text(U"!\"'&.,?").find(code) != Text::npos;
}

// Where textwrap may break a line: behind hyphens in words, around dashes, at white space.
class Chunker {
 public:
  Chunker(Text text, bool on_hyphens) : text_(text), on_hyphens_(on_hyphens) {}

  std::vector<Text> run() const {
    std::vector<Text> chunks;
    for (size_t at = 0; at < text_.size();) {
      const size_t end = chunk_end(at);
      chunks.push_back(text_.substr(at, end - at));
      at = end;
    }
    return chunks;
  }

 private:
  bool letter(size_t at) const { return at < text_.size() && is_letter(text_[at]); }

  size_t chunk_end(size_t begin) const {
    size_t end = begin;
    if (is_blank(text_[begin])) {
      while (end < text_.size() && is_blank(text_[end])) ++end;
      return end;
    }
    if (on_hyphens_ && dash_behind_word(begin)) return behind_dashes(begin);
    for (end = begin + 1; end < text_.size() && !is_blank(text_[end]); ++end) {
      if (!on_hyphens_) continue;
      if (breaks_word(end)) return end + 1;
      if (dash_behind_word(end)) return end;
    }
    return end;
  }

  size_t behind_dashes(size_t at) const {
    while (at < text_.size() && text_[at] == '-') ++at;
    return at;
  }

  // Two dashes or more between words begin at `at`.
  bool dash_behind_word(size_t at) const {
    if (at == 0 || !may_precede_dash(text_[at - 1])) return false;
    const size_t end = behind_dashes(at);
    return end >= at + 2 && end < text_.size() && unicode::is_word(text_[end]);
  }

  // The hyphen at `at` stands within a word, with letters enough on both sides.
  bool breaks_word(size_t at) const {
    if (text_[at] != '-' || at < 2 || !letter(at - 1)) return false;
    const bool left = letter(at - 2) || (at >= 3 && text_[at - 2] == '-' && letter(at - 3));
    const bool hyphen_second = at + 2 < text_.size() && text_[at + 2] == '-';
    return left && letter(at + 1) && letter(at + (hyphen_second ? 3 : 2));
  }

  Text text_;
  bool on_hyphens_;
};

// How much of a word that is too long goes into the `space` that is left.
size_t cut_of(Text word, size_t space, bool on_hyphens) {
  if (!on_hyphens || word.size() <= space || space == 0) return space;
  const size_t hyphen = word.rfind(U'-', space - 1);
  if (hyphen == Text::npos || hyphen == 0) return space;
  return word.substr(0, hyphen).find_first_not_of(U'-') == Text::npos ? space : hyphen + 1;
}

bool is_white(Text chunk) {
  return std::ranges::all_of(chunk, unicode::is_space);
}

}  // namespace

std::vector<std::string> wrap_line(std::string_view line, const WrapStyle& style) {
  std::u32string codes;
  for (size_t at = 0; at < line.size();) codes += unicode::next(line, at);
  std::vector<Text> chunks = Chunker(codes, style.break_on_hyphens).run();
  std::vector<std::string> lines;
  for (size_t at = 0; at < chunks.size();) {
    if (!lines.empty() && is_white(chunks[at])) ++at;
    std::vector<Text> parts;
    size_t length = 0;
    while (at < chunks.size() && length + chunks[at].size() <= style.width) {
      length += chunks[at].size();
      parts.push_back(chunks[at++]);
    }
    if (at < chunks.size() && chunks[at].size() > style.width) {
      if (style.break_long_words) {
        const size_t cut = cut_of(chunks[at], style.width - length, style.break_on_hyphens);
        parts.push_back(chunks[at].substr(0, cut));
        chunks[at].remove_prefix(cut);
      } else if (parts.empty()) {
        parts.push_back(chunks[at++]);
      }
    }
    if (!parts.empty() && is_white(parts.back())) parts.pop_back();
    std::string text;
    for (const Text part : parts) {
      for (const char32_t code : part) unicode::append(text, code);
    }
    if (!parts.empty()) lines.push_back(std::move(text));
  }
  return lines;
}

}  // namespace bessemer::jinja
