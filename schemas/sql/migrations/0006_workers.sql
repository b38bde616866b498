-- What a worker tells of itself, several cards at once, and what it is told from any host.
alter table worker drop column card;
alter table worker rename column stop_requested_at to drain_requested_at;
alter table worker
    add column kill_requested_at timestamptz,
    add column requested_by text,
    add column name text not null default '',
    add column machine text not null default '',
    add column concurrency integer not null default 1,
    add column ttl_seconds integer not null default 900,
    add column takes_assigned boolean not null default false,
    add column cards jsonb not null default '[]';
