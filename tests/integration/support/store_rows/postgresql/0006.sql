insert into account (name, kind, issuer, subject, tenant, roles) values ('ana', 'user', 'https://issuer', 'a', 'school', '{teacher}');
insert into token_revocation (issuer, token_id, expires_at) values ('https://issuer', 'jti', '2036-01-02T03:04:05Z');
