#include "bench/serve/compare.h"

#include <algorithm>
#include <optional>

#include "bench/common/samples.h"

namespace bessemer::bench {
namespace {

std::optional<double> value_of(const std::vector<Figure>& run, const std::string& name) {
  const auto found = std::ranges::find(run, name, &Figure::name);
  if (found == run.end()) return std::nullopt;
  return found->value;
}

std::vector<double> values_of(const std::vector<std::vector<Figure>>& runs,
                              const std::string& name) {
  std::vector<double> values;
  for (const std::vector<Figure>& run : runs) {
    if (const std::optional<double> value = value_of(run, name)) values.push_back(*value);
  }
  return values;
}

void add_ratio(const std::vector<std::vector<Figure>>& a_runs,
               const std::vector<std::vector<Figure>>& b_runs, Compared& row) {
  Samples ratios;
  for (size_t i = 0; i < std::min(a_runs.size(), b_runs.size()); ++i) {
    const double a = value_of(a_runs[i], row.name).value_or(0);
    const double b = value_of(b_runs[i], row.name).value_or(0);
    if (a > 0 && b > 0) ratios.add(row.better == Better::more ? a / b : b / a);
  }
  row.ratio = ratios.quantile(0.5);
  row.least = ratios.quantile(0);
  row.most = ratios.quantile(1);
}

}  // namespace

std::vector<Compared> compare(const std::vector<std::vector<Figure>>& a_runs,
                              const std::vector<std::vector<Figure>>& b_runs) {
  std::vector<Compared> rows;
  if (a_runs.empty()) return rows;
  for (const Figure& figure : a_runs.front()) {
    Compared row{.name = figure.name, .better = figure.better};
    row.a = median(values_of(a_runs, row.name));
    row.b = median(values_of(b_runs, row.name));
    if (row.better != Better::neither) add_ratio(a_runs, b_runs, row);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace bessemer::bench
