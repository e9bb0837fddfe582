-- The audit trail of a server that runs alone; it means what it means on PostgreSQL. There is one user, to whom
-- the key belongs as well: the chain shows damage and clumsy changes, not those of its owner.
-- Times are microseconds since 1970: what is compared with the line must be exact.

create table audit (
    number integer primary key,
    at integer not null,
    tenant text not null,
    actor text not null,
    action text not null,
    outcome text not null,
    line text not null,
    key text not null,
    hash blob not null
) strict;

create index audit_at on audit (at);

create table audit_mark (
    name text primary key check (name in ('head', 'anchor')),
    number integer not null,
    hash blob not null,
    key text not null,
    seal blob not null
) strict;

insert into audit_mark values ('head', 0, zeroblob(32), '', x''), ('anchor', 0, zeroblob(32), '', x'');
