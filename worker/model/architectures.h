// One function per architecture, each in a file of its own.
#pragma once
#include <memory>
#include <string>

#include "common/status.h"
#include "worker/format/gguf.h"
#include "worker/model/loader.h"
#include "worker/model/model.h"

namespace bessemer {

StatusOr<std::unique_ptr<Model>> load_llama(const GgufFile& file, Loader& loader, Rank rank);

}  // namespace bessemer
