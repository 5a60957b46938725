# SPDX-License-Identifier: Apache-2.0
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(MHD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(EXPAT REQUIRED IMPORTED_TARGET expat)
find_program(PROTOC_C protoc-c REQUIRED)
# How wide a character is: a few tables of the archive, where the shared library takes as
# long to load as the rest of mesh.
find_library(UNISTRING_LIBRARY libunistring.a REQUIRED)
find_library(LMDB_LIBRARY lmdb REQUIRED)
# SHA-256 alone is used of OpenSSL: 20 KiB of it by the archive, where the shared library
# takes 0.7 ms of every start of mesh.
find_library(SHA256_LIBRARY libcrypto.a REQUIRED)
# Keys and signatures in the program itself: the archive, where the shared library would
# be loaded at every start.
find_library(SODIUM_LIBRARY libsodium.a REQUIRED)
