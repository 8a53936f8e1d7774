#!/bin/sh
# Get a program that tests or benchmarks run: program.sh NAME PACKAGE...
#
# Where the system has none, packages of Debian or Ubuntu are unpacked into .venv, for this checkout
# alone: nothing is installed, no service starts, and nobody has to be root. Where that can't be
# done this says so and ends well: what needs the program says so again. It isn't tried again for a
# day, so that no run without a network waits for one.
set -u
name=$1
shift
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv
PATH=$venv/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v "$name" >/dev/null && exit 0

say() {
    echo "$*" >&2
}

by_hand="install it (Debian: apt-get install $name; macOS: brew install $name)"
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    say "$name can't be had here by itself: $by_hand"
    exit 0
fi
failed=$venv/.no-$name
if [ -n "$(find "$failed" -mtime -1 2>/dev/null)" ]; then
    say "$name could not be had within the last day: $by_hand, or try again: rm $failed && make $name"
    exit 0
fi
say "getting $name…"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

timed_out=
apt() { # [OPTION]... COMMAND [PACKAGE]
    [ -z "$timed_out" ] || return
    timeout 60 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=10 "$@" \
        </dev/null >/dev/null 2>&1
    [ $? -ne 124 ] || timed_out=yes # who waited that long once doesn't wait again
}

fetch() { # [OPTION]...
    for package in $packages; do
        apt "$@" download "$package" # not every release has each of them
    done
    ls ./*.deb >/dev/null 2>&1
}

packages=$*
# A fresh machine has no lists of packages: then with lists of our own.
mkdir -p lists/partial cache/archives/partial
own="-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache"
# shellcheck disable=SC2086
fetch || { apt $own update; fetch $own; }
for package in ./*.deb; do
    [ -e "$package" ] && dpkg-deb -x "$package" "$venv/programs"
done

program=$(find "$venv/programs" -path "*bin/$name" -type f 2>/dev/null | head -n 1)
if [ -n "$program" ]; then
    printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' \
        "$venv/programs/usr/lib/$(uname -m)-linux-gnu" "$program" >"$venv/bin/$name"
    chmod +x "$venv/bin/$name"
    "$venv/bin/$name" -v >/dev/null 2>&1
    [ $? -lt 126 ] && exit 0 # 127: a library is missing
    rm "$venv/bin/$name"
fi
touch "$failed"
say "$name can't be had here by itself: $by_hand"
