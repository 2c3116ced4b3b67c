// Who asks what, and when: conversations made from a recorded trace or from a seed.
//
//   W1  Equal segments are equal tokens: what two prompts share is what their segments share, so a
//       worker's prefix cache finds as much of a prompt as the workload says and no more.
//   W2  The answer to a turn is known beforehand, so that the next turn's prompt can contain it;
//       what a worker answers depends on nothing but the turn.
//   W3  The same options and seed give the same workload.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/common/trace.h"

namespace bessemer::sim {

// `count` tokens from `begin` on of the endless text called `name`.
struct Segment {
  uint64_t name = 0;
  int32_t begin = 0, count = 0;
};

int32_t token_at(uint64_t name, int32_t position);
std::vector<int32_t> tokens_of(std::span<const Segment> segments);
int32_t length_of(std::span<const Segment> segments);

struct Turn {
  double after_s = 0;  // of thinking, from the end of the last answer
  std::vector<Segment> prompt;
  Segment answer;  // at least one token
};

struct Conversation {
  double at_s = 0;  // of the first turn
  std::vector<Turn> turns;
};

struct Workload {
  std::string name;
  std::vector<Conversation> conversations;  // by arrival
  size_t turn_count() const;
};

struct TraceOptions {
  double speed = 1;     // 2: everything arrives in half the time
  size_t requests = 0;  // so many first ones; 0: all
  uint64_t seed = 1;    // of the jitter within the trace's quantum
};
// Every request a conversation of one turn. Blocks of one name are one text; a trace without blocks
// has nothing in common.
Workload workload_of(const bench::Trace& trace, const std::string& name,
                     const TraceOptions& options);

// Chats with applications: every conversation begins with its application's instructions; some go
// on with a document; each turn sends all that was said before and a new question. Lengths are
// log-normal about the medians given here, with the shape of chat traffic (long tails).
struct TurnsOptions {
  int32_t conversations = 600;
  double per_s = 1;             // conversations begun a second, Poisson
  int32_t applications = 20;    // popularity by Zipf's law
  int32_t instructions = 1500;  // tokens, median
  double document = 0.3;        // share of conversations
  int32_t document_tokens = 8000, question_tokens = 120, answer_tokens = 250;  // medians
  double mean_turns = 6;                                                       // geometric
  double thinking_s = 20;                                                      // mean, exponential
  uint64_t seed = 1;
};
// Prompts and answers stay below this, whatever the tails say.
constexpr int32_t kMostTurnTokens = 60'000;
constexpr int32_t kMostTurns = 40;
Workload turns_workload(const TurnsOptions& options);

}  // namespace bessemer::sim
