-- Settings that were changed while processes ran. Only adds; a release that does not know them goes on without.

create table runtime_version (
    -- One row: whoever changes something takes the next number, if nobody else has taken it.
    one boolean primary key default true check (one),
    version bigint not null
);

insert into runtime_version (version) values (0);

create table runtime_setting (
    key text primary key,
    -- Null: unset again.
    value json,
    version bigint not null,
    changed_at timestamptz not null default clock_timestamp(),
    changed_by text not null
);

comment on table runtime_setting is 'the newest change of each setting that may change at run time';
comment on table runtime_version is 'the number of the newest change';
