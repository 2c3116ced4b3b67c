// What a request costs on a worker, in seconds: the terms of which the policies' scores are made,
// and how equal ones are told apart.
#pragma once
#include <cstddef>
#include <span>

#include "router/routing/policy.h"

namespace bessemer {

// Takes whoever has not measured itself yet to be as fast as the fastest of the others: only work
// will tell, and a worker that looked slow would get none.
void assume_speeds(std::span<Candidate> candidates);

// Prompt tokens a second; where nobody knows, the order of magnitude of a small model on a CPU.
double prefill_speed(const Candidate& candidate);
// Until a new prompt's turn: the backlog at the worker's own speed.
double queue_seconds(const Candidate& candidate);
// To compute this many of its prompt tokens.
double prefill_seconds(const Candidate& candidate, int64_t tokens);
// Of its prompt, what the worker's cache lacks.
int64_t missing_tokens(const Candidate& candidate, const PlacementInput& input);
// Until its first token, as the worker reckons too: the queue, and what is missing.
double ttft_seconds(const Candidate& candidate, const PlacementInput& input);
// What the running sequences cost the new one while it decodes for so many steps.
double company_seconds(const Candidate& candidate, double steps = CostWeights().horizon_steps);

// Costs this close to the least are equal to it: what they are made of is a report interval old.
double tie_limit(double least);
// Of costs: the position of the least (the first of equals); the least without one position,
// infinite where there is no other; a random position among those that tie with `best`.
size_t least(std::span<const double> costs);
double least_but(std::span<const double> costs, size_t but);
size_t drawn_tie(std::span<const double> costs, double best, Random& random);

}  // namespace bessemer
