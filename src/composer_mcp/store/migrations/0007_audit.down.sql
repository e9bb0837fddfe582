-- loses: the seal of an audit trail, archived or not: select count(*) from audit_mark where number > 0
-- forgets: audit_mark
-- Removes the audit trail: archive it first (composer-mcp audit archive).

drop function audit_append;
drop table audit_mark;
drop table audit;
