// Processes that stand for a worker: bodies for spawn().
#pragma once
#include <cstdint>

namespace bessemer::bench {

constexpr double kAtOnce = 1e9;  // prompt tokens a second

// Our own protocol. Each step of `step_us` gives every stream a token that tells its age
// (MockOutput::timed). Until SIGTERM; returns the exit status.
int serve_sessions(int ready_fd, int64_t step_us, double prefill_tok_s = kAtOnce);
// The same over OpenAI's API, for routers of other projects.
int serve_openai(int ready_fd, int64_t step_us);

}  // namespace bessemer::bench
