// How many processors this process may use.
#pragma once
#include <cstdint>
#include <string>

namespace bessemer::cpu {

// Whole processors that the control groups' quotas grant, rounded up; 0: no quota. Reads cgroup v2
// (cpu.max) and v1 (cpu.cfs_quota_us) of the process's group and all groups above it, below `root`
// ("" outside of tests).
int32_t cgroup_processors(const std::string& root);

// What affinity and quota both allow; at least 1.
int32_t usable_processors();

}  // namespace bessemer::cpu
