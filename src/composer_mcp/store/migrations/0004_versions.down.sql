-- forgets: composition.version
-- Every composition counts as changed once more when it is next read.

alter table composition drop column version;
