insert into account (name, kind, issuer, subject, tenant, roles, created_at, changed_at)
values ('ana', 'user', 'https://issuer', 'a', 'local', '["teacher"]', 1000.5, 1000.5);
insert into token_revocation (issuer, token_id, revoked_at, expires_at) values ('https://issuer', 'jti', 1000.5, 9000.5);
