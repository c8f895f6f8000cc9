# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by the tests of the house: $top, a directory $tmp that goes away, and ok. tests/lib.sh has
# more, but wants root and a kernel; these tests want neither.
top=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0
ok() { # STATUS NAME: what the last command wrote to $tmp/out is shown if it failed
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/out"
	fi
}
