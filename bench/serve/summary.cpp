#include "bench/serve/summary.h"

#include <algorithm>

#include "bench/common/samples.h"

namespace bessemer::bench {
namespace {

class Summariser {
 public:
  Summariser(const LoadResult& result, const Slo& slo) : result_(result), slo_(slo) {}

  Summary run() {
    for (const Outcome& outcome : result_.outcomes) {
      ++summary_.requests;
      if (outcome.sent != TimePoint{}) late_.add(ms_between(outcome.due, outcome.sent));
      if (outcome.failure == Failure::none) {
        take_answer(outcome);
      } else {
        take_failure(outcome);
      }
    }
    add_rates();
    add_latencies();
    add_descriptions();
    return std::move(summary_);
  }

 private:
  void take_failure(const Outcome& outcome) {
    std::string kind = name_of(outcome.failure);
    if (outcome.failure == Failure::status) kind += " " + std::to_string(outcome.status);
    const bool first = ++summary_.failures[kind] == 1;
    if (first && summary_.examples.size() < kMaxExamples)
      summary_.examples.push_back(kind + ": " + outcome.message);
  }

  void take_answer(const Outcome& outcome) {
    ++summary_.answered;
    if (outcome.output_tokens < outcome.asked_tokens) ++summary_.short_answers;
    summary_.counted = summary_.counted && outcome.counted;
    prompt_tokens_ += static_cast<double>(outcome.prompt_tokens);
    cached_tokens_ += static_cast<double>(outcome.cached_tokens);
    output_tokens_ += static_cast<double>(outcome.output_tokens);
    take_times(outcome);
  }

  void take_times(const Outcome& outcome) {
    const bool texts = outcome.first_text != TimePoint{};  // else its tokens have none
    const TimePoint first = texts ? outcome.first_text : outcome.end;
    const double ttft = ms_between(outcome.due, first);
    ttft_.add(ttft);
    if (outcome.turn > 0) later_ttft_.add(ttft);
    e2e_.add(ms_between(outcome.due, outcome.end));
    if (outcome.output_tokens > 1)
      tpot_.add(ms_between(first, outcome.end) / static_cast<double>(outcome.output_tokens - 1));
    double sum = 0;
    for (const float gap : outcome.gaps_ms) {
      itl_.add(gap);
      sum += gap;
    }
    const double gaps = static_cast<double>(std::max<size_t>(outcome.gaps_ms.size(), 1));
    if (ttft <= slo_.ttft_ms && sum / gaps <= slo_.itl_ms) ++good_;
  }

  void add(std::string name, double value, Better better) {
    summary_.figures.push_back({std::move(name), value, better});
  }
  void add_rate(std::string name, double count) {
    add(std::move(name), result_.wall_s > 0 ? count / result_.wall_s : 0, Better::more);
  }
  void add_spread(const std::string& name, Samples& samples) {
    if (samples.count() == 0) return;
    add(name + "_ms_mean", samples.mean(), Better::less);
    add(name + "_ms_p50", samples.quantile(0.5), Better::less);
    add(name + "_ms_p95", samples.quantile(0.95), Better::less);
    add(name + "_ms_p99", samples.quantile(0.99), Better::less);
  }

  void add_rates() {
    add_rate("output_tokens_per_s", output_tokens_);
    add_rate("total_tokens_per_s", prompt_tokens_ + output_tokens_);
    add_rate("requests_per_s", static_cast<double>(summary_.answered));
    if (slo_.given()) add_rate("good_requests_per_s", static_cast<double>(good_));
  }
  void add_latencies() {
    add_spread("ttft", ttft_);
    add_spread("later_turns_ttft", later_ttft_);
    add_spread("itl", itl_);
    add_spread("tpot", tpot_);
    add_spread("e2e", e2e_);
  }
  void add_descriptions() {
    const double answers = static_cast<double>(std::max<int64_t>(summary_.answered, 1));
    add("prompt_tokens_each", prompt_tokens_ / answers, Better::neither);
    add("cached_tokens_each", cached_tokens_ / answers, Better::neither);
    add("output_tokens_each", output_tokens_ / answers, Better::neither);
    add("failed_requests", static_cast<double>(summary_.requests - summary_.answered),
        Better::neither);
    add("sent_late_ms_p99", late_.quantile(0.99), Better::neither);
    add("client_cpu_share", result_.client_cpu_share, Better::neither);
    add("wall_s", result_.wall_s, Better::neither);
  }

  const LoadResult& result_;
  const Slo& slo_;
  Summary summary_;
  Samples ttft_, later_ttft_, itl_, tpot_, e2e_, late_;
  double prompt_tokens_ = 0, cached_tokens_ = 0, output_tokens_ = 0;
  int64_t good_ = 0;
};

}  // namespace

Summary summarise(const LoadResult& result, const Slo& slo) {
  return Summariser(result, slo).run();
}

}  // namespace bessemer::bench
