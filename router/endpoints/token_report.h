// Logprobs of the wire, with their text.
#pragma once
#include <span>
#include <vector>

#include "bessemer/v1/engine.pb.h"
#include "router/openai/render.h"
#include "router/text/tokenizer.h"

namespace bessemer {

// `top`: alternatives wanted; the worker may have sent more (it serves echo and prompt_logprobs at
// once).
TokenReport make_report(const v1::Logprobs& logprobs, const Tokenizer& tokenizer, int32_t top,
                        int32_t text_offset);
// A token of which nothing is known: the first one of a prompt.
TokenReport bare_report(int32_t id, const Tokenizer& tokenizer, int32_t text_offset);

// Characters (code points) that begin in `bytes`.
int32_t characters(std::string_view bytes);

}  // namespace bessemer
