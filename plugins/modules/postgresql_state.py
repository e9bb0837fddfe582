#!/usr/bin/python
# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_state
short_description: Bring one PostgreSQL database, its two roles and their privileges to a declared state
version_added: "0.1.0"
author: EuConquisto Composer contributors (@euconquisto)
description:
  - Runs on the database host as root and speaks to C(psql) through its standard input as the user C(postgres).
  - Passwords are read on the host from files. Only SCRAM verifiers made from them reach the server, so that no
    statement, log, argument or environment ever holds a password. A changed password is noticed.
  - One role owns the database and makes tables; the other reads and writes rows of the tables that the owner makes
    from then on. Tables that are there already are left alone.
  - Fails when PostgreSQL reports an error in its configuration files, which it otherwise only logs.
options:
  database:
    description: Name of the database.
    type: str
    required: true
  owner:
    description: Role that owns it.
    type: str
    required: true
  user:
    description: Role that works with the rows.
    type: str
    required: true
  passwords:
    description: Where the passwords of the roles are.
    type: list
    elements: dict
    required: true
    suboptions:
      role:
        description: Name of the role.
        type: str
        required: true
      file:
        description: File on the host that holds the password and nothing else.
        type: path
        required: true
  wait:
    description: Seconds to wait for the server to accept connections.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
    description: Reads only. Where PostgreSQL is not running yet it reports that everything would be made.
  diff_mode:
    support: full
    description: Names what differs, never a password or verifier.
"""

EXAMPLES = r"""
- name: The application's database
  euconquisto.composer.postgresql_state:
    database: composer
    owner: composer_owner
    user: composer
    passwords:
      - role: composer_owner
        file: /run/composer-secrets/database-owner-password
      - role: composer
        file: /run/composer-secrets/database-password
"""

RETURN = r""" # """

import json
import re
import shutil
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils import scram

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
PSQL = ["runuser", "-u", "postgres", "--", "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]

ROLES = """
select coalesce(json_object_agg(rolname, json_build_object('password', rolpassword, 'login', rolcanlogin)), '{{}}')
from pg_authid where rolname in ('{owner}', '{user}');
"""
DATABASES = """
select json_build_object(
  'owner', (select pg_get_userbyid(datdba) from pg_database where datname = '{database}'),
  'public', exists (
    select from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl
    where datname = '{database}' and acl.grantee = 0),
  'connect', (
    select has_database_privilege('{user}', oid, 'connect') from pg_database where datname = '{database}'
    and exists (select from pg_roles where rolname = '{user}')),
  'errors', (
    select coalesce(json_agg(sourcefile || ':' || sourceline || ': ' || error), '[]')
    from pg_file_settings where error is not null),
  'access_errors', (
    select coalesce(json_agg('pg_hba.conf:' || line_number || ': ' || error), '[]')
    from pg_hba_file_rules where error is not null));
"""
# Tables that are there already are left alone: the application's own migrations narrow some of their privileges.
PRIVILEGES = """
select json_build_object(
  'usage', has_schema_privilege('{user}', 'public', 'usage'),
  'public', exists (
    select from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl
    where nspname = 'public' and acl.grantee = 0),
  'defaults', (
    select coalesce(json_agg(distinct d.defaclobjtype::text || ':' || lower(acl.privilege_type)), '[]')
    from pg_default_acl d, aclexplode(d.defaclacl) acl
    where d.defaclrole = '{owner}'::regrole and d.defaclnamespace = 'public'::regnamespace
    and acl.grantee = '{user}'::regrole));
"""
DEFAULTS = {"r:select", "r:insert", "r:update", "r:delete", "S:select", "S:usage"}
GRANT = """
revoke all on schema public from public;
grant usage on schema public to {user};
alter default privileges for role {owner} in schema public
  grant select, insert, update, delete on tables to {user};
alter default privileges for role {owner} in schema public grant select, usage on sequences to {user};
"""


class PostgresError(Exception):
    """The server refused something or is not there."""


class Server:
    """PostgreSQL on this host, spoken to as its superuser."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def run(self, sql: str, database: str = "postgres") -> str:
        """Run statements given on standard input; errors are told without the statement, which could be quoted."""
        script = "\\set VERBOSITY terse\n" + sql
        code, out, err = self.module.run_command([*PSQL, "-d", database], data=script, cwd="/")
        if code != 0:
            raise PostgresError(" ".join(err.split()) or f"psql ended with status {code}")
        return out.strip()

    def query(self, sql: str, database: str = "postgres") -> t.Any:
        """Run a query that gives one JSON value."""
        return json.loads(self.run(sql, database))

    def wait(self, limit: int) -> None:
        """Return once the server answers."""
        deadline = time.monotonic() + limit
        while True:
            try:
                self.run("select 1;")
                return
            except PostgresError as problem:
                if time.monotonic() >= deadline:
                    raise PostgresError(
                        f"PostgreSQL did not accept a connection within {limit} s: {problem}. Look at "
                        "`pg_lsclusters` and the end of /var/log/postgresql/*.log. Nothing was changed."
                    ) from problem
            time.sleep(0.5)


class State:
    """Compares what is declared with what is there and applies the difference."""

    def __init__(self, server: Server, params: dict[str, t.Any], check_mode: bool) -> None:
        self.server = server
        self.check_mode = check_mode
        self.names = {key: params[key] for key in ("database", "owner", "user")}
        self.passwords = {item["role"]: read_password(Path(item["file"])) for item in params["passwords"]}
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}

    def _differs(self, what: str, before: str, after: str) -> bool:
        self.before[what], self.after[what] = before, after
        return not self.check_mode

    def apply(self) -> None:
        """Everything, in the order in which parts need one another."""
        self._roles()
        self._database()
        self._privileges()

    def _roles(self) -> None:
        present = self.server.query(ROLES.format(**self.names))
        for role, password in self.passwords.items():
            if role not in present:
                if self._differs(f"role {role}", "absent", "present"):
                    self.server.run(f"create role {role} login password '{scram.make(password)}';")
            elif not scram.matches(present[role]["password"], password):
                if self._differs(f"password of {role}", "another", "as in its file"):
                    self.server.run(f"alter role {role} login password '{scram.make(password)}';")
            elif not present[role]["login"] and self._differs(f"login of {role}", "forbidden", "allowed"):
                self.server.run(f"alter role {role} login;")

    def _database(self) -> None:
        present = self.server.query(DATABASES.format(**self.names))
        errors = present["errors"] + present["access_errors"]
        if errors:
            raise PostgresError(
                f"PostgreSQL's configuration has errors: {'; '.join(errors)}. It runs on with the earlier settings. "
                "Correct the variables of the role postgresql and run again."
            )
        database, owner, user = self.names["database"], self.names["owner"], self.names["user"]
        if present["owner"] is None:
            if self._differs(f"database {database}", "absent", f"owned by {owner}"):
                self.server.run(
                    f"create database {database} owner {owner} encoding 'UTF8' template template0;"
                )
        elif present["owner"] != owner and self._differs(f"owner of {database}", present["owner"], owner):
            self.server.run(f"alter database {database} owner to {owner};")
        open_to_others = present["public"] or not present["connect"]
        if open_to_others and self._differs(
            f"connecting to {database}", "as installed", f"{owner} and {user}"
        ):
            self.server.run(f"revoke all on database {database} from public;")
            self.server.run(f"grant connect on database {database} to {user};")

    def _privileges(self) -> None:
        database, user = self.names["database"], self.names["user"]
        if self.check_mode and (self.before.get(f"database {database}") or self.before.get(f"role {user}")):
            self._differs(f"privileges of {user}", "none", "rows of its tables")
            return
        present = self.server.query(PRIVILEGES.format(**self.names), database)
        now = present["usage"] and not present["public"]
        later = set(present["defaults"]) >= DEFAULTS
        if not (now and later) and self._differs(f"privileges of {user}", "incomplete", "rows of its tables"):
            self.server.run("begin;" + GRANT.format(**self.names) + "commit;", database)


def read_password(path: Path) -> str:
    """Return the password in a file."""
    try:
        password = path.read_text()
    except FileNotFoundError:
        raise PostgresError(
            f"{path} is missing, so the database's password is not known. composer-secrets.service makes it from "
            "OpenBao: look at `systemctl status composer-secrets`. Nothing was changed."
        ) from None
    if not password:
        raise PostgresError(f"{path} is empty; an empty password is not set. Nothing was changed.")
    return password


def main() -> None:
    """Entry point."""
    item = {"role": {"type": "str", "required": True}, "file": {"type": "path", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "database": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            # The files' paths, not the passwords.
            "passwords": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": item,
                "no_log": False,
            },
            "wait": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    names = [
        params["database"],
        params["owner"],
        params["user"],
        *(item["role"] for item in params["passwords"]),
    ]
    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        module.fail_json(
            msg=f"{', '.join(wrong)}: names may have lower-case letters, digits and underscores. Nothing was changed."
        )
    server = Server(module)
    if module.check_mode and not is_running(server):
        module.exit_json(changed=True, msg="PostgreSQL is not running yet: everything would be made.")
    state = None
    try:
        server.wait(params["wait"])
        state = State(server, params, module.check_mode)
        state.apply()
    except PostgresError as problem:
        done = bool(state and state.after) and not module.check_mode
        module.fail_json(msg=str(problem), changed=done)
    module.exit_json(changed=bool(state.after), diff={"before": state.before, "after": state.after})


def is_running(server: Server) -> bool:
    """Whether there is a server to ask at all."""
    if not shutil.which("psql"):
        return False
    try:
        server.run("select 1;")
    except PostgresError:
        return False
    return True


if __name__ == "__main__":
    main()
