#include "bench/serve/workload.h"

#include <algorithm>

#include "bench/common/arrivals.h"

namespace bessemer::bench {
namespace {

// Independent streams of randomness of one seed: what one of them draws does not move the others.
enum class Stream : uint64_t { arrivals = 1, prefix, prompts, blocks };

Random stream_of(uint64_t seed, Stream stream, uint64_t index = 0) {
  Random mixer(seed);
  const uint64_t base = mixer.next() ^ (static_cast<uint64_t>(stream) << 56);
  return Random(Random(base + index).next());
}

class Maker {
 public:
  Maker(const WorkloadOptions& options, const PromptWriter& words, uint64_t seed)
      : options_(options), words_(words), seed_(seed) {}

  std::vector<Phase> make() {
    switch (options_.kind) {
      case WorkloadKind::fixed:
        return {phase("fixed", [this](size_t) { return fixed(); })};
      case WorkloadKind::shared_prefix:
        return shared_prefix();
      case WorkloadKind::turns:
        return {phase("turns", [this](size_t) { return turns(); })};
      case WorkloadKind::trace:
        return {phase("trace", [this](size_t i) { return traced(i); })};
      case WorkloadKind::long_prompt:
        return long_prompt();
    }
    return {};
  }

 private:
  template <typename MakeOne>
  Phase phase(const char* name, MakeOne make_one) {
    const std::vector<double> at = arrivals();
    Phase result{.name = name, .timed = !at.empty(), .conversations = {}};
    for (size_t i = 0; i < count(); ++i) {
      result.conversations.push_back(make_one(i));
      result.conversations.back().at_s = at.empty() ? 0 : at[i];
    }
    return result;
  }

  size_t count() const { return static_cast<size_t>(options_.requests); }

  std::vector<double> arrivals() const {
    Random random = stream_of(seed_, Stream::arrivals);
    switch (options_.arrivals) {
      case ArrivalKind::closed:
        return {};
      case ArrivalKind::poisson:
        return poisson_arrivals(options_.rate_per_s, count(), random);
      case ArrivalKind::trace:
        return trace_arrivals(*options_.trace, count(), random);
    }
    return {};
  }

  Conversation single(std::string prompt, int output_tokens) const {
    Conversation conversation;
    conversation.turns.push_back({std::move(prompt), output_tokens});
    return conversation;
  }

  Conversation fixed() {
    return single(words_.opening(prompts_, options_.input_tokens), options_.output_tokens);
  }

  std::vector<Phase> shared_prefix() {
    Random random = stream_of(seed_, Stream::prefix);
    const std::string prefix = words_.opening(random, options_.prefix_tokens);
    const int rest = options_.input_tokens - options_.prefix_tokens;
    const auto one = [&](size_t) {
      return single(prefix + words_.words(prompts_, rest), options_.output_tokens);
    };
    return {phase("cold", one), phase("warm", one)};
  }

  std::vector<Phase> long_prompt() {
    const auto stream = [this](size_t) { return fixed(); };
    Phase alone = phase("alone", stream), beside = phase("beside", stream);
    alone.timed = beside.timed = true;
    beside.conversations.push_back(single(words_.opening(prompts_, options_.long_tokens), 1));
    beside.conversations.back().at_s = 1;
    return {std::move(alone), std::move(beside)};
  }

  Conversation turns() {
    Conversation conversation;
    for (int i = 0; i < options_.turns; ++i) {
      std::string text = i == 0 ? words_.opening(prompts_, options_.input_tokens)
                                : words_.words(prompts_, options_.input_tokens);
      conversation.turns.push_back({std::move(text), options_.output_tokens});
    }
    return conversation;
  }

  Conversation traced(size_t index) {
    const Trace& trace = *options_.trace;
    const TraceRequest& request = trace.requests[index % trace.requests.size()];
    // A second round of the trace is other text: its blocks have other names.
    const uint64_t round = index / trace.requests.size();
    if (trace.block_tokens == 0 || request.blocks.empty()) {
      return single(words_.opening(prompts_, request.input_tokens), request.output_tokens);
    }
    std::string prompt;
    int left = request.input_tokens;
    for (const int64_t block : request.blocks) {
      if (left <= 0) break;
      Random random = stream_of(seed_ + round, Stream::blocks, static_cast<uint64_t>(block));
      const int tokens = std::min(left, trace.block_tokens);
      prompt += prompt.empty() ? words_.opening(random, tokens) : words_.words(random, tokens);
      left -= tokens;
    }
    return single(std::move(prompt), request.output_tokens);
  }

  const WorkloadOptions& options_;
  const PromptWriter& words_;
  const uint64_t seed_;
  Random prompts_ = stream_of(seed_, Stream::prompts);
};

}  // namespace

Status check_workload(const WorkloadOptions& options) {
  const bool needs_trace =
      options.kind == WorkloadKind::trace || options.arrivals == ArrivalKind::trace;
  if (needs_trace && !options.trace)
    return absl::InvalidArgumentError("a trace is wanted, but none is given; add --trace FILE");
  if (options.kind == WorkloadKind::shared_prefix && options.input_tokens <= options.prefix_tokens)
    return absl::InvalidArgumentError("an input of " + std::to_string(options.input_tokens) +
                                      " tokens leaves nothing behind a prefix of " +
                                      std::to_string(options.prefix_tokens) +
                                      "; make --input larger than --prefix");
  return absl::OkStatus();
}

StatusOr<std::vector<Phase>> make_workload(const WorkloadOptions& options,
                                           const PromptWriter& words, uint64_t seed) {
  RETURN_IF_ERROR(check_workload(options));
  return Maker(options, words, seed).make();
}

}  // namespace bessemer::bench
