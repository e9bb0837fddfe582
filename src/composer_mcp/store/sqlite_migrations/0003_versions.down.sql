-- forgets: composition.version

alter table composition drop column version;
