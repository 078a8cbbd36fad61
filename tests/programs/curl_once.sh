#!/bin/sh
# Give one curl all the URLs: sh curl_once.sh URL N
set -eu
for _ in $(seq "$2"); do
  printf 'url = "%s"\n' "$1"
done | curl -sSf -w '\n' --config -
