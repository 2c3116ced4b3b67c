// What is asked, and when: phases of conversations of turns. A workload is a value made from a
// seed before anything is sent; both servers of a comparison get the same one.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/common/trace.h"
#include "bench/serve/prompts.h"

namespace bessemer::bench {

struct Turn {
  std::string text;  // what the user adds
  int output_tokens = 0;
};

struct Conversation {
  double at_s = 0;  // arrival, from the phase's begin; of meaning in a timed phase alone
  std::vector<Turn> turns;
};

// Conversations that are under way together. The next phase begins when this one's last answer has
// come.
struct Phase {
  std::string name;
  bool timed = false;  // each begins at its arrival; else as many at once as the load's options say
  std::vector<Conversation> conversations;
};

enum class WorkloadKind : uint8_t { fixed, shared_prefix, turns, trace, long_prompt };
enum class ArrivalKind : uint8_t { closed, poisson, trace };

struct WorkloadOptions {
  WorkloadKind kind = WorkloadKind::fixed;
  ArrivalKind arrivals = ArrivalKind::closed;
  int requests = 16;         // conversations of a phase
  int input_tokens = 200;    // of a prompt; of turns: of what each turn adds
  int output_tokens = 128;   // of an answer
  int prefix_tokens = 1500;  // shared_prefix: of the part that all prompts begin with
  int turns = 4;             // turns: of a conversation
  int long_tokens = 7900;    // long_prompt: of the prompt beside the streams
  double rate_per_s = 1;     // poisson
  std::optional<Trace> trace = std::nullopt;  // of the kind trace, of the arrivals trace
};

// Contradictions are refused with the remedy; make_workload refuses the same.
Status check_workload(const WorkloadOptions& options);

// The same for the same options, words and seed. No prompt of one seed begins as one of another
// does, beyond the opening word: what one round leaves in a prefix cache does not help the next.
//   fixed          one phase of single prompts, each different from its first words on
//   shared_prefix  "cold" and "warm": the same prefix twice, each prompt with an ending of its own
//   turns          one phase of conversations; a turn adds words to all that was said before
//   trace          one phase with the trace's lengths, and its shared blocks where it names them
//   long_prompt    "alone" and "beside": the same number of streams at once, the second time with a
//                  long prompt, answered by one token, that arrives a second later
StatusOr<std::vector<Phase>> make_workload(const WorkloadOptions& options,
                                           const PromptWriter& words, uint64_t seed);

}  // namespace bessemer::bench
