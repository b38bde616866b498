-- The card table.  The first fifteen columns are the Mosaic backlog's own, with its types and
-- defaults; every other column has a default, so that a writer who knows nothing of it just works.

create type backlog_status as enum ('ready', 'claimed', 'blocked', 'done');

create table backlog (
    id                text not null,
    title             text not null,
    body              text,
    phase             text,
    priority          integer not null default 0,
    status            backlog_status not null default 'ready',
    depends_on        jsonb not null default '[]',
    claim_owner       text,
    claim_ttl_seconds integer,
    claimed_at        timestamptz,
    attempts          integer not null default 0,
    idempotency_key   text,
    acceptance        jsonb,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    project           text not null default 'default',
    version           bigint not null default 1,
    changed_xid       xid8 not null default pg_current_xact_id(),
    unmet             integer not null default 0,
    failures          integer not null default 0,
    max_retries       integer,
    run_after         timestamptz,
    last_error        text,
    path              text,
    extra             jsonb not null default '{}',
    archived_at       timestamptz,
    deleted_at        timestamptz,
    constraint backlog_pkey primary key (project, id)
);

create unique index backlog_idempotency_key on backlog (project, idempotency_key)
    where idempotency_key is not null;
create index backlog_status_priority on backlog (status, priority);
create index backlog_status_claimed_at on backlog (status, claimed_at);

-- A claim reads this index from its head and nothing else.
create index backlog_claimable on backlog (project, priority desc, created_at, id)
    where status = 'ready' and unmet = 0 and deleted_at is null and archived_at is null;

-- Claims leave dead entries at that index's head, and every later claim walks over them: vacuum early.
alter table backlog set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- The change feed reads this one.  The project comes last: a look-up by (project, id) has then one index
-- to choose, whatever the statistics say while a table fills.
create index backlog_changed on backlog (changed_xid, project);
