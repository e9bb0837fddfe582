"""Runs on a lab host: logs in to OpenBao with an identity and tells what it may read, as JSON.

python3 identity.py PATH … < identity.json
"""

import json
import sys
from pathlib import Path

import hvac
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

server = json.loads(Path("/etc/composer-secrets/fetch.json").read_text(encoding="utf-8"))
identity = json.load(sys.stdin)
client = hvac.Client(url=server["url"], verify=server["authority"], timeout=10)
try:
    client.auth.approle.login(role_id=identity["role_id"], secret_id=identity["secret_id"])
except (Forbidden, InvalidRequest) as refusal:
    print(json.dumps({"login": False, "reason": str(refusal)}))
    sys.exit()
allowed = {}
for path in sys.argv[1:]:
    try:
        client.read(f"{server['mount']}/data/{path}")
        allowed[path] = True
    except Forbidden:
        allowed[path] = False
    except InvalidPath:
        allowed[path] = True
try:
    client.write_data(f"{server['mount']}/data/{sys.argv[1]}", data={"data": {"value": "changed"}})
    writes = True
except Forbidden:
    writes = False
client.logout(revoke_token=True)
print(json.dumps({"login": True, "allowed": allowed, "writes": writes}))
