insert into runtime_setting (key, value, version, changed_by) values ('log.level', '"debug"', 1, 'cli:ana@host');
