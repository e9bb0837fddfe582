#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_server
short_description: Take a server out of HAProxy without losing a call, and bring it back
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Speaks with a running HAProxy by its socket. What it sets lasts until the gateway is reloaded or restarted.
options:
  state:
    description:
      - V(seen) only tells what the gateway knows.
      - V(drained) gives the host no new call and waits until those under way have ended.
      - V(ready) waits until the gateway finds the host healthy, gives it calls again, and waits until it does.
    type: str
    choices: [seen, drained, ready]
    default: seen
  address:
    description: Address of the application host. Needed for all states but V(seen).
    type: str
    default: ""
  seconds:
    description: Seconds to wait. Calls that last longer than a drain do not make it fail; O(state=ready) fails.
    type: int
    default: 120
  alone:
    description: Whether a host may be drained although no other serves.
    type: bool
    default: false
  backend:
    description:
      - HAProxy's backend.
      - In V(door) the gateway itself is the one server, V(127.0.0.1). Drained, it says at C(/health/ready) that callers should be
        sent to another front door.
    type: str
    default: composer
  socket:
    description: HAProxy's socket, with level admin.
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Says whether the state would change.
    support: full
  diff_mode:
    description: The state is one word.
    support: none
"""

EXAMPLES = r"""
- name: No new calls for this host
  euconquisto.composer.gateway_server:
    state: drained
    address: "{{ host_address }}"
  delegate_to: edge1
"""

RETURN = r"""
servers:
  description: What the gateway knows of each application host.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name in HAProxy., type: str, returned: always}
    address: {description: Its address., type: str, returned: always}
    status: {description: "Such as UP, DOWN or DRAIN.", type: str, returned: always}
    sessions: {description: Calls under way., type: int, returned: always}
sessions:
  description: Calls of the host that were still under way.
  returned: when O(address) is given
  type: int
"""

import csv
import socket
import time

from ansible.module_utils.basic import AnsibleModule

ANSWER_SECONDS = 10
POLL_SECONDS = 0.5


def servers_of(statistics, addresses, backend):
    """Join `show stat` and `show servers state` of a backend."""
    of_name = {}
    for line in addresses.splitlines():
        words = line.split()
        if len(words) > 4 and words[1] == backend:
            of_name[words[3]] = words[4]
    rows = csv.DictReader(statistics.lstrip("# ").splitlines())
    return [
        {
            "name": row["svname"],
            "address": of_name.get(row["svname"], ""),
            "status": row["status"],
            "sessions": int(row["scur"] or 0),
        }
        for row in rows
        if row["pxname"] == backend and row["svname"] not in ("BACKEND", "FRONTEND")
    ]


def serves(server):
    """Whether it gets calls; one whose checks begin to fail ("UP 1/3") still does, and so does one that has no checks."""
    return server["status"].startswith(("UP", "no check"))


def healthy(server):
    """Whether its checks succeed, drained or not."""
    return server["status"] in ("UP", "DRAIN", "no check")


class Gateway:
    """A running HAProxy."""

    def __init__(self, module):
        self.module = module
        self.path = module.params["socket"]
        self.backend = module.params["backend"]

    def say(self, command):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(ANSWER_SECONDS)
                line.connect(self.path)
                line.sendall(f"{command}\n".encode())
                answer = b""
                while part := line.recv(65536):
                    answer += part
        except OSError as error:
            self.module.fail_json(
                msg=f"HAProxy does not answer at {self.path}: {error}. Without it no host can be taken out of service without "
                "losing calls. See `systemctl status haproxy`. Nothing was changed at this gateway."
            )
        return answer.decode(errors="replace")

    def servers(self):
        statistics, addresses = self.say("show stat"), self.say(f"show servers state {self.backend}")
        return servers_of(statistics, addresses, self.backend)

    def server(self, address):
        found = self.servers()
        for server in found:
            if server["address"] == address:
                return server
        known = ", ".join(f"{server['name']} ({server['address']})" for server in found)
        self.module.fail_json(
            msg=f"The backend {self.backend} of this gateway has no server {address}; it has {known or 'none'}. Bring it up to date with the "
            "play for the edge (--tags haproxy). Nothing was changed at this gateway."
        )

    def set_state(self, name, state):
        said = self.say(f"set server {self.backend}/{name} state {state}").strip()
        if said:
            self.module.fail_json(msg=f"HAProxy refuses to set {name} to {state}: {said}")

    def wait(self, address, until, deadline):
        """Look until it is so, at most until the deadline; return the last look."""
        while not until(server := self.server(address)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return server


def drain(gateway, address, seconds, alone):
    module = gateway.module
    server = gateway.server(address)
    others = [other for other in gateway.servers() if other["address"] != address]
    if not alone and not any(serves(other) for other in others):
        states = ", ".join(f"{other['name']} is {other['status']}" for other in others) or "there is no other"
        module.fail_json(
            msg=f"Without {server['name']} nobody would serve: {states}. Bring another application host into service first. "
            f"Nothing was changed at this gateway."
        )
    change = server["status"] not in ("DRAIN", "MAINT") and not server["status"].startswith("DOWN")
    if module.check_mode:
        return change, server
    gateway.set_state(server["name"], "drain")
    return change, gateway.wait(address, lambda one: one["sessions"] == 0, time.monotonic() + seconds)


def bring_back(gateway, address, seconds):
    module = gateway.module
    server = gateway.server(address)
    change = not serves(server)
    if module.check_mode:
        return change, server
    deadline = time.monotonic() + seconds
    server = gateway.wait(address, healthy, deadline)
    if healthy(server):
        gateway.set_state(server["name"], "ready")
        server = gateway.wait(address, serves, deadline)
    if not serves(server):
        module.fail_json(
            msg=f"This gateway does not find {server['name']} ready after {seconds} s; it says {server['status']}. It gets no "
            "calls. See `composer-mcp check --credentials /run/composer-secrets` on that host.",
            status=server["status"],
        )
    return change, server


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["seen", "drained", "ready"], "default": "seen"},
            "address": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 120},
            "alone": {"type": "bool", "default": False},
            "backend": {"type": "str", "default": "composer"},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
        },
        required_if=[("state", "drained", ["address"]), ("state", "ready", ["address"])],
        supports_check_mode=True,
    )
    state, address = module.params["state"], module.params["address"]
    gateway = Gateway(module)
    if state == "seen":
        module.exit_json(changed=False, servers=gateway.servers())
    if not address:
        module.fail_json(msg=f"state={state} needs the address of the application host.")
    if state == "drained":
        changed, server = drain(gateway, address, module.params["seconds"], module.params["alone"])
    else:
        changed, server = bring_back(gateway, address, module.params["seconds"])
    module.exit_json(changed=changed, servers=gateway.servers(), sessions=server["sessions"])


if __name__ == "__main__":
    main()
