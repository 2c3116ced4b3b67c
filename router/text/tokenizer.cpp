#include "router/text/tokenizer.h"

#include "router/text/bpe_tokenizer.h"
#include "router/text/spm_tokenizer.h"
#include "router/text/wordpiece_tokenizer.h"

namespace bessemer {

StatusOr<std::shared_ptr<const Tokenizer>> Tokenizer::create(const v1::Vocabulary& vocabulary) {
  if (vocabulary.model() == "gpt2") return BpeTokenizer::create(vocabulary);
  if (vocabulary.model() == "llama") return SpmTokenizer::create(vocabulary);
  if (vocabulary.model() == "bert") return WordpieceTokenizer::create(vocabulary);
  return absl::InvalidArgumentError(
      "tokenizer.ggml.model is \"" + vocabulary.model() +
      "\", which is no known tokenizer; known are: gpt2, llama, bert");
}

}  // namespace bessemer
