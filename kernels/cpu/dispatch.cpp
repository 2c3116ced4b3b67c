#include <array>

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/cpu/kernels.h"

namespace bessemer::kernels {
namespace {

// __builtin_cpu_supports() also asks whether the operating system saves the registers.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}
// Linux gives the tiles' state to a process that asks for it (arch_prctl(2), since 5.16).
bool has_amx() {
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;  // CPUID 7.0, EDX
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTile) != 0 &&
         (d & kInt8) != 0 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct InstructionSet {
  std::string_view name, features;
  bool (*present)();
  const Kernels& (*kernels)();
};

// Fastest first.
constexpr std::array kInstructionSets = {
    InstructionSet{"amx", "AMX-TILE and AMX-INT8, what avx512 needs, and Linux 5.16 or later",
                   has_amx, amx_kernels},
    InstructionSet{"avx512", "AVX-512 F, BW, VL, DQ and VNNI", has_avx512, avx512_kernels},
    InstructionSet{"avx2", "AVX2, FMA and F16C", has_avx2, avx2_kernels},
    InstructionSet{"scalar", "nothing", [] { return true; }, scalar_kernels},
};

}  // namespace

const Kernels* find_kernels(std::string_view name) {
  for (const InstructionSet& set : kInstructionSets) {
    if (set.name == name) return set.present() ? &set.kernels() : nullptr;
  }
  return nullptr;
}

const Kernels& best_kernels() {
  for (const InstructionSet& set : kInstructionSets) {
    if (set.present()) return set.kernels();
  }
  return scalar_kernels();
}

std::string_view needed_features(std::string_view name) {
  for (const InstructionSet& set : kInstructionSets) {
    if (set.name == name) return set.features;
  }
  return {};
}

}  // namespace bessemer::kernels
