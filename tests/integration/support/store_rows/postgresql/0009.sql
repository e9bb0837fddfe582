insert into login_snapshot values ('school', '\x01', '2036-01-02T03:04:05Z');
insert into job_evidence (job_id, epoch, seen) values ('00000000-0000-0000-0000-000000000003', 2, '{"z": 1, "a": 2}');
