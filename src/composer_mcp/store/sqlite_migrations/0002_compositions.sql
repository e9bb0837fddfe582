-- The register of compositions of a server that runs alone; the columns mean what they mean on PostgreSQL.

create table composition (
    key blob primary key,
    tenant text not null,
    uid text not null,
    title text not null,
    description text not null,
    author text not null,
    -- JSON lists.
    tags text not null,
    folded_tags text not null,
    folded text not null,
    created_at real not null,
    updated_at real not null
) strict;

create index composition_newest on composition (tenant, updated_at desc);
