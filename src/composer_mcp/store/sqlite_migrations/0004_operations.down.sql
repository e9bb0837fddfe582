drop index job_newest;
alter table job drop column history;
