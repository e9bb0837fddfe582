# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module that speaks to OpenBao documents alike; the options stand in module_utils/openbao."""

from __future__ import annotations


class ModuleDocFragment:
    """The connection, and the administrative login for those that change the server."""

    DOCUMENTATION = r"""
options:
  url:
    description: Address of the server. Only https is spoken.
    type: str
    required: true
  ca_path:
    description: Certificate of the authority that the server's certificate must descend from.
    type: path
    required: true
  wait:
    description: Seconds to wait for the server to be unsealed and for the login to exist.
    type: int
    default: 60
"""

    ADMINISTRATOR = r"""
options:
  username:
    description: Name of the administrative login.
    type: str
    default: provisioner
  password:
    description: Password of the administrative login.
    type: str
    required: true
"""
