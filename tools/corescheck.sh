#!/usr/bin/env bash
# Runs in a container of Debian 13: test.sh LOCK TARBALL. ansible-test wants a folder of a certain name.
set -euo pipefail
lock=$1
tarball=$2
export HOME=/root LANG=C.UTF-8

python3 -m venv /opt/core
/opt/core/bin/pip install --quiet --require-hashes -r "$lock"
# ansible-test and its environments find nothing but these.
export PATH=/opt/core/bin:/usr/bin:/bin
ansible-galaxy collection install "$tarball" -p /opt/tree --no-deps --force >/dev/null

# ansible-test fetches an installer of pip from a host of its own. Python carries pip; the names are those that
# ansible-core 2.19, and 2.20 and 2.21, look for before they fetch.
mkdir -p /root/.ansible/test/cache
for name in get_pip_24_2.py get_pip_25_2.py; do
    cat >"/root/.ansible/test/cache/$name" <<'STUB'
import ensurepip
import os
import subprocess
import sys

ensurepip.bootstrap()
os.environ.pop("GET_PIP", None)
trust = ["--cert", "/etc/ssl/certs/ca-certificates.crt"]
words = [word for word in sys.argv[1:] if not word.startswith("--no-")]
raise SystemExit(subprocess.call([sys.executable, "-m", "pip", "install", "-q", *trust, *words]))
STUB
done

cd /opt/tree/ansible_collections/euconquisto/composer
status=0
ansible-test sanity --venv --python default --color no || status=1
ansible-test units --venv --python default --color no || status=1
exit "$status"
