#!/bin/sh
# Get Mermaid, which reads the diagrams of the docs in a test: one file of its npm package, for this
# checkout alone. Where that can't be done this says so and ends well: the test says so again.
set -u
version=12.3.0
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv
kept=$venv/share/mermaid-$version.min.js
[ -e "$kept" ] && exit 0
if ! command -v npm >/dev/null; then
    echo "Mermaid can't be had here: it takes npm (Debian: apt-get install npm)" >&2
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "getting mermaid…" >&2
if (cd "$work" && timeout 120 npm pack --silent "mermaid@$version" >/dev/null 2>&1 && tar xzf mermaid-*.tgz); then
    mkdir -p "$venv/share" && mv "$work/package/dist/mermaid.min.js" "$kept"
else
    echo "Mermaid can't be had here: npm pack mermaid@$version fails" >&2
fi
