-- The trail is read, and appended to through the function. Nothing else.
revoke insert, update, delete, truncate on audit, audit_mark from :application;
grant execute on function audit_append to :application;
