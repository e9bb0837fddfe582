-- What an operator sees of jobs; the columns mean what they mean on PostgreSQL.

alter table job add column history text not null default '[]';

create index job_newest on job (created_at desc);
