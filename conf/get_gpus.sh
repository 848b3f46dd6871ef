#!/usr/bin/env bash
# Tells Spark which GPUs this host has, in the form that it expects: {"name": "gpu", "addresses": ["0", "1"]}.
# Spark runs it on every worker (spark.worker.resource.gpu.discoveryScript) or executor; it must be executable.
# The addresses are nvidia-smi's numbers, which are in PCI bus order: sparkxlmr sets CUDA_DEVICE_ORDER to match.
set -euo pipefail
addresses=$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)
echo "{\"name\": \"gpu\", \"addresses\": [$addresses]}"
