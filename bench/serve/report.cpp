#include "bench/serve/report.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace bessemer::bench {
namespace {

std::vector<std::vector<Figure>> figures_of(const CampaignResult& result, const std::string& server,
                                            const std::string& phase) {
  std::vector<std::vector<Figure>> runs;
  for (const PhaseRun& run : result.runs) {
    if (run.server == server && run.phase == phase) runs.push_back(run.summary.figures);
  }
  return runs;
}

// Three digits that count, so that 0.0123 s and 12,345 tokens/s stand in one column.
std::string number(double value) {
  if (value == 0) return "0";
  if (value >= 1000) return fmt::format("{:.0f}", value);
  if (value >= 100) return fmt::format("{:.1f}", value);
  if (value >= 1) return fmt::format("{:.2f}", value);
  return fmt::format("{:.4f}", value);
}

std::string row_text(const Compared& row, bool two) {
  std::string line = fmt::format("  {:<26}{:>12}", row.name, number(row.a));
  if (!two) return line + "\n";
  line += fmt::format("{:>12}", number(row.b));
  if (row.ratio > 0)
    line += fmt::format("{:>9.2f}x  ({:.2f} to {:.2f})", row.ratio, row.least, row.most);
  return line + "\n";
}

std::string phase_text(const PhaseReport& phase, bool two) {
  std::string text = fmt::format("\n{:<28}{:>12}", phase.phase, "A");
  if (two) text += fmt::format("{:>12}{:>10}  (of the pairs)", "B", "A better");
  text += "\n";
  for (const Compared& row : phase.rows) text += row_text(row, two);
  return text;
}

// Everything that went wrong, by server and phase; nothing if nothing did.
std::string troubles_text(const CampaignResult& result) {
  std::string text;
  for (const PhaseRun& run : result.runs) {
    const Summary& summary = run.summary;
    const std::string where =
        fmt::format("  {} {} run {}: ", run.server, run.phase, run.repeat + 1);
    for (const auto& [kind, count] : summary.failures)
      text += fmt::format("{}{} of {} requests failed: {}\n", where, count, summary.requests, kind);
    for (const std::string& example : summary.examples) text += where + "e.g. " + example + "\n";
    if (summary.short_answers > 0)
      text += fmt::format("{}{} of {} answers are shorter than asked for\n", where,
                          summary.short_answers, summary.answered);
    if (!summary.counted)
      text += where + "the server sends no usage: output tokens are the texts that came\n";
  }
  return text.empty() ? text : "\nTroubles:\n" + text;
}

const char* name_of(Better better) {
  switch (better) {
    case Better::more:
      return "more";
    case Better::less:
      return "less";
    case Better::neither:
      return "neither";
  }
  return "neither";
}

json::object row_json(const Compared& row, bool two) {
  json::object object{{"name", row.name}, {"better", name_of(row.better)}, {"a", row.a}};
  if (!two) return object;
  object["b"] = row.b;
  if (row.ratio > 0) {
    object["ratio"] = row.ratio;
    object["least"] = row.least;
    object["most"] = row.most;
  }
  return object;
}

json::object run_json(const PhaseRun& run) {
  json::object figures, failures;
  for (const Figure& figure : run.summary.figures) figures[figure.name] = figure.value;
  for (const auto& [kind, count] : run.summary.failures) failures[kind] = count;
  const json::array examples(run.summary.examples.begin(), run.summary.examples.end());
  return {{"server", run.server},
          {"repeat", run.repeat},
          {"phase", run.phase},
          {"requests", run.summary.requests},
          {"answered", run.summary.answered},
          {"short_answers", run.summary.short_answers},
          {"tokens_counted_by_server", run.summary.counted},
          {"figures", std::move(figures)},
          {"failures", std::move(failures)},
          {"examples", examples}};
}

}  // namespace

std::vector<PhaseReport> phases_of(const CampaignResult& result) {
  std::vector<PhaseReport> phases;
  for (const PhaseRun& run : result.runs) {
    if (std::ranges::find(phases, run.phase, &PhaseReport::phase) != phases.end()) continue;
    phases.push_back({run.phase, compare(figures_of(result, "A", run.phase),
                                         figures_of(result, "B", run.phase))});
  }
  return phases;
}

std::string progress_line(const PhaseRun& run, int repeats) {
  const auto figure = [&](const char* name) {
    const auto& figures = run.summary.figures;
    const auto found = std::ranges::find(figures, name, &Figure::name);
    return found == figures.end() ? std::string()
                                  : fmt::format(", {} {}", name, number(found->value));
  };
  return fmt::format("{} {} run {} of {}: {} of {} answered{}{}{}", run.server, run.phase,
                     run.repeat + 1, repeats, run.summary.answered, run.summary.requests,
                     figure("output_tokens_per_s"), figure("ttft_ms_p50"),
                     figure("start_to_first_token_ms"));
}

std::string table(const ReportHead& head, const CampaignResult& result) {
  const bool two = result.servers.size() > 1;
  std::string text =
      fmt::format("{}\non {}\nseed {}\n", head.title, describe(head.host), head.seed);
  for (const ServerIdentity& server : result.servers)
    text += fmt::format("{}: {}, model {}, {}\n", server.label, server.software, server.model,
                        server.where);
  for (const PhaseReport& phase : phases_of(result)) text += phase_text(phase, two);
  return text + troubles_text(result);
}

json::object to_json(const ReportHead& head, const CampaignResult& result) {
  const bool two = result.servers.size() > 1;
  json::array servers, phases, runs;
  for (const ServerIdentity& server : result.servers)
    servers.push_back({{"label", server.label},
                       {"where", server.where},
                       {"software", server.software},
                       {"model", server.model}});
  for (const PhaseReport& phase : phases_of(result)) {
    json::array rows;
    for (const Compared& row : phase.rows) rows.push_back(row_json(row, two));
    phases.push_back({{"phase", phase.phase}, {"figures", std::move(rows)}});
  }
  for (const PhaseRun& run : result.runs) runs.push_back(run_json(run));
  return {{"benchmark", "serve"},    {"title", head.title},           {"commit", head.commit},
          {"command", head.command}, {"host", to_json(head.host)},    {"seed", head.seed},
          {"time", head.time},       {"servers", std::move(servers)}, {"phases", std::move(phases)},
          {"runs", std::move(runs)}};
}

}  // namespace bessemer::bench
