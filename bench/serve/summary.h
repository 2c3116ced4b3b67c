// What is said of a run: a list of named figures, one list for tables, files and comparisons.
#pragma once
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bench/serve/load.h"

namespace bessemer::bench {

enum class Better : uint8_t { more, less, neither };  // neither: it describes, it is not compared

struct Figure {
  std::string name;  // its unit is part of it
  double value = 0;
  Better better = Better::neither;
};

// What a user may expect of an answer; an answer that keeps both is good.
struct Slo {
  double ttft_ms = std::numeric_limits<double>::infinity();
  double itl_ms = std::numeric_limits<double>::infinity();  // mean of its gaps
  bool given() const { return ttft_ms < kNever || itl_ms < kNever; }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
};

struct Summary {
  std::vector<Figure> figures;
  std::map<std::string, int64_t> failures;  // by kind; only those that happened
  std::vector<std::string> examples;        // messages of the first few different failures
  int64_t requests = 0, answered = 0;
  int64_t short_answers = 0;  // with fewer tokens than were asked for
  bool counted = true;        // every answer's tokens were counted by the server
};
constexpr size_t kMaxExamples = 3;

// Latencies are of whole answers alone; rates count whole answers over the wall time of all.
//   ttft   from due to the first text (in TTFT of a later turn: from the end of the one before)
//   itl    the gap between two texts, as a reader sees it; all gaps of all answers are one set
//   tpot   an answer's time from its first text to its end, over its tokens but the first
//   e2e    from due to the end
Summary summarise(const LoadResult& result, const Slo& slo);

}  // namespace bessemer::bench
