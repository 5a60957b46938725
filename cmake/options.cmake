# SPDX-License-Identifier: Apache-2.0
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# Invariants are asserted in release builds too.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

set(MESH_SANITIZE "" CACHE STRING "address,undefined or thread")
option(MESH_FUZZ "build the fuzz targets (clang)" OFF)

add_compile_options(
  -Wall -Wextra -Wshadow -Wconversion -Werror -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -fno-common -fstack-protector-strong "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
add_compile_definitions(_GNU_SOURCE)
include_directories(${CMAKE_SOURCE_DIR})
if(MESH_SANITIZE)
  add_compile_options(-fsanitize=${MESH_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MESH_SANITIZE})
  add_compile_definitions(MESH_SANITIZED)
endif()
if(MESH_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address)
  add_compile_definitions(MESH_SANITIZED)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
