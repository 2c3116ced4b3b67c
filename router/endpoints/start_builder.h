// A prepared prompt -> the Start frame for a worker.
#pragma once
#include <cstdint>
#include <string>

#include "bessemer/v1/engine.pb.h"
#include "proto/features.h"
#include "router/endpoints/prepare.h"

namespace bessemer {

// All but what placing decides (attempt, epoch, admission): the same for every attempt of one
// prompt.
v1::Start build_start(const PreparedRequest& prepared, size_t prompt, uint64_t seed,
                      const std::string& request_id);

// As bits: feature_bit().
uint64_t required_feature_bits(const v1::Start& start);

}  // namespace bessemer
