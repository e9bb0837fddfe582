-- forgets: login_snapshot, job_evidence
-- Pages are logged in anew; what was seen of failed jobs is gone.

drop table job_evidence;
drop table login_snapshot;
