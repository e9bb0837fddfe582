-- Settings that were changed while the server ran; the columns mean what they mean on PostgreSQL.

create table runtime_version (
    one integer primary key default 1 check (one = 1),
    version integer not null
) strict;

insert into runtime_version (version) values (0);

create table runtime_setting (
    key text primary key,
    value text,
    version integer not null,
    changed_at real not null,
    changed_by text not null
) strict;
