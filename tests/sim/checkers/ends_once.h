// T1: every turn ends once; an answer is the whole answer, each token once and in order.
#pragma once
#include <set>

#include "tests/sim/cluster.h"

namespace bessemer::sim {

class EndsOnce final : public Checker {
 public:
  void on_end(const Record& record, const Cluster&) override {
    const std::string who = "request " + std::to_string(record.request);
    expect(ended_.insert(record.request).second, who + " ended twice");
    expect(record.out_of_order == 0, who + " got a token that was not the next one");
    if (record.outcome == Outcome::answered) {
      expect(record.received == record.answer, who + " got " + std::to_string(record.received) +
                                                   " tokens of " + std::to_string(record.answer));
      expect(record.asked_s < record.first_s && record.first_s <= record.end_s,
             who + " was answered before it asked");
      expect(record.cached < record.prompt, who + " computed no row of its prompt");
    } else {
      expect(record.outcome == Outcome::refused && record.received == 0,
             who + " was neither answered nor refused");
    }
  }
  void on_idle(const Cluster& cluster) override {
    expect(cluster.records().size() == cluster.workload().turn_count(),
           std::to_string(cluster.records().size()) + " of " +
               std::to_string(cluster.workload().turn_count()) + " turns have ended");
    for (const auto& router : cluster.routers()) {
      expect(router->under_way() == 0, "a router still waits for an answer");
    }
  }

 private:
  std::set<uint64_t> ended_;
};

}  // namespace bessemer::sim
