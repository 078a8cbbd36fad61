#!/bin/sh
# Start curl for each request: sh curl_loop.sh URL N
set -eu
for _ in $(seq "$2"); do
  curl -sSf -w '\n' "$1"
done
