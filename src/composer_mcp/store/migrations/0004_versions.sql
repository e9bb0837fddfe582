-- What a composition's content was when it was last read or written, so that a change of its widgets is told from
-- a mere reading. Only adds; a release that does not know the column leaves it as it is.

-- Null: not known yet; the next reading counts as a change.
alter table composition add column version text;
