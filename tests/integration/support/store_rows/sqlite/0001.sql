insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, state, result, error, epoch, owner,
                 attempts, input_requests, input_deadline, correlation_id, created_at, updated_at, deadline,
                 first_started_at, started_at, finished_at)
values ('00000000-0000-0000-0000-000000000001', 'local', 'key-one', 'get_composition', '{"z": 1}', 'h1', 'queued', null,
        null, 0, null, 0, null, null, 'c1', 1000.5, 1000.5, 1300.5, null, null, null),
       ('00000000-0000-0000-0000-000000000002', 'local', 'key-two', 'get_composition', '{}', 'h2', 'succeeded', '{"t": "á"}',
        null, 1, 'o', 1, null, null, 'c2', 1000.5, 1002.5, 1300.5, 1001.5, 1001.5, 1002.5),
       ('00000000-0000-0000-0000-000000000004', 'local', 'key-asks', 'create_composition', '{}', 'h4', 'input_required', null,
        null, 1, null, 1, '{"b": {}}', 2000.5, 'c4', 1000.5, 1002.5, 1300.5, 1001.5, 1001.5, null);
