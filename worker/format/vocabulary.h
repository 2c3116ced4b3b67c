// The tokenizer.* keys of a GGUF file -> the Vocabulary message that a worker hands to its routers.
#pragma once
#include "bessemer/v1/cluster.pb.h"
#include "common/status.h"
#include "worker/format/gguf.h"

namespace bessemer {

// Works on vocabulary-only files. Checks what the tokenizers rely on: one score and type per token,
// ids inside the vocabulary, merges of two parts, text that is UTF-8. InvalidArgument names the
// file and the key.
//
// Where the file disagrees with common practice, practice wins, as in the field's other engines:
// - an id of -1 (0xffffffff) means that there is none;
// - a token spelled like a well-known end mark (<|im_end|>, <|eot_id|>, ...) ends generation and
//   is a control token whatever its type says: many converted files have that type wrong.
StatusOr<v1::Vocabulary> read_vocabulary(const GgufFile& file);

}  // namespace bessemer
