-- Brings a Mosaic backlog table, in place, to where 0001_backlog.sql would have put a new one.  Its own
-- columns, keys and indexes stay as they are: its clients rely on an id being unique in the whole table,
-- so an adopted table serves one project.

alter table backlog
    add column if not exists project      text not null default 'default',
    add column if not exists version      bigint not null default 1,
    add column if not exists changed_xid  xid8 not null default pg_current_xact_id(),
    add column if not exists unmet        integer not null default 0,
    add column if not exists failures     integer not null default 0,
    add column if not exists max_retries  integer,
    add column if not exists run_after    timestamptz,
    add column if not exists last_error   text,
    add column if not exists path         text,
    add column if not exists extra        jsonb not null default '{}',
    add column if not exists archived_at  timestamptz,
    add column if not exists deleted_at   timestamptz;

create unique index if not exists backlog_project_id on backlog (project, id);
create index if not exists backlog_claimable on backlog (project, priority desc, created_at, id)
    where status = 'ready' and unmet = 0 and deleted_at is null and archived_at is null;
create index if not exists backlog_changed on backlog (changed_xid, project);
alter table backlog set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
