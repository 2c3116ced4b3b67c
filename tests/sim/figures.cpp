#include "tests/sim/figures.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/common/samples.h"

namespace bessemer::sim {
namespace {

struct Column {
  const char* name;
  const char* format;
  double Figures::* value;
};
constexpr Column kColumns[] = {
    {"ttft_mean_s", "{:.3f}", &Figures::ttft_mean_s},
    {"ttft_p50_s", "{:.3f}", &Figures::ttft_p50_s},
    {"ttft_p99_s", "{:.2f}", &Figures::ttft_p99_s},
    {"gap_mean_s", "{:.4f}", &Figures::gap_mean_s},
    {"hit_rate", "{:.3f}", &Figures::hit_rate},
    {"goodput", "{:.3f}", &Figures::goodput},
    {"computed_mtok", "{:.2f}", &Figures::computed_mtok},
    {"recomputed_mtok", "{:.2f}", &Figures::recomputed_mtok},
    {"predicted_share", "{:.3f}", &Figures::predicted_share},
    {"imbalance", "{:.3f}", &Figures::imbalance},
    {"bounces", "{:.3f}", &Figures::bounces},
};

constexpr size_t Figures::* kCounts[] = {&Figures::turns, &Figures::answered, &Figures::refused,
                                         &Figures::unasked};

double ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

double imbalance_of(const Cluster& cluster) {
  double sum = 0, most = 0;
  for (const auto& worker : cluster.workers()) {
    const auto computed = static_cast<double>(worker->prompt_tokens_computed());
    sum += computed;
    most = std::max(most, computed);
  }
  return ratio(most * static_cast<double>(cluster.workers().size()), sum);
}

}  // namespace

Figures figures_of(const Cluster& cluster, const Slo& slo) {
  Figures figures;
  figures.policy = cluster.options().policy;
  bench::Samples ttft, gaps;
  double prompt = 0, cached = 0, predicted = 0, recomputed = 0, good = 0, bounces = 0;
  for (const Record& record : cluster.records()) {
    ++figures.turns;
    bounces += record.bounces;
    figures.refused += record.outcome == Outcome::refused ? 1 : 0;
    figures.unasked += record.outcome == Outcome::unasked ? 1 : 0;
    if (record.outcome != Outcome::answered) continue;
    ++figures.answered;
    ttft.add(record.ttft_s());
    gaps.add(record.gap_s());
    good += record.ttft_s() <= slo.ttft_s && record.gap_s() <= slo.gap_s ? 1 : 0;
    prompt += record.prompt;
    cached += record.cached;
    predicted += record.predicted;
    recomputed += record.recomputed();
  }
  figures.ttft_mean_s = ttft.mean();
  figures.ttft_p50_s = ttft.quantile(0.5);
  figures.ttft_p99_s = ttft.quantile(0.99);
  figures.gap_mean_s = gaps.mean();
  figures.hit_rate = ratio(cached, prompt);
  figures.goodput = ratio(good, static_cast<double>(figures.turns));
  figures.computed_mtok = (prompt - cached) * 1e-6;
  figures.recomputed_mtok = recomputed * 1e-6;
  figures.predicted_share = ratio(cached, predicted);
  figures.imbalance = imbalance_of(cluster);
  figures.bounces = ratio(bounces, static_cast<double>(figures.turns));
  return figures;
}

Figures mean_of(const std::vector<Figures>& runs) {
  Figures mean;
  if (runs.empty()) return mean;
  mean.policy = runs.front().policy;
  for (const auto count : kCounts) {
    for (const Figures& run : runs) mean.*count += run.*count;
    mean.*count /= runs.size();
  }
  for (const Column& column : kColumns) {
    for (const Figures& run : runs) mean.*column.value += run.*column.value;
    mean.*column.value /= static_cast<double>(runs.size());
  }
  return mean;
}

std::string table(const Cell& cell) {
  std::string text =
      fmt::format("\n{} at {}x, {} workers of {} blocks, {} router{}, admission {}\n",
                  cell.workload, cell.speed, cell.workers, cell.blocks, cell.routers,
                  cell.routers == 1 ? "" : "s", cell.admission ? "on" : "off");
  text += fmt::format("{:<16}", "policy");
  for (const Column& column : kColumns) text += fmt::format("{:>16}", column.name);
  text += fmt::format("{:>9}\n", "refused");
  for (const Figures& row : cell.rows) {
    text += fmt::format("{:<16}", row.policy);
    for (const Column& column : kColumns) {
      text += fmt::format("{:>16}", fmt::format(fmt::runtime(column.format), row.*column.value));
    }
    text += fmt::format("{:>9}\n", row.refused);
  }
  return text;
}

json::object to_json(const Cell& cell) {
  json::object object{{"workload", cell.workload}, {"speed", cell.speed},
                      {"workers", cell.workers},   {"blocks", cell.blocks},
                      {"routers", cell.routers},   {"admission", cell.admission}};
  json::array rows;
  for (const Figures& row : cell.rows) {
    json::object figures{{"policy", row.policy},
                         {"turns", row.turns},
                         {"answered", row.answered},
                         {"refused", row.refused},
                         {"unasked", row.unasked}};
    for (const Column& column : kColumns) figures[column.name] = row.*column.value;
    rows.push_back(std::move(figures));
  }
  object["rows"] = std::move(rows);
  return object;
}

}  // namespace bessemer::sim
