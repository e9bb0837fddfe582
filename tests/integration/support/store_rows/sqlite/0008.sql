insert into login_snapshot values ('local', x'01', 9000.5);
insert into job_evidence values ('00000000-0000-0000-0000-000000000002', 1, 1000.5, '{}', null);
