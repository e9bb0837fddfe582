insert into audit (number, at, tenant, actor, action, outcome, line, key, hash)
values (1, 1000, 'local', 'ana', 'tool.create_composition', 'ok', '{}', 'k', x'00');
update audit_mark set number = 1 where name = 'head';
