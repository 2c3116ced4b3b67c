// Splits a text into the pieces inside which byte-level BPE may merge, by the regular expressions a
// model was trained with.
//
// A file names them (tokenizer.ggml.pre). Each expression in turn isolates its matches in every
// piece that the ones before it left; what no expression matches stays a piece of its own, so the
// pieces always add up to the text.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "router/text/unicode.h"

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace bessemer {

struct PreTokenizerSpec {
  std::string_view name;                      // tokenizer.ggml.pre
  std::span<const std::string_view> regexes;  // as their models publish them (tokenizer.json)
  bool ignore_merges =
      false;  // a piece that is a token as a whole is that token, whatever the merges say
  bool add_bos = false;  // where the file does not say
};

// InvalidArgument lists the known names. An empty name means "default".
StatusOr<const PreTokenizerSpec*> find_pre_tokenizer(std::string_view name);
std::span<const PreTokenizerSpec> known_pre_tokenizers();

// Immutable once made; any thread.
class PreTokenizer {
 public:
  // Internal: an expression does not compile, which is an error of ours.
  static StatusOr<PreTokenizer> compile(std::span<const std::string_view> regexes);

  // Calls sink(std::string_view piece) for each piece from left to right; none is empty. Bytes that
  // are not UTF-8 are pieces of their own, and the text on either side is split as if it ended
  // there.
  template <typename Sink>
  void split(std::string_view text, const Sink& sink) const {
    const Scratch scratch(*this);
    while (!text.empty()) {
      const size_t valid = valid_utf8_prefix(text);
      if (valid > 0) split_valid(scratch, 0, text.substr(0, valid), sink);
      text.remove_prefix(valid);
      size_t invalid = 0;
      while (invalid < text.size()) {
        const DecodedCharacter character = decode_utf8(text, invalid);
        if (character.valid) break;
        invalid += character.length;
      }
      if (invalid > 0) sink(text.substr(0, invalid));
      text.remove_prefix(invalid);
    }
  }

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
    void operator()(pcre2_real_match_data_8* data) const;
    void operator()(pcre2_real_match_context_8* context) const;
  };
  using Code = std::unique_ptr<pcre2_real_code_8, Free>;

  // What one thread needs to match, for the time of one split().
  class Scratch {
   public:
    explicit Scratch(const PreTokenizer& owner);
    // The first match of expression `level` in text[from, end); {end, end} if there is none.
    struct Span {
      size_t begin, end;
    };
    Span match(size_t level, std::string_view text, size_t from) const;

   private:
    const PreTokenizer* owner_;
    std::unique_ptr<pcre2_real_match_data_8, Free> data_;
  };

  template <typename Sink>
  void split_valid(const Scratch& scratch, size_t level, std::string_view text,
                   const Sink& sink) const {
    if (level == codes_.size()) return sink(text);
    for (size_t at = 0; at < text.size();) {
      const typename Scratch::Span match = scratch.match(level, text, at);
      if (match.begin > at)
        split_valid(scratch, level + 1, text.substr(at, match.begin - at), sink);
      if (match.end > match.begin) {
        split_valid(scratch, level + 1, text.substr(match.begin, match.end - match.begin), sink);
      }
      at = match.end;
    }
  }

  std::vector<Code> codes_;
  std::unique_ptr<pcre2_real_match_context_8, Free> limits_;
};

}  // namespace bessemer
