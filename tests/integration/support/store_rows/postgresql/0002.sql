insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority, state,
                 input_requests, input_deadline, correlation_id, deadline)
values ('00000000-0000-0000-0000-000000000004', 'school', 'key-asks', 'create_composition', '{}', 'h4', 1, 40,
        -700000040, 'input_required', '{"b": {"message": "?"}}', '2026-01-02T03:04:05Z', 'c4', '2026-01-02T03:09:05Z'),
       ('00000000-0000-0000-0000-000000000005', 'school', 'key-gone', 'create_composition', '{}', 'h5', 1, 50,
        -700000050, 'cancelled', null, null, 'c5', '2026-01-02T03:09:05Z');
insert into composition (key, tenant, uid, title, description, author, tags, folded_tags, folded)
values ('\x0102', 'school', 'H4sIAAAA', 'Água', 'd', 'Ana', '{Um,Dois}', '{um,dois}', 'agua');
