-- What browsers keep: the state after a login, and what was seen when a job failed.

create table login_snapshot (
    tenant text primary key,
    -- Sealed by the worker with a key that is not in this database; see docs/decisions/0025.
    sealed bytea not null constraint login_snapshot_size check (octet_length(sealed) <= 262144),
    expires_at timestamptz not null
);

comment on table login_snapshot is 'sealed browser state after a login to Composer; one row per tenant';

create table job_evidence (
    job_id uuid primary key references job (id) on delete cascade,
    epoch integer not null,
    taken_at timestamptz not null default clock_timestamp(),
    -- Texts and addresses; json, not jsonb: whatever a page said must be kept as it was said.
    seen json not null constraint job_evidence_seen_size check (octet_length(seen::text) <= 131072),
    picture bytea constraint job_evidence_picture_size check (octet_length(picture) <= 524288)
);

comment on table job_evidence is 'what a browser showed when a job failed, for operators; deleted with the job';
