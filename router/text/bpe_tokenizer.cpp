#include "router/text/bpe_tokenizer.h"

#include <algorithm>
#include <utility>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// The alphabet's spelling is never shorter than the bytes.
StringIndex decode_spellings(const TokenizerVocabulary& vocabulary) {
  size_t bytes = 0;
  for (int32_t id = 0; id < vocabulary.size(); ++id) bytes += vocabulary.spellings[id].size();
  StringIndex index(static_cast<size_t>(vocabulary.size()), bytes);
  std::string decoded;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string_view spelling = vocabulary.spellings[id];
    const bool spelled = decode_byte_alphabet(spelling, decoded);
    const TokenKind kind = vocabulary.kind(id);
    const bool plain = kind != TokenKind::control && kind != TokenKind::user_defined;
    index.add(spelled ? std::string_view(decoded) : spelling, spelled && plain && !decoded.empty());
  }
  return index;
}

}  // namespace

StatusOr<std::shared_ptr<const Tokenizer>> BpeTokenizer::create(const v1::Vocabulary& vocabulary) {
  if (vocabulary.merges().empty()) {
    return absl::InvalidArgumentError(
        "tokenizer.ggml.merges is missing; tokenizer.ggml.model \"gpt2\" needs it");
  }
  ASSIGN_OR_RETURN(TokenizerVocabulary checked, check_vocabulary(vocabulary));
  ASSIGN_OR_RETURN(const PreTokenizerSpec* spec, find_pre_tokenizer(vocabulary.pre()));
  ASSIGN_OR_RETURN(PreTokenizer splitter, PreTokenizer::compile(spec->regexes));
  Frame frame;
  ASSIGN_OR_RETURN(frame.first, frame_id(checked.add_bos, spec->add_bos, checked.bos_id,
                                         "add_bos_token", "bos_token_id"));
  ASSIGN_OR_RETURN(frame.last, frame_id(checked.add_eos, false, checked.eos_id, "add_eos_token",
                                        "eos_token_id"));
  ASSIGN_OR_RETURN(BpeRanks ranks, BpeRanks::create(checked, vocabulary.merges()));
  return std::shared_ptr<const Tokenizer>(new BpeTokenizer(
      std::move(checked), frame, std::move(ranks), std::move(splitter), spec->ignore_merges));
}

BpeTokenizer::BpeTokenizer(TokenizerVocabulary checked, Frame frame, BpeRanks ranks,
                           PreTokenizer splitter, bool ignore_merges)
    : VocabularyTokenizer(std::move(checked), frame),
      ranks_(std::move(ranks)),
      splitter_(std::move(splitter)),
      ignore_merges_(ignore_merges),
      bytes_(decode_spellings(vocabulary())),
      whole_(vocabulary().size()) {
  for (int32_t id = 0; id < vocabulary().size(); ++id)
    longest_token_ = std::max(longest_token_, piece(id, true).size());
}

// A byte without a token is left out, so only the others count.
size_t BpeTokenizer::least_tokens(std::string_view text) const {
  const auto kept = static_cast<size_t>(std::count_if(text.begin(), text.end(), [this](char byte) {
    return ranks_.byte_token(static_cast<uint8_t>(byte)) >= 0;
  }));
  return (kept + longest_token_ - 1) / longest_token_;
}

std::string BpeTokenizer::text_of(int32_t id) const {
  return std::string(bytes_[id]);
}

void BpeTokenizer::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  BpeMerger merger;
  splitter_.split(text, [&](std::string_view piece) { encode_piece(piece, merger, ids); });
}

void BpeTokenizer::encode_piece(std::string_view piece, BpeMerger& merger,
                                std::vector<int32_t>& ids) const {
  const int32_t id = bytes_.find(piece);
  const auto merge = [&](std::vector<int32_t>& into) { merge_piece(piece, merger, into); };
  if (id >= 0 && (ignore_merges_ || whole_.test(id, merge))) {
    ids.push_back(id);
  } else {
    merge(ids);
  }
}

void BpeTokenizer::merge_piece(std::string_view piece, BpeMerger& merger,
                               std::vector<int32_t>& ids) const {
  merger.symbols.clear();
  for (uint32_t i = 0; i < piece.size(); ++i) {
    merger.symbols.push_back({ranks_.byte_symbol(static_cast<uint8_t>(piece[i])), i, i + 1});
  }
  merger.merge([this](const BpeSymbol& left, const BpeSymbol& right) {
    return ranks_.find(left.id, right.id);
  });
  for (const BpeSymbol& symbol : merger.symbols) {
    if (ranks_.is_token(symbol.id)) {
      ids.push_back(symbol.id);
      continue;
    }
    for (const char byte : piece.substr(symbol.begin, symbol.end - symbol.begin)) {
      const int32_t token = ranks_.byte_token(static_cast<uint8_t>(byte));
      if (token >= 0) ids.push_back(token);
    }
  }
}

}  // namespace bessemer
