-- forgets: composition_change
-- Rows mean something only while their jobs run.

drop table composition_change;
