// The features of proto/features.md that a mock worker has.
#pragma once
#include <cstdint>

#include "proto/features.h"

namespace bessemer {

constexpr uint32_t kResumeFeature = 20, kAttachFeature = 21, kCreditFeature = 22;
constexpr uint32_t kLastPlainFeature = static_cast<uint32_t>(Feature::cache_root);

}  // namespace bessemer
