#include "bench/common/trace.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "common/file.h"
#include "common/json.h"

namespace bessemer::bench {
namespace {

constexpr int kMooncakeBlockTokens = 512;
constexpr int64_t kMaxTokens = 1 << 30;          // so that scaling keeps within an int
constexpr int64_t kTicksPerSecond = 10'000'000;  // of Azure's time stamps
constexpr std::string_view kAzureHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

std::string_view take_line(std::string_view& text) {
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A whole number that takes all of `text`.
template <typename Integer>
bool parse_whole(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// Of a request's line, in ticks of the format; nothing: the line is not of the format.
struct Line {
  int64_t ticks = 0;
  int number = 0;  // in the file: requests of one moment stay in its order
  TraceRequest request;
};

bool take_field(const json::object& fields, std::string_view name, int64_t& value) {
  const json::value* found = fields.if_contains(name);
  if (found == nullptr || !found->is_int64() || found->get_int64() < 0) return false;
  value = found->get_int64();
  return true;
}

int as_length(int64_t tokens) {
  return static_cast<int>(std::min<int64_t>(tokens, kMaxTokens));
}

std::optional<Line> parse_mooncake(std::string_view text) {
  const StatusOr<json::value> parsed = parse_json(text);
  const json::object* fields = parsed.ok() ? parsed->if_object() : nullptr;
  Line line;
  int64_t input = 0, output = 0;
  if (fields == nullptr || !take_field(*fields, "timestamp", line.ticks) ||
      !take_field(*fields, "input_length", input) || !take_field(*fields, "output_length", output))
    return std::nullopt;
  line.request.input_tokens = as_length(input);
  line.request.output_tokens = as_length(output);
  const json::value* blocks = fields->if_contains("hash_ids");
  if (blocks == nullptr || !blocks->is_array()) return std::nullopt;
  for (const json::value& block : blocks->get_array()) {
    if (!block.is_int64()) return std::nullopt;
    line.request.blocks.push_back(block.get_int64());
  }
  return line;
}

// "2023-11-16 18:15:46.6805900"
std::optional<int64_t> parse_azure_time(std::string_view text) {
  int year = 0;
  unsigned month = 0, day = 0;
  int64_t hour = 0, minute = 0, second = 0, fraction = 0;
  const bool shaped = text.size() == 27 && text[4] == '-' && text[7] == '-' && text[10] == ' ' &&
                      text[13] == ':' && text[16] == ':' && text[19] == '.';
  if (!shaped || !parse_whole(text.substr(0, 4), year) || !parse_whole(text.substr(5, 2), month) ||
      !parse_whole(text.substr(8, 2), day) || !parse_whole(text.substr(11, 2), hour) ||
      !parse_whole(text.substr(14, 2), minute) || !parse_whole(text.substr(17, 2), second) ||
      !parse_whole(text.substr(20), fraction))
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * kTicksPerSecond + fraction;
}

std::optional<Line> parse_azure(std::string_view text) {
  const size_t first = text.find(','), last = text.rfind(',');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  int64_t input = 0, output = 0;
  const std::optional<int64_t> ticks = parse_azure_time(text.substr(0, first));
  Line line;
  if (!ticks || !parse_whole(text.substr(first + 1, last - first - 1), input) ||
      !parse_whole(text.substr(last + 1), output) || input < 0 || output < 0)
    return std::nullopt;
  line.ticks = *ticks;
  line.request.input_tokens = as_length(input);
  line.request.output_tokens = as_length(output);
  return line;
}

// Arrivals from the first one on, in seconds, and their quantum.
Trace assemble(std::vector<Line> lines, int64_t ticks_per_second) {
  std::ranges::sort(lines, {}, [](const Line& line) { return std::pair(line.ticks, line.number); });
  Trace trace;
  int64_t quantum = 0;
  for (Line& line : lines) {
    const int64_t ticks = line.ticks - lines.front().ticks;
    quantum = std::gcd(quantum, ticks);
    line.request.at_s = static_cast<double>(ticks) / static_cast<double>(ticks_per_second);
    trace.requests.push_back(std::move(line.request));
  }
  trace.quantum_s = static_cast<double>(quantum) / static_cast<double>(ticks_per_second);
  return trace;
}

}  // namespace

StatusOr<Trace> parse_trace(std::string_view text) {
  const bool azure = text.starts_with(kAzureHeader);
  if (!azure && !text.starts_with('{')) {
    return absl::InvalidArgumentError(
        "neither a Mooncake trace (JSON lines with timestamp, input_length, output_length, "
        "hash_ids) nor an Azure one (CSV that begins with " +
        std::string(kAzureHeader) + ")");
  }
  if (azure) take_line(text);
  std::vector<Line> lines;
  for (int number = azure ? 2 : 1; !text.empty(); ++number) {
    const std::string_view row = take_line(text);
    if (row.empty()) continue;
    std::optional<Line> line = azure ? parse_azure(row) : parse_mooncake(row);
    if (!line) {
      return absl::InvalidArgumentError(
          "line " + std::to_string(number) + " is no request of " +
          (azure ? "an Azure trace (TIME,TOKENS,TOKENS)" : "a Mooncake trace") + ": " +
          std::string(row.substr(0, 80)));
    }
    line->number = number;
    lines.push_back(std::move(*line));
  }
  if (lines.empty()) return absl::InvalidArgumentError("a trace without requests");
  Trace trace = assemble(std::move(lines), azure ? kTicksPerSecond : 1000);
  trace.block_tokens = azure ? 0 : kMooncakeBlockTokens;
  return trace;
}

StatusOr<Trace> read_trace(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxTraceBytes));
  StatusOr<Trace> trace = parse_trace(text);
  if (!trace.ok()) return annotate(trace.status(), path);
  return trace;
}

Trace scaled(Trace trace, const TraceScale& scale) {
  const auto length = [&](int tokens, int limit) {
    const int whole = std::max(static_cast<int>(std::lround(tokens * scale.length)), 1);
    return limit > 0 ? std::min(whole, limit) : whole;
  };
  for (TraceRequest& request : trace.requests) {
    request.at_s *= scale.time;
    request.input_tokens = length(request.input_tokens, scale.max_input);
    request.output_tokens = length(request.output_tokens, scale.max_output);
  }
  trace.quantum_s *= scale.time;
  if (trace.block_tokens > 0) trace.block_tokens = length(trace.block_tokens, 0);
  return trace;
}

}  // namespace bessemer::bench
