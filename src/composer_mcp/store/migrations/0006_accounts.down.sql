-- forgets: access_version
drop table access_version;
drop table token_revocation;
drop table account;
