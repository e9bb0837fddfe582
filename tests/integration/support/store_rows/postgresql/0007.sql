insert into audit (number, at, tenant, actor, action, outcome, line, key, hash)
values (1, '2026-01-02T03:04:05Z', 'school', 'ana', 'tool.create_composition', 'ok', '{}', 'k', '\x00');
update audit_mark set number = 1 where name = 'head';
