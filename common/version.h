#pragma once

namespace bessemer {

inline constexpr const char* kVersion =
    BESSEMER_VERSION;  // the project's version in the top CMakeLists.txt

}  // namespace bessemer
