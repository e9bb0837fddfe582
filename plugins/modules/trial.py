#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: trial
short_description: Make a change that could lock the operator out, and confirm it over a new connection
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Calls C(<program> try <seconds>) on the host. When that answers C(on trial), the connection is given up, a new one is made,
    and C(<program> confirm) is called over it.
  - When no new connection confirms within the limit, the program restores the old state by itself. The task then waits until
    the host lets it in again, for two minutes at most, and fails with what C(<program> status) says.
  - The program is expected to start its clock before it changes anything, and to come back with the old state after a restart.
options:
  program:
    description:
      - A program on the host that knows C(try SECONDS), which prints V(on trial) or V(unchanged), C(confirm), which fails when
        nothing is on trial, and C(status), which says in a sentence what is in force and why.
    type: path
    required: true
  seconds:
    description: Seconds after which the host restores the old state unless the new one was confirmed.
    type: int
    default: 45
  what:
    description: What is changed, for messages.
    type: str
    required: true
attributes:
  check_mode:
    description: Nothing is tried.
    support: full
  diff_mode:
    description: The files that a program puts in force are shown by the task that writes them.
    support: none
"""

EXAMPLES = r"""
- name: Try the ruleset and confirm it over a new connection
  euconquisto.composer.trial:
    program: /usr/local/sbin/composer-firewall
    what: firewall
    seconds: 45
"""

RETURN = r"""
state:
  description: V(unchanged), V(confirmed) or V(restored).
  returned: unless refused or unreachable
  type: str
"""
