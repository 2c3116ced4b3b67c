// The executable specification: every op in naive fp32 on one thread. Slow; other backends are
// tested against it.
#pragma once
#include <memory>

#include "worker/backend/backend.h"

namespace bessemer::reference {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace bessemer::reference
