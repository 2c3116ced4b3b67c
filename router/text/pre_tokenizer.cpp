#include "router/text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>

#include <pcre2.h>

#include "common/check.h"

namespace bessemer {
namespace {

// No expression in the table backtracks more than a few times the text's length, so these only
// bound what a mistake in the table could cost. Steps; KiB.
constexpr uint32_t kMatchLimit = 100'000'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

// White space as Rust's and Python's regex engines know it, by Unicode's property. PCRE2's own \s
// has U+180E besides.
constexpr std::string_view kSpaceClass = "\\t-\\r\\x{85}\\p{Z}";

// `regex` with \s and \S spelled out.
std::string spell_out_spaces(std::string_view regex) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c != '\\' || i + 1 == regex.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      out.push_back(c);
      continue;
    }
    const char escaped = regex[++i];
    if (escaped == 's') {
      out.append(in_class ? std::string(kSpaceClass) : "[" + std::string(kSpaceClass) + "]");
    } else if (escaped == 'S' && !in_class) {
      out.append("[^" + std::string(kSpaceClass) + "]");
    } else {
      out.append({c, escaped});
    }
  }
  return out;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

void PreTokenizer::Free::operator()(pcre2_code* code) const {
  pcre2_code_free(code);
}
void PreTokenizer::Free::operator()(pcre2_match_data* data) const {
  pcre2_match_data_free(data);
}
void PreTokenizer::Free::operator()(pcre2_match_context* context) const {
  pcre2_match_context_free(context);
}

StatusOr<PreTokenizer> PreTokenizer::compile(std::span<const std::string_view> regexes) {
  PreTokenizer made;
  for (const std::string_view regex : regexes) {
    const std::string source = spell_out_spaces(regex);
    int code = 0;
    PCRE2_SIZE offset = 0;
    made.codes_.emplace_back(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()),
                                           source.size(), PCRE2_UTF | PCRE2_UCP, &code, &offset,
                                           nullptr));
    if (made.codes_.back() == nullptr) {
      return absl::InternalError("pre-tokenizer expression \"" + source + "\" at " +
                                 std::to_string(offset) + ": " + pcre2_message(code));
    }
    // Without a JIT for this processor, pcre2_match interprets the expression: slower, the same
    // pieces.
    pcre2_jit_compile(made.codes_.back().get(), PCRE2_JIT_COMPLETE);
  }
  made.limits_.reset(pcre2_match_context_create(nullptr));
  CHECK(made.limits_ != nullptr);
  pcre2_set_match_limit(made.limits_.get(), kMatchLimit);
  pcre2_set_heap_limit(made.limits_.get(), kHeapLimitKib);
  return made;
}

PreTokenizer::Scratch::Scratch(const PreTokenizer& owner)
    : owner_(&owner), data_(pcre2_match_data_create(1, nullptr)) {
  CHECK(data_ != nullptr);
}

PreTokenizer::Scratch::Span PreTokenizer::Scratch::match(size_t level, std::string_view text,
                                                         size_t from) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto run = [&](uint32_t options) {
    return pcre2_match(owner_->codes_[level].get(), subject, text.size(), from,
                       PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | options, data_.get(),
                       owner_->limits_.get());
  };
  int found = run(0);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);  // its stack is on the heap
  // Beyond a limit the rest stays one piece: its ids still spell the text.
  if (found < 0) return {text.size(), text.size()};
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data_.get());
  return {offsets[0], offsets[1]};
}

StatusOr<const PreTokenizerSpec*> find_pre_tokenizer(std::string_view name) {
  const std::string_view wanted = name.empty() ? "default" : name;
  std::string known;
  for (const PreTokenizerSpec& spec : known_pre_tokenizers()) {
    if (spec.name == wanted) return &spec;
    known += (known.empty() ? "" : ", ") + std::string(spec.name);
  }
  return absl::InvalidArgumentError("tokenizer.ggml.pre is \"" + std::string(name) +
                                    "\", which is no known pre-tokenizer; known are: " + known);
}

}  // namespace bessemer
