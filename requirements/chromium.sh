#!/bin/sh
# Get the browser that drives the pages in tests: Chromium, with the libraries that it needs.
#
# Where the system has none, Debian's packages (some 200 MB) are unpacked into .venv, for this
# checkout alone: nothing is installed and nobody has to be root. Where that can't be done (no
# network, or a release that has Chromium as a snap only) this says so and ends well: the tests are
# skipped and say so again. It isn't tried again for a day.
set -u
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv
PATH=$venv/bin:$PATH
command -v chromium >/dev/null && exit 0

failed=$venv/.no-chromium
give_up() {
    touch "$failed"
    echo "chromium can't be had here by itself ($1): install it (Debian: apt-get install chromium)," \
        "or try again: rm $failed && make chromium" >&2
    exit 0
}
[ -z "$(find "$failed" -mtime -1 2>/dev/null)" ] || give_up "it couldn't within the last day"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up "there is no apt-get"
echo "getting chromium…" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
mkdir -p lists/partial cache/archives/partial
lists=

apt() { # [OPTION]... COMMAND [PACKAGE]...
    # shellcheck disable=SC2086
    timeout 300 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=10 \
        -o Dir::Cache="$work/cache" $lists "$@" </dev/null 2>/dev/null
}

needed() {
    # As on a machine that has nothing yet; without what only a screen, a printer or the C library
    # (which is the system's) would need.
    apt -o Dir::State::status=/dev/null --simulate --no-install-recommends install chromium |
        awk '/^Inst (chromium|fontconfig-config|fonts|lib|xkb-data)/ {print $2}' |
        grep -vxE 'libc6|libgcc-s1|libgl1-mesa-dri|libllvm.*|libperl.*|libz3-4'
}

packages=$(needed)
if [ -z "$packages" ]; then # a fresh machine has no lists of packages: then with lists of our own
    lists="-o Dir::State::Lists=$work/lists"
    apt update
    packages=$(needed)
fi
[ -n "$packages" ] || give_up "there is no package of that name"
# shellcheck disable=SC2086
apt download $packages >/dev/null || give_up "it couldn't be fetched"

programs=$venv/programs/chromium
rm -rf "$programs"
mkdir -p "$programs"
for package in ./*.deb; do
    dpkg-deb -x "$package" "$programs"
done
libraries=$programs/usr/lib/$(uname -m)-linux-gnu:$programs/lib/$(uname -m)-linux-gnu
cat >"$venv/bin/chromium" <<END
#!/bin/sh
export FONTCONFIG_PATH="$programs/etc/fonts"
LD_LIBRARY_PATH="$libraries" exec "$programs/usr/lib/chromium/chromium" "\$@"
END
chmod +x "$venv/bin/chromium"
"$venv/bin/chromium" --version >/dev/null 2>&1 && exit 0
rm -rf "$venv/bin/chromium" "$programs"
give_up "its packages don't run here"
