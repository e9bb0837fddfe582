-- forgets: runtime_version
drop table runtime_setting;
drop table runtime_version;
