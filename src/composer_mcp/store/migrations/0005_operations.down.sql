-- forgets: queue_size
drop function job_accept(text, text, text, json, text, smallint, integer, interval, integer, integer, text, boolean);
drop table queue_size;
drop index job_newest;
drop function job_history_begun(jsonb, integer, text);
drop function job_history_ended(jsonb, text);
alter table job drop column history;
