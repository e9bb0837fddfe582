-- Which job changes a composition at present. One at a time: Composer cannot compare and save in one step, so two
-- that have read the same version would both find it unchanged. Only adds; a release that does not know the table
-- changes compositions as it did.

create table composition_change (
    -- SHA-256 of the uid, as in composition; not a reference, because nobody's compositions are changed as well.
    key bytea primary key,
    -- Holds the composition only while it runs: one that died is taken over under the same id, one that ended
    -- has let go, whether its worker could say so or not.
    job_id uuid not null,
    began_at timestamptz not null default clock_timestamp()
);

comment on table composition_change is 'the job that changes a composition at present; one row per composition';
