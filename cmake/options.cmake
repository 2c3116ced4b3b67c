# How every target of the project is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(THREADS_PREFER_PTHREAD_FLAG ON)

set(BESSEMER_SANITIZE "" CACHE STRING "Value for -fsanitize= (address,undefined or thread)")
option(BESSEMER_TESTS "Build tests and benchmarks" ON)
option(BESSEMER_FUZZ "Build the libFuzzer targets" OFF)
option(BESSEMER_CUDA "Build the CUDA plug-in, libbessemer-cuda.so" OFF)
option(BESSEMER_STATIC "Link the distribution's libraries statically where it has archives" ON)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# -ffp-contract=off: results must not depend on which products the compiler chose to fuse (E5).
add_library(bessemer_flags INTERFACE)
target_compile_options(bessemer_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror
  -ffp-contract=off -fno-omit-frame-pointer)
target_include_directories(bessemer_flags INTERFACE ${PROJECT_SOURCE_DIR})

add_link_options(-fuse-ld=lld)
if(BESSEMER_SANITIZE)
  add_compile_options(-fsanitize=${BESSEMER_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BESSEMER_SANITIZE})
endif()
if(BESSEMER_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
