#!/bin/sh
# Names a Python that can carry the environment, or says in one sentence what is missing.
# PYTHON=/path/to/python3 in the environment is taken as the only candidate.
set -eu

for python in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
    command -v "$python" >/dev/null 2>&1 || continue
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "outstation: $python cannot make a virtual environment because its ensurepip module is" \
            "missing; on Debian and Ubuntu 'apt install python3-venv' brings it." >&2
        exit 1
    fi
    echo "$python"
    exit 0
done
echo "outstation: Python 3.11 or newer is needed and none of" \
    "${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14} is;" \
    "install one, or name it: make PYTHON=/path/to/python3 ..." >&2
exit 1
