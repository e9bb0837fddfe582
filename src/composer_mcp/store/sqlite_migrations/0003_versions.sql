-- The content's version in the register; it means what it means on PostgreSQL.

alter table composition add column version text;
