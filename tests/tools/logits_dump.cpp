// bessemer_logits: the logits of a model at every position of given token lists, for comparison
// with an independent forward.
//
//   bessemer_logits --model X.gguf --backend reference --ids FILE --out FILE.f32 [--isa ISA]
//   [--kv-dtype f32] [--chunk N] [--losses]
//
// --ids: one JSON list of token ids a line. --out: float32, row-major [positions, vocabulary], list
// after list; with --losses one value for each position but a list's last: -log p of the id that
// comes next.
#include <cstdio>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/json.h"
#include "common/status.h"
#include "worker/backend/registry.h"
#include "worker/format/gguf.h"
#include "worker/model/registry.h"
#include "worker/runner/batch_builder.h"

namespace bessemer {
namespace {

struct Options {
  std::string model, backend = "reference", isa, ids, out, kv_dtype = "f32";
  int32_t chunk = 512, threads = 0;
  bool losses = false;
};

StatusOr<std::vector<std::vector<int32_t>>> read_lists(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(path + ": cannot be opened");
  std::vector<std::vector<int32_t>> lists;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    ASSIGN_OR_RETURN(const json::value value, parse_json(line));
    auto ids = json::try_value_to<std::vector<int32_t>>(value);
    if (!ids || ids->empty()) {
      return absl::InvalidArgumentError(path + ": line " + std::to_string(lists.size() + 1) +
                                        " is no list of token ids");
    }
    lists.push_back(std::move(*ids));
  }
  return lists;
}

// One model with room for one sequence.
struct Forward {
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const GgufFile> file;
  std::unique_ptr<Model> model;
  KvPoolPtr kv;
  Limits limits;
};

StatusOr<Forward> prepare(const Options& options, int32_t longest) {
  Forward f;
  BackendOptions backend_options;
  backend_options.threads = options.threads;
  backend_options.isa = options.isa;
  ASSIGN_OR_RETURN(f.file, GgufFile::open(options.model));
  ASSIGN_OR_RETURN(f.backend, make_backend(options.backend, backend_options));
  ASSIGN_OR_RETURN(f.model, load_model(*f.file, *f.backend, Rank{}));
  if (longest > f.model->max_len())
    return absl::InvalidArgumentError("a list is longer than the model's context");
  RETURN_IF_ERROR(f.model->reserve(*f.backend, options.chunk, options.chunk, f.model->max_len()));
  RETURN_IF_ERROR(
      f.backend->reserve_workspace(options.chunk, options.chunk, f.model->vocab_size()));
  KvLayout layout = f.model->kv_layout();
  layout.dtype = *kv_dtype_of(options.kv_dtype);
  layout.group_blocks = {(longest + layout.block_tokens - 1) / layout.block_tokens};
  f.limits.slots = 1;
  f.limits.rows = f.limits.logit_rows = options.chunk;
  f.limits.max_len = f.model->max_len();
  f.limits.groups = {{.block_tokens = layout.block_tokens, .block_count = layout.group_blocks[0]}};
  ASSIGN_OR_RETURN(f.kv, f.backend->make_kv(layout));
  return f;
}

StepPlan open_plan(const std::vector<int32_t>& ids, const KvGroup& group) {
  StepPlan plan;
  Open& open = plan.open.emplace_back();
  open.prompt_len = static_cast<int32_t>(ids.size());
  open.history = append(plan.tokens, ids);
  std::vector<int32_t> blocks(static_cast<size_t>(group.block_count));
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<int32_t>(i);
  plan.grow.push_back({.blocks = append(plan.ints, blocks)});
  return plan;
}

void write_logits(const Mat& logits, std::ofstream& out) {
  std::vector<float> values(static_cast<size_t>(logits.cols));
  const size_t stride = static_cast<size_t>(logits.row_stride) * sizeof(float);
  for (size_t row = 0; row < static_cast<size_t>(logits.rows); ++row) {
    logits.buffer->read(logits.offset_bytes + row * stride,
                        std::as_writable_bytes(std::span(values)));
    out.write(reinterpret_cast<const char*>(values.data()), std::streamsize{4} * logits.cols);
  }
}

void write_losses(const std::vector<std::vector<Logprob>>& scores, std::ofstream& out) {
  for (const auto& score : scores) {
    const float loss = score.empty() ? std::numeric_limits<float>::quiet_NaN() : -score[0].value;
    out.write(reinterpret_cast<const char*>(&loss), sizeof loss);
  }
}

Status dump_list(Forward& f, const std::vector<int32_t>& ids, const Options& options,
                 std::ofstream& out) {
  const int32_t chunk = options.chunk;
  for (const int32_t id : ids) {
    if (id < 0 || id >= f.model->vocab_size())
      return absl::InvalidArgumentError("token " + std::to_string(id) + " does not exist");
  }
  SlotTable slots(f.limits);
  slots.apply(open_plan(ids, f.limits.groups[0]));
  PreparedStep step;
  const auto total = static_cast<int32_t>(ids.size());
  for (int32_t begin = 0; begin < total; begin += chunk) {
    const int32_t count = std::min(chunk, total - begin);
    StepPlan plan;
    const Want want = begin + count == total ? Want::score_and_sample : Want::score;
    plan.work.push_back({.begin = begin, .count = count, .want = want});
    prepare_step(plan, slots, f.limits, step);
    Batch batch;
    f.backend->begin_step(step.inputs, batch);
    const int32_t successors = std::min(count, total - 1 - begin);
    std::vector<std::vector<Logprob>> scores(static_cast<size_t>(options.losses ? successors : 0));
    Mat logits;
    const Ticket ticket = f.backend->run({.rows = count}, [&] {
      logits = f.model->forward(*f.backend, batch, *f.kv);
      if (!options.losses) return;
      const auto next = std::span(ids).subspan(static_cast<size_t>(begin) + 1, scores.size());
      f.backend->score(scores, first_rows(logits, successors), next, 0);
    });
    RETURN_IF_ERROR(f.backend->wait(ticket, TimePoint::max()));
    if (options.losses) {
      write_losses(scores, out);
    } else {
      write_logits(logits, out);
    }
  }
  return absl::OkStatus();
}

Status dump(const Options& options) {
  ASSIGN_OR_RETURN(const auto lists, read_lists(options.ids));
  size_t longest = 1;
  for (const auto& list : lists) longest = std::max(longest, list.size());
  ASSIGN_OR_RETURN(Forward forward, prepare(options, static_cast<int32_t>(longest)));
  std::ofstream out(options.out, std::ios::binary | std::ios::trunc);
  for (size_t i = 0; i < lists.size(); ++i) {
    RETURN_IF_ERROR(dump_list(forward, lists[i], options, out));
    std::fprintf(stderr, "list %zu of %zu: %zu positions\n", i + 1, lists.size(), lists[i].size());
  }
  if (!out.flush()) return absl::DataLossError(options.out + ": cannot be written");
  return absl::OkStatus();
}

}  // namespace
}  // namespace bessemer

int main(int argc, char** argv) {
  bessemer::Options options;
  CLI::App app("Writes a model's logits at every position of given token lists.");
  app.add_option("--model", options.model, "GGUF file")->required();
  app.add_option("--backend", options.backend, "reference, cpu or cuda")->capture_default_str();
  app.add_option("--isa", options.isa, "instruction set of the cpu backend");
  app.add_option("--threads", options.threads, "threads of the cpu backend; 0: all");
  app.add_option("--kv-dtype", options.kv_dtype)
      ->check(CLI::IsMember({"f32", "f16", "bf16", "int8"}))
      ->capture_default_str();
  app.add_option("--ids", options.ids, "one JSON list of token ids a line")->required();
  app.add_option("--out", options.out, "float32, [positions, vocabulary] or [positions]")
      ->required();
  app.add_flag("--losses", options.losses,
               "of the next id, one for each position that has one, instead of logits");
  app.add_option("--chunk", options.chunk, "rows of one step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const bessemer::Status status = bessemer::dump(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "bessemer_logits: %s\n", status.ToString().c_str());
  return 1;
}
