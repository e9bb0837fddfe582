-- What browsers keep: the state after a login, and what was seen when a job failed.

create table login_snapshot (
    tenant text primary key,
    -- Sealed with a key that is not in this database.
    sealed blob not null check (length(sealed) <= 262144),
    expires_at real not null
) strict;

create table job_evidence (
    job_id text primary key references job (id) on delete cascade,
    epoch integer not null,
    taken_at real not null,
    seen text not null check (length(seen) <= 131072),
    picture blob check (length(picture) <= 524288)
) strict;
