-- The audit trail: one chain for all processes of the platform. Only adds; a release that does not know the tables
-- records nothing.
--
-- The application's role reads both tables and appends through the function, and can do nothing else (the grants
-- are made with those of the other tables). What it may not do, nobody can do who has stolen its password: change
-- an entry, remove one, or take the head back to an earlier place.

create table audit (
    number bigint primary key,
    -- These repeat what stands in the line, to search by. Verification compares them.
    at timestamptz not null,
    tenant text not null,
    actor text not null,
    action text not null,
    outcome text not null,
    -- The text that was hashed: JSON, and kept as a text because any other form of it has another hash.
    line text not null,
    -- The name of the key with which the hash was made.
    key text not null,
    hash bytea not null
);

-- Entries come nearly in the order of their times.
create index audit_at on audit using brin (at);
create index audit_tenant on audit (tenant, number);

create table audit_mark (
    -- head: the last entry. anchor: the last entry that was archived and removed.
    name text primary key check (name in ('head', 'anchor')),
    number bigint not null,
    hash bytea not null,
    key text not null,
    seal bytea not null
);

insert into audit_mark
select name, 0, decode(repeat('00', 32), 'hex'), '', '' from unnest(array['head', 'anchor']) as name;

comment on table audit is 'who did what, when, from where; hash-chained, see docs/security.md';
comment on table audit_mark is 'sealed beginning and end of the chain in audit';

-- Append entries, unless somebody else has appended since the head was read; then return false.
-- One statement: a process that is frozen in the middle holds nobody up.
create function audit_append(
    p_number bigint, p_previous bytea, p_lines text[], p_hashes bytea[], p_key text, p_seal bytea
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update public.audit_mark
        set number = p_number + cardinality(p_lines), hash = p_hashes[cardinality(p_hashes)], key = p_key, seal = p_seal
        where name = 'head' and number = p_number and hash = p_previous and cardinality(p_lines) > 0;
    if not found then
        return false;
    end if;
    insert into public.audit (number, at, tenant, actor, action, outcome, line, key, hash)
    select p_number + entry.place, told.at, told.tenant, told.actor, told.action, told.outcome,
           entry.line, p_key, entry.hash
    from unnest(p_lines, p_hashes) with ordinality as entry(line, hash, place)
    cross join lateral json_to_record(entry.line::json)
        as told(at timestamptz, tenant text, actor text, action text, outcome text);
    return true;
end
$$;
revoke execute on function audit_append from public;
