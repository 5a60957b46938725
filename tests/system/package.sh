#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is handed out runs where it is put: the tarball, the .deb, the wheel; and the unit
# is one that systemd takes.
. "$(dirname "$0")/lib.sh"

build=$(dirname "$MESH")
mkdir flow
cat >flow/hello.mf <<'FLOW'
mesh: 1
flow: Hello
steps:
  start: {run: 'echo hello | mesh artifact put said - --type text', next: square}
  square: {python: 'square.py:square', next: end}
  end: {run: 'mesh artifact get y'}
FLOW
cat >flow/square.py <<'PYTHON'
def square(self):
    self.y = 7 ** 2
PYTHON

# runs PROGRAM TEXT: without what lies where it was built.
runs()
{
    run 0 "$2: a flow runs, with a Python step" env PATH="$(dirname "$1"):$PATH" \
        MESH_HOME="$work/home-$n" "$1" run flow/hello.mf
    like "$out" '49' "$2: and is right"
}

if ! command -v cpack >/dev/null || ! command -v dpkg-shlibdeps >/dev/null; then
    skip 1 'there is no cpack, or no dpkg-dev'
    finish
fi
run 0 'packages are made' cpack --config "$build/CPackConfig.cmake" -B "$work/made"
tarball=$(find made -maxdepth 1 -name 'mesh-*.tar.gz')
deb=$(find made -maxdepth 1 -name 'mesh_*.deb')

mkdir tarball
ok 'a tarball' tar -xzf "$tarball" -C tarball
runs "$work/$(find tarball -path '*/bin/mesh')" 'the tarball'

ok 'a .deb' dpkg-deb -x "$deb" deb
runs "$work/deb/usr/bin/mesh" 'the .deb'
dpkg-deb -I "$deb" >info
like info 'Depends:.*adduser.*libc6' 'it says what it needs'
like info 'libmicrohttpd' 'its modules need too'
dpkg-deb -e "$deb" control
ok 'its scripts are for any sh' sh -n control/postinst
ok 'both' sh -n control/prerm
unit=deb/usr/lib/systemd/system/mesh.service
ok 'it brings a unit' test -s $unit
if command -v systemd-analyze >/dev/null; then
    sed "s,/usr/bin/mesh,$work/deb/usr/bin/mesh," $unit >mesh.service
    systemd-analyze verify --man=no ./mesh.service >verified 2>&1
    is "$(grep -F mesh.service verified)" '' 'which systemd takes without a word'
else
    skip 1 'there is no systemd-analyze'
fi

run 0 'it is installed for a wheel' cmake --install "$build" --prefix "$work/root"
run 0 'a wheel is made' python3 "$top/packaging/wheel.py" root .
wheel=$(cat "$out")
run 0 'an environment' python3 -m venv --without-pip venv
if python3 -m pip --version >/dev/null 2>&1; then
    run 0 'it is installed' python3 -m pip -q --python venv/bin/python install --no-deps \
        --no-index "$wheel"
    runs "$work/venv/bin/mesh" 'the wheel'
    run 0 'the package is there' venv/bin/python -c 'import mesh; print(mesh.__name__)'
else
    skip 4 'there is no pip'
fi
finish
