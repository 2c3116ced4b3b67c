#include "tests/sim/workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "bench/common/arrivals.h"
#include "common/random.h"

namespace bessemer::sim {
namespace {

// Names of different origin never meet.
enum class Origin : uint64_t { block = 1, alone, answer, application, conversation };
uint64_t name_of(Origin origin, uint64_t number) {
  return (static_cast<uint64_t>(origin) << 56) | number;
}

constexpr int32_t kVocabularyBits = 17;

std::vector<Segment> prompt_of(const bench::TraceRequest& request, uint64_t number,
                               int32_t block_tokens) {
  const int32_t length = std::max(request.input_tokens, 1);
  if (request.blocks.empty() || block_tokens == 0) {
    return {{name_of(Origin::alone, number), 0, length}};
  }
  std::vector<Segment> prompt;
  int32_t left = length;
  for (const int64_t block : request.blocks) {
    if (left == 0) break;
    const int32_t count = std::min(left, block_tokens);
    prompt.push_back({name_of(Origin::block, static_cast<uint64_t>(block)), 0, count});
    left -= count;
  }
  if (left > 0) prompt.push_back({name_of(Origin::alone, number), 0, left});
  return prompt;
}

double normal(Random& random) {  // Box and Muller 1958
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// A median of `median`, two thirds of all within a factor of two either way.
int32_t log_normal(Random& random, int32_t median) {
  const double tokens = median * std::exp(std::numbers::ln2 * normal(random));
  return std::clamp(static_cast<int32_t>(tokens), 1, kMostTurnTokens / 4);
}

double exponential(Random& random, double mean) {
  return -mean * std::log(1 - random.uniform());
}

// Number k is asked for in proportion to 1 / (k + 1).
class Zipf {
 public:
  explicit Zipf(int32_t count) {
    double sum = 0;
    for (int32_t k = 0; k < count; ++k) sums_.push_back(sum += 1.0 / (k + 1));
  }
  size_t draw(Random& random) const {
    const double at = random.uniform() * sums_.back();
    return static_cast<size_t>(std::ranges::upper_bound(sums_, at) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

Conversation chat(const Segment& instructions, uint64_t number, const TurnsOptions& options,
                  Random& random) {
  Conversation conversation;
  const uint64_t own = name_of(Origin::conversation, number);
  int32_t said = random.chance(options.document) ? log_normal(random, options.document_tokens) : 0;
  do {
    said += log_normal(random, options.question_tokens);
    Turn turn;
    if (!conversation.turns.empty()) turn.after_s = exponential(random, options.thinking_s);
    turn.prompt = {instructions, {own, 0, said}};
    turn.answer = {own, said, log_normal(random, options.answer_tokens)};
    if (length_of(turn.prompt) + turn.answer.count > kMostTurnTokens) break;
    said += turn.answer.count;
    conversation.turns.push_back(std::move(turn));
  } while (conversation.turns.size() < kMostTurns && !random.chance(1 / options.mean_turns));
  return conversation;
}

}  // namespace

int32_t token_at(uint64_t name, int32_t position) {
  // One round of SplitMix64 over both: tokens need to differ, no more.
  return static_cast<int32_t>(
      Random(name * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(position)).next() >>
      (64 - kVocabularyBits));
}

std::vector<int32_t> tokens_of(std::span<const Segment> segments) {
  std::vector<int32_t> tokens;
  tokens.reserve(static_cast<size_t>(length_of(segments)));
  for (const Segment& segment : segments) {
    for (int32_t i = 0; i < segment.count; ++i) {
      tokens.push_back(token_at(segment.name, segment.begin + i));
    }
  }
  return tokens;
}

int32_t length_of(std::span<const Segment> segments) {
  int32_t sum = 0;
  for (const Segment& segment : segments) sum += segment.count;
  return sum;
}

size_t Workload::turn_count() const {
  size_t sum = 0;
  for (const Conversation& conversation : conversations) sum += conversation.turns.size();
  return sum;
}

Workload workload_of(const bench::Trace& trace, const std::string& name,
                     const TraceOptions& options) {
  Random random(options.seed);
  size_t count = trace.requests.size();
  if (options.requests > 0) count = std::min(count, options.requests);
  const std::vector<double> arrivals = bench::trace_arrivals(trace, count, random);
  Workload workload{name, {}};
  for (size_t i = 0; i < count; ++i) {
    const bench::TraceRequest& request = trace.requests[i];
    Turn turn;
    turn.prompt = prompt_of(request, i, trace.block_tokens);
    turn.answer = {name_of(Origin::answer, i), 0, std::max(request.output_tokens, 1)};
    workload.conversations.push_back({arrivals[i] / options.speed, {std::move(turn)}});
  }
  return workload;
}

Workload turns_workload(const TurnsOptions& options) {
  Random random(options.seed);
  std::vector<Segment> applications;
  for (int32_t i = 0; i < options.applications; ++i) {
    applications.push_back({name_of(Origin::application, static_cast<uint64_t>(i)), 0,
                            log_normal(random, options.instructions)});
  }
  const Zipf popularity(options.applications);
  const auto count = static_cast<size_t>(options.conversations);
  Workload workload{"turns", {}};
  for (const double at : bench::poisson_arrivals(options.per_s, count, random)) {
    const uint64_t number = workload.conversations.size();
    Conversation conversation =
        chat(applications[popularity.draw(random)], number, options, random);
    conversation.at_s = at;
    workload.conversations.push_back(std::move(conversation));
  }
  return workload;
}

}  // namespace bessemer::sim
