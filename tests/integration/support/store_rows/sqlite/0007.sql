insert into runtime_setting (key, value, version, changed_at, changed_by) values ('log.level', '"debug"', 1, 1000.5, 'cli:ana@host');
