// Bounds of what one request may ask for. Each is named in the refusal that it causes.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bessemer {

constexpr int64_t kMaxChoices = 128;  // `n`: OpenAI's own bound
constexpr size_t kMaxPrompts =
    2048;  // of /v1/completions; prompts x n as well: OpenAI's own bound on a batch
constexpr size_t kMaxStops =
    16;  // OpenAI takes 4, vLLM any number; each costs a look at every piece of text
constexpr size_t kMaxStopBytes =
    1024;  // text held back per choice while it may still become a stop string
constexpr int64_t kMaxLogprobs = 20;  // OpenAI's bound for chat, vLLM's default for both
// Log-probabilities of prompt tokens in one answer, over all prompts, choices and alternatives:
// each is about 64 bytes of JSON, 64 MiB together (HttpLimits::max_answer_bytes).
constexpr int64_t kMaxPromptLogprobs = 1 << 20;
constexpr int64_t kMaxEchoBytes = 16 << 20;  // echoed text, times `n`: as much as a body may bring
constexpr size_t kMaxLogitBias = 1024;       // copied into a slot of the worker's sampler
constexpr size_t kMaxStopTokenIds = 128;     // likewise
constexpr size_t kMaxBadWords = 256;         // each becomes up to two banned sequences
// What a request asks for besides its prompt goes to the worker in half a frame, 128 KiB
// (LaneProtocol::start). Ids take up to 3 bytes there: no vocabulary has 2^21 of them. So this
// takes 96 KiB, kMaxBannedIds 14, kMaxLogitBias 7, and the rest is small.
constexpr size_t kMaxAllowedIds = 32 * 1024;
constexpr size_t kMaxBannedIds = 4096;  // tokens of all bad words, in both spellings
constexpr size_t kMaxMetadata = 16;     // pairs; 64 and 512 characters: OpenAI's own bounds
constexpr size_t kMaxMetadataKeyCharacters = 64;
constexpr size_t kMaxMetadataValueCharacters = 512;
constexpr size_t kMaxNameBytes =
    512;  // model, user, cache_salt and names of tools and participants
constexpr int64_t kMaxTokenId =
    INT32_MAX;  // the vocabulary's own size is checked where it is known

}  // namespace bessemer
