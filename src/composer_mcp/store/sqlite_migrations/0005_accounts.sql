-- Accounts and revoked tokens of a server that runs alone; the columns mean what they mean on PostgreSQL.

create table account (
    name text primary key,
    kind text not null check (kind in ('user', 'service')),
    issuer text not null,
    subject text not null,
    tenant text not null,
    -- A JSON list.
    roles text not null,
    enabled integer not null default 1,
    note text not null default '',
    tokens_from real,
    created_at real not null,
    changed_at real not null,
    unique (issuer, subject)
) strict;

create table token_revocation (
    issuer text not null,
    token_id text not null,
    note text not null default '',
    revoked_at real not null,
    expires_at real not null,
    primary key (issuer, token_id)
) strict;

create table access_version (
    single integer primary key check (single = 1),
    version integer not null
) strict;
insert into access_version (single, version) values (1, 1);
