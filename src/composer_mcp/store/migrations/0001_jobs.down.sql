-- forgets: tenant_tag
-- A job that was given its end is lost with its result; what it saved in Composer stays.

drop function job_submit(text, text, text, json, text, smallint, integer, interval, integer, integer, text);
drop table tenant_tag;
drop table job;
