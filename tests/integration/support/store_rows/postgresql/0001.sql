insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority, state,
                 result, error, epoch, attempts, correlation_id, created_at, deadline, first_started_at, started_at,
                 finished_at)
values
    ('00000000-0000-0000-0000-000000000001', 'school', 'key-one', 'get_composition', '{"z": 1, "a": 2}', 'h1', 1, 10,
     -700000010, 'queued', null, null, 0, 0, 'c1', '2026-01-02T03:04:05Z', '2026-01-02T03:09:05Z', null, null, null),
    ('00000000-0000-0000-0000-000000000002', 'school', 'key-two', 'get_composition', '{}', 'h2', 1, 20,
     -700000020, 'succeeded', '{"title": "Fotossíntese"}', null, 1, 1, 'c2', '2026-01-02T03:04:05Z',
     '2026-01-02T03:09:05Z', '2026-01-02T03:04:06Z', '2026-01-02T03:04:06Z', '2026-01-02T03:04:07Z'),
    ('00000000-0000-0000-0000-000000000003', 'other', 'key-one', 'create_composition', '{}', 'h3', 1, 30,
     -700000030, 'failed', null, '{"code": "internal", "retryable": true}', 2, 2, 'c3', '2026-01-02T03:04:05Z',
     '2026-01-02T03:09:05Z', '2026-01-02T03:04:06Z', '2026-01-02T03:04:08Z', '2026-01-02T03:04:09Z');
insert into tenant_tag values ('school', 1, 20), ('other', 1, 30);
