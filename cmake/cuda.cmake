# The CUDA plug-in, only where BESSEMER_CUDA is on (the preset cuda). `make cuda` unpacks a toolkit to build/cuda-toolkit for machines that
# have none; CMAKE_CUDA_COMPILER names another. No GPU and no driver is needed to build.
set(unpacked ${PROJECT_SOURCE_DIR}/build/cuda-toolkit/bin/nvcc)
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  if(NOT EXISTS ${unpacked})
    message(FATAL_ERROR "BESSEMER_CUDA is on and there is no ${unpacked}. Run `make cuda` first, or give -DCMAKE_CUDA_COMPILER=/path/to/nvcc (13.0)")
  endif()
  set(CMAKE_CUDA_COMPILER ${unpacked} CACHE FILEPATH "nvcc")
endif()
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER} CACHE FILEPATH "what nvcc hands host code to")
# Machine code for Ampere and Hopper, and a portable form that drivers compile for what comes later.
set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual" CACHE STRING "what kernels are compiled for")
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
# CMake 3.25 does not know that nvcc 13 compiles C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
enable_language(CUDA)
find_package(CUDAToolkit 13.0 REQUIRED)
