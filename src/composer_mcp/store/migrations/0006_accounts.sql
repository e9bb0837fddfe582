-- Who has an account here, and which tokens are refused before they expire.

create table account (
    name text primary key,
    kind text not null constraint account_kind check (kind in ('user', 'service')),
    -- Together they name one caller: the subject of an issuer's tokens.
    issuer text not null,
    subject text not null,
    tenant text not null,
    roles text[] not null,
    enabled boolean not null default true,
    note text not null default '',
    -- Tokens that were issued before are refused.
    tokens_from timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    constraint account_caller unique (issuer, subject)
);

create table token_revocation (
    issuer text not null,
    token_id text not null,
    note text not null default '',
    revoked_at timestamptz not null default clock_timestamp(),
    -- The token is of no use from then on, and the row neither.
    expires_at timestamptz not null,
    primary key (issuer, token_id)
);

-- One row. Whoever changes one of the two tables counts it up first, so that changes come one after another and
-- every process sees that there was one.
create table access_version (
    single boolean primary key default true check (single),
    version bigint not null
);
insert into access_version (version) values (1);

comment on table account is 'people and services with roles; those without have what their tokens say, if that is allowed';
comment on table token_revocation is 'tokens that are refused although their issuer signed them';
