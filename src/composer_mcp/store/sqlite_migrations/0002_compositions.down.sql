drop table composition;
