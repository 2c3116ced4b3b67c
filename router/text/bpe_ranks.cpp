#include "router/text/bpe_ranks.h"

#include <bit>

#include "router/text/unicode.h"

namespace bessemer {
namespace {

// A control token never comes of plain text, and a user-defined one stands for its spelling, not
// for bytes in the alphabet (the two differ beyond ASCII).
bool takes_part(TokenKind kind) {
  return kind != TokenKind::control && kind != TokenKind::user_defined;
}

// Spelling -> symbol, while the table is being built.
class Symbols {
 public:
  Symbols(const TokenizerVocabulary& vocabulary, size_t merges, size_t merge_bytes)
      : vocabulary_(vocabulary),
        others_(merges * kSymbolsOfMerge + kBytes, merge_bytes * 2 + kBytes * 2) {}

  int32_t of(std::string_view spelling) {
    const int32_t id = vocabulary_.spellings.find(spelling);
    if (id >= 0 && takes_part(vocabulary_.kind(id))) return id;
    const int32_t other = others_.find(spelling);
    return vocabulary_.size() + (other >= 0 ? other : others_.add(spelling));
  }

 private:
  static constexpr size_t kSymbolsOfMerge = 3, kBytes = 256;  // left, right, product
  const TokenizerVocabulary& vocabulary_;
  StringIndex others_;  // symbols that are no tokens
};

// The product's spelling, and where its left part ends; 0: `merge` is not two symbols.
size_t split_merge(const std::string& merge, std::string& product) {
  const size_t space = merge.find(' ', 1);
  if (space == std::string::npos || space + 1 == merge.size()) return 0;
  product.assign(merge, 0, space).append(merge, space + 1);
  return space;
}

}  // namespace

BpeRanks::BpeRanks(int32_t tokens, size_t merges)
    : tokens_(tokens),
      shift_(64 - std::bit_width(merges * 2 + 1)),
      mask_((size_t{1} << (64 - shift_)) - 1),
      slots_(mask_ + 1) {}

StatusOr<BpeRanks> BpeRanks::create(const TokenizerVocabulary& vocabulary,
                                    const google::protobuf::RepeatedPtrField<std::string>& merges) {
  const auto count = static_cast<size_t>(merges.size());
  size_t bytes = 0;
  for (const std::string& merge : merges) bytes += merge.size();
  BpeRanks ranks(vocabulary.size(), count);
  Symbols symbols(vocabulary, count, bytes);
  std::string product;
  for (size_t byte = 0; byte < ranks.byte_symbols_.size(); ++byte) {
    product.clear();
    append_utf8(product, byte_to_alphabet(static_cast<uint8_t>(byte)));
    ranks.byte_symbols_[byte] = symbols.of(product);
  }
  for (uint32_t rank = 0; rank < count; ++rank) {
    const std::string& merge = merges[static_cast<int>(rank)];
    const size_t left = split_merge(merge, product);
    if (left == 0) {
      return absl::InvalidArgumentError("tokenizer.ggml.merges[" + std::to_string(rank) +
                                        "] is \"" + merge +
                                        "\", not two symbols with a space between");
    }
    const std::string_view whole = product;
    ranks.insert(symbols.of(whole.substr(0, left)), symbols.of(whole.substr(left)),
                 {rank, symbols.of(whole)});
  }
  return ranks;
}

void BpeRanks::insert(int32_t left, int32_t right, BpePair pair) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  if (slots_[at].key == kFree) slots_[at] = {key, pair};  // of two equal merges the first counts
}

}  // namespace bessemer
