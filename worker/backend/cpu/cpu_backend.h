// The fast backend for x86-64: packed weights, int8 activations, one thread pool. Its arithmetic is
// in kernels/cpu/generic and in worker/backend/README.md; every instruction set, thread count and
// batch gives the same bits.
#pragma once
#include <memory>
#include <string>

#include "worker/backend/backend.h"
#include "worker/backend/registry.h"

namespace bessemer::cpu {

// InvalidArgument: no such instruction set; FailedPrecondition: this machine lacks it.
StatusOr<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

// "AVX2, 2 threads"
std::string describe_cpu();

}  // namespace bessemer::cpu
