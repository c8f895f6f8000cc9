#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, runs no program of ours
# The model of the sync protocol, in its short form: three searches that must find nothing and three
# planted faults that must be found. `make model` has all of them.
set -u
. "$(dirname "$0")/tap.sh"
if ! command -v spin >/dev/null 2>&1; then
	echo '1..0 # SKIP no spin on this machine; scripts/deps model installs it'
	exit 0
fi
"$top/docs/model/run" --short --out "$tmp/model"
