#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Three nodes are upgraded one after the other while a run goes on, and one goes back:
# neighbouring versions work side by side. One that is two versions ahead is told so.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

built=$(dirname "$MESH")
for version in next far; do
    [ -x "$built/mesh-$version" ] || {
        skip 1 "there is no $built/mesh-$version"
        finish
    }
done
bin=$work/bin
mkdir "$bin" "$work/far"
for file in "$built"/mesh-*.so; do
    ln -s "$file" "$bin/" && ln -s "$file" "$work/far/"
done
cp "$built/mesh-far" "$work/far/mesh"
old=$("$MESH" --version)

install_mesh() # VERSION
{
    cp "$built/$1" "$bin/new" && mv "$bin/new" "$bin/mesh"
}
install_mesh mesh
MESH=$bin/mesh

traced()
{
    [ "$(grep -c ^begins "$work/trace")" -ge "$1" ]
}

versions() # I: as node I sees all
{
    ask "$1" GET /v1/members | of '[.members[] | select(.state == "alive") | "\(.name) \(.version)"] | sort | join(", ")'
}

sees() # I VERSIONS
{
    [ "$(versions "$1")" = "$2" ]
}

trace_flow 90 0.5
mesh_start 3 --cpu 2
v=${old#mesh }
is "$(versions 1)" "n1 $v, n2 $v, n3 $v" 'all are of one version'
on 2 submit "$work/flow/trace.mf" --json >submit.out 2>submit.err || note_file submit.err
id=$(of .run <submit.out)
wait_for 'all nodes work' traced 8

install_mesh mesh-next
upgraded=
for i in 1 2 3; do
    running=$(grep -c ^begins "$work/trace")
    run 0 "node $i is upgraded" on "$i" restart
    like "$out" "is mesh 99.1 now .it was $v." 'and says so'
    upgraded=$upgraded$i
    all=
    for k in 1 2 3; do
        case $upgraded in
        *$k*) all="$all${all:+, }n$k 99.1" ;;
        *) all="$all${all:+, }n$k $v" ;;
        esac
    done
    for k in 1 2 3; do
        wait_for "node $k sees it" sees "$k" "$all"
    done
    wait_for 'the run goes on' traced $((running + 6))
done

install_mesh mesh
running=$(grep -c ^begins "$work/trace")
run 0 'node 2 goes back' on 2 restart
wait_for 'which all see' sees 3 "n1 99.1, n2 $v, n3 99.1"
wait_for 'the run ends' has_ended "$id" 2
is "$(ask 3 GET "/v1/runs/$id" | of .outcome)" ok 'it ends well'
is "$(grep -c ^begins "$work/trace")" 90 'no task was started twice'
checked "$id" 90 3

# ---- two versions apart ----

token=$(on 1 invite --roles worker --uses 2 --expires 1h 2>invite.err)
MESH=$work/far/mesh
mesh_node 4 --join "$token"
told()
{
    grep -q 'do not understand each other: upgrade one version after the other' "$work/n$1.err"
}
wait_for 'a node two versions ahead is told' told 4
refused_it()
{
    grep -Eq 'peer.refused .*n4 of mesh 99.2 .protocol 2. and mesh .* do not understand' "$work/n2.err"
}
wait_for 'and so is who refused it' refused_it && pass 'and so is who refused it'
MESH=$bin/mesh
like "$work/n4.err" 'protocol' 'with the versions of both'
knows_four()
{
    [ "$(mesh_alive 2)" = 4 ]
}
wait_for 'its neighbours know it' knows_four && pass 'its neighbours know it'

for i in 1 2 3 4; do
    mesh_end "$i"
done
nothing_left 'no process is left'
finish
