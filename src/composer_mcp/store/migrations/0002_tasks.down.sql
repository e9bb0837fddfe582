-- loses: jobs that were cancelled or wait for an answer, which become failed ones: select count(*) from job where state in ('cancelled', 'input_required')
-- forgets: job.updated_at, job.owner, job.held_at

-- The older release knows neither state. What waited can be called again; what was cancelled stays ended.
update job set
    error = coalesce(error, jsonb_build_object(
        'code', 'internal', 'message', 'The job was given up when an older release was restored.',
        'remedy', 'Repeat the call.', 'retryable', true, 'details', '{}'::jsonb
    )),
    finished_at = coalesce(finished_at, clock_timestamp()),
    state = 'failed'
where state in ('cancelled', 'input_required');

drop table composition;

create or replace function job_submit(
    p_tenant text,
    p_key text,
    p_kind text,
    p_arguments json,
    p_hash text,
    p_class smallint,
    p_cost integer,
    p_patience interval,
    p_tenant_limit integer,
    p_total_limit integer,
    p_correlation_id text
) returns table (outcome text, job_id uuid, job_kind text, job_generation integer, job_priority integer, waiting integer)
language plpgsql as $$
#variable_conflict use_column
declare
    old job;
    waiting_jobs integer;
    head bigint;
    own bigint;
    new_tag bigint;
    new_priority integer;
begin
    -- Held until commit: calls of one tenant are accepted one after another, so that a key is never
    -- used twice and the limit is exact.
    insert into tenant_tag as t (tenant, class, tag) values (p_tenant, p_class, 0)
        on conflict (tenant, class) do update set tag = t.tag
        returning t.tag into own;

    select * into old from job where tenant = p_tenant and idempotency_key = p_key;
    if found then
        if old.arguments_hash <> p_hash then
            return query select 'key_reused', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
        if old.state <> 'failed' or not coalesce((old.error ->> 'retryable')::boolean, false) then
            return query select 'existing', old.id, old.kind, old.generation, old.priority, 0;
            return;
        end if;
    end if;

    select count(*) into waiting_jobs
        from (select 1 from job where state = 'queued' and tenant = p_tenant limit p_tenant_limit) w;
    if waiting_jobs >= p_tenant_limit then
        return query select 'tenant_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;
    select count(*) into waiting_jobs from (select 1 from job where state = 'queued' limit p_total_limit) w;
    if waiting_jobs >= p_total_limit then
        return query select 'queue_full', null::uuid, p_kind, 0, 0, waiting_jobs;
        return;
    end if;

    select min(fairness_tag) into head from job where state = 'queued' and class = p_class;
    if head is null then
        select max(tag) into head from tenant_tag where class = p_class;
    end if;
    new_tag := greatest(own, head) + p_cost;
    -- PgQueuer runs the highest priority first; 700 million tags fit into one class.
    new_priority := -(p_class * 700000000 + least(new_tag, 699999999));
    update tenant_tag set tag = new_tag where tenant = p_tenant and class = p_class;

    if old.id is null then
        return query
            insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                             correlation_id, deadline)
            values (p_tenant, p_key, p_kind, p_arguments, p_hash, p_class, new_tag, new_priority,
                    p_correlation_id, clock_timestamp() + p_patience)
            returning 'created', id, kind, generation, priority, waiting_jobs;
    else
        return query
            update job set state = 'queued', error = null, progress = 0, progress_message = '', attempts = 0,
                           generation = generation + 1, fairness_tag = new_tag, priority = new_priority,
                           correlation_id = p_correlation_id, finished_at = null,
                           deadline = clock_timestamp() + p_patience
            where id = old.id
            returning 'requeued', id, kind, generation, priority, waiting_jobs;
    end if;
end
$$;

drop function job_enqueue(uuid, integer, text, integer);

create index job_queued_by_tenant on job (tenant) where state = 'queued';
drop index job_waiting_by_tenant;
drop index job_asking;

alter table job reset (fillfactor);
alter table job
    drop column updated_at,
    drop column owner,
    drop column held_at,
    drop column input_requests,
    drop column input_responses,
    drop column input_deadline;

alter table job drop constraint job_state;
alter table job add constraint job_state check (state in ('queued', 'running', 'succeeded', 'failed'));
