#!/bin/sh
# Get a program that tests or benchmarks run: program.sh NAME PACKAGE...
#
# Where the system has none, packages of Debian or Ubuntu are unpacked into .venv, for this checkout
# alone: nothing is installed, no service starts, and nobody has to be root. Where that can't be
# done this says so and ends well: what needs the program says so again.
set -u
name=$1
shift
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv
PATH=$venv/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v "$name" >/dev/null && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit

apt() { # [OPTION]... COMMAND [PACKAGE]
    timeout 60 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=10 "$@" \
        </dev/null >/dev/null 2>&1
}

fetch() { # [OPTION]...
    for package in $packages; do
        apt "$@" download "$package" # not every release has each of them
    done
    ls ./*.deb >/dev/null 2>&1
}

packages=$*
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
    # A fresh machine has no lists of packages: then with lists of our own.
    mkdir -p lists/partial cache/archives/partial
    own="-o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache"
    # shellcheck disable=SC2086
    fetch || { apt $own update; fetch $own; }
fi
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
echo "$name can't be had here by itself: install it (Debian: apt-get install $name; macOS: brew install $name)"
