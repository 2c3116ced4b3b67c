// From a file to a model: an explicit table from general.architecture to the file that implements
// it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "worker/format/gguf.h"
#include "worker/model/loader.h"
#include "worker/model/model.h"

namespace bessemer {

// Packs the weights of `file` with `backend`; both outlive the model. NotFound lists the
// architectures that are known.
StatusOr<std::unique_ptr<Model>> load_model(const GgufFile& file, Backend& backend, Rank rank,
                                            Loader::Progress progress = {});

std::vector<std::string> known_architectures();

}  // namespace bessemer
