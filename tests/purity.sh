#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# purity.sh NM ARCHIVE... - the parts that decide ask the system for nothing.
#
# Everything an archive takes from outside must be listed here, so that a new clock,
# socket or thread is seen the day it comes in. What is computed from its arguments and
# memory alone may be added to the list; what else is wanted belongs to the runtime.
set -eu
nm=$1
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -v '^#' >"$work/allowed" <<'END'
# memory
malloc calloc realloc free reallocarray
memcpy memmove memset memcmp bcmp memchr memrchr memmem mempcpy
__memcpy_chk __memmove_chk __memset_chk __explicit_bzero_chk explicit_bzero
# text
strlen strnlen strcmp strncmp strcasecmp strncasecmp strchr strrchr strchrnul strstr
strspn strcspn strpbrk strdup strndup strcpy strncpy stpcpy strcat strsep strtok_r
strerror strerrorname_np strerrordesc_np strverscmp
__strcpy_chk __strcat_chk __strdup __strndup
strtol strtoll strtoul strtoull strtod strtof strtold
__isoc23_strtol __isoc23_strtoll __isoc23_strtoul __isoc23_strtoull
snprintf vsnprintf asprintf vasprintf sscanf __isoc99_sscanf __isoc23_sscanf
__snprintf_chk __vsnprintf_chk __asprintf_chk __vasprintf_chk
tolower toupper __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc
isalpha isdigit isalnum isspace isprint isupper islower isxdigit ispunct iscntrl
# order and numbers
qsort qsort_r bsearch abs labs llabs div ldiv lldiv
pow exp log log2 log10 sqrt ceil floor round trunc rint lround llround lrint llrint
fmod modf frexp ldexp fmin fmax fabs isnan isinf __isnan __isinf __finite __signbit
gmtime_r timegm
# BLAKE2b of what is in memory; nothing else of libsodium
crypto_generichash
# invariants and the compiler's own
__assert_fail abort __errno_location __stack_chk_fail _GLOBAL_OFFSET_TABLE_
__udivti3 __umodti3 __divti3 __modti3 __multi3 __popcountdi2 __tls_get_addr
END

# Libraries that parse bytes in memory; their functions for files are named below.
prefixes='^(uc_|yaml_|json_|protobuf_c_|__asan_|__ubsan_|__tsan_|__lsan_|__sanitizer_|__sancov_|__start___sancov_|__stop___sancov_|__gcov_|llvm_gc)'
files='^(yaml_(parser|emitter)_set_(input|output)_file|json_(load|dump)(_file|fd|f))$'

tr -s ' ' '\n' <"$work/allowed" | sort -u >"$work/known"
"$nm" --defined-only -g "$@" | awk 'NF == 3 { print $3 }' | sort -u >"$work/ours"

status=0
for archive; do
    "$nm" -u "$archive" 2>/dev/null |
        awk -v archive="$(basename "$archive")" -v prefixes="$prefixes" -v files="$files" '
            FILENAME != "-" { known[$1] = 1; next }
            /:$/ { object = $1; next }
            $1 !~ /^[Uwv]$/ { next }
            { n++ }
            $2 in known || ($2 ~ prefixes && $2 !~ files) { next }
            { print "impure: " archive " " object " " $2; bad = 1 }
            END {
                if (!n)
                    print "nothing read from " archive
                exit bad || !n
            }' "$work/known" "$work/ours" - || status=1
done
[ $# -gt 0 ] || { echo "no archives"; status=1; }
exit $status
