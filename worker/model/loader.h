// Hands tensors of a file to the backend. The verbs say how each is sharded over the ranks; nothing
// else in the program knows.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/backend/backend.h"
#include "worker/format/gguf.h"
#include "worker/model/model.h"

namespace bessemer {

// A matrix of the file, named without ".weight".
struct Tensor {
  std::string name;
  int64_t rows = 0, cols = 0;  // that it must have; out and in features
  int32_t unit = 1;            // rows that stay together on one rank: a head's width
};

class Loader {
 public:
  // Bytes of the file handed over so far; called after each tensor.
  using Progress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

  // `file` and `backend` outlive the loader.
  Loader(const GgufFile& file, Backend& backend, Rank rank, Progress progress);

  // Errors name file and tensor: one that is missing, of another shape, that does not divide over
  // the ranks, or whose format the backend refuses.
  //
  // Projections, with the ".bias" of the same name where the file has one:
  // each rank takes its share of every tensor's rows (outputs);
  StatusOr<WeightPtr> columns(std::span<const Tensor> stack);
  // each rank takes its share of the columns (inputs).
  StatusOr<WeightPtr> rows(const Tensor& tensor);
  // Norms and embeddings, which are used without a bias: the same on every rank.
  StatusOr<WeightPtr> whole(const Tensor& tensor);

  bool has(const std::string& name) const { return file_.tensor(name + ".weight") != nullptr; }
  // A tensor that the model reads elsewhere than through the verbs.
  void claim(const std::string& name) { claimed_.insert(name); }
  // InvalidArgument: the file has a tensor that nobody asked for, so the model would not be what
  // the file describes.
  Status check_all_claimed() const;

  uint64_t parameters() const { return parameters_; }  // of the tensors asked for, over all ranks
  size_t packed_bytes() const { return packed_bytes_; }

 private:
  StatusOr<const GgufTensor*> find(const Tensor& tensor);
  StatusOr<std::vector<float>> bias_of(const Tensor& tensor);
  StatusOr<WeightPtr> pack(std::span<const WeightPart> parts);
  Status wrong(const std::string& name, const std::string& what) const;

  const GgufFile& file_;
  Backend& backend_;
  const Rank rank_;
  const Progress progress_;
  std::set<std::string, std::less<>> claimed_;
  uint64_t done_bytes_ = 0, total_bytes_ = 0, parameters_ = 0;
  size_t packed_bytes_ = 0;
};

}  // namespace bessemer
