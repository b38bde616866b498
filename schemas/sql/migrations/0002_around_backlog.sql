-- What stands beside the card table: dependencies, history, conflicts, replicas, missions, workers.

-- One row for each (card, card it depends on), kept by trigger from backlog.depends_on.
create table backlog_edge (
    project    text not null,
    dependency text not null,
    card       text not null,
    constraint backlog_edge_pkey primary key (dependency, project, card)
);
create index backlog_edge_card on backlog_edge (card, project);

-- One row for each id that was ever depended upon or done.  It exists to be locked: whoever adds a
-- dependency shares the row, whoever changes whether it is met owns it, also while no such card exists.
create table backlog_node (
    project text not null,
    id      text not null,
    constraint backlog_node_pkey primary key (project, id)
);

-- The audit trail, written by trigger for every writer.  before and after hold the changed columns only.
create table backlog_history (
    seq     bigint generated always as identity constraint backlog_history_pkey primary key,
    xid     xid8 not null default pg_current_xact_id(),
    project text not null,
    id      text not null,
    version bigint not null,
    op      text not null,
    actor   text not null default coalesce(nullif(current_setting('syncd.actor', true), ''), session_user),
    face    text not null default coalesce(nullif(current_setting('syncd.face', true), ''),
                                           current_setting('application_name')),
    at      timestamptz not null default now(),
    before  jsonb,
    after   jsonb,
    constraint backlog_history_op check (op in ('insert', 'update', 'delete', 'truncate'))
);
create index backlog_history_card on backlog_history (project, id, seq);
create index backlog_history_trail on backlog_history (xid, seq);

-- Rows that were deleted outright: read by the feed, and by a row that comes back under the same id.
create index backlog_history_gone on backlog_history (xid, project) where op in ('delete', 'truncate');

-- Losing values, as JSON text: a file may hold what jsonb cannot (a NUL, half a surrogate pair).
create table backlog_conflict (
    seq        bigint generated always as identity constraint backlog_conflict_pkey primary key,
    project    text not null,
    id         text not null,
    field      text not null,
    base       text not null,
    local      text not null,
    remote     text not null,
    winner     text not null,
    replica    text not null,
    at         timestamptz not null default now(),
    digest     text not null,
    settled    text,
    settled_at timestamptz
);
create index backlog_conflict_open on backlog_conflict (project, seq) where settled is null;
-- The same clash seen again adds no second record; one that comes up after it was settled does.
create unique index backlog_conflict_once on backlog_conflict (project, digest) where settled is null;

create table backlog_replica (
    project text not null,
    replica text not null,
    host    text not null,
    path    text not null,
    seen_at timestamptz not null default now(),
    constraint backlog_replica_pkey primary key (project, replica)
);

-- Ids of committed batches, to answer "did it happen?" after a connection that broke at COMMIT, with the cards
-- that a batch had to leave out.
create table backlog_commit (
    project  text not null,
    id       text not null,
    replica  text,
    at       timestamptz not null default now(),
    left_out text[] not null default '{}',
    constraint backlog_commit_pkey primary key (project, id)
);
create index backlog_commit_at on backlog_commit (at);

-- Facts about the whole database (project '*': epoch, schema_version) or one project (paused).
create table backlog_meta (
    project text not null,
    key     text not null,
    value   text not null,
    constraint backlog_meta_pkey primary key (project, key)
);
insert into backlog_meta (project, key, value) values ('*', 'epoch', gen_random_uuid()::text);

-- The next free number of each id prefix.
create table backlog_id (
    project text not null,
    prefix  text not null,
    next    bigint not null,
    constraint backlog_id_pkey primary key (project, prefix)
);

create table mission (
    project       text not null default 'default',
    id            text not null,
    name          text not null,
    description   text,
    status        text not null default 'active',
    project_path  text,
    tasks_file    text,
    manifest_file text,
    quality_gates jsonb,
    path          text,
    extra         jsonb not null default '{}',
    version       bigint not null default 1,
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now(),
    constraint mission_pkey primary key (project, id)
);

create table milestone (
    project      text not null default 'default',
    mission      text not null,
    id           text not null,
    position     integer not null default 0,
    name         text not null,
    status       text not null default 'pending',
    branch       text,
    issue        text,
    started_at   timestamptz,
    completed_at timestamptz,
    extra        jsonb not null default '{}',
    version      bigint not null default 1,
    updated_at   timestamptz not null default now(),
    constraint milestone_pkey primary key (project, mission, id),
    constraint milestone_mission foreign key (project, mission) references mission (project, id)
        on update cascade on delete cascade
);

create table mission_session (
    project      text not null default 'default',
    mission      text not null,
    session_id   text not null,
    runtime      text,
    pid          integer,
    milestone_id text,
    last_task_id text,
    started_at   timestamptz not null default now(),
    ended_at     timestamptz,
    ended_reason text,
    constraint mission_session_pkey primary key (project, mission, session_id),
    constraint mission_session_mission foreign key (project, mission) references mission (project, id)
        on update cascade on delete cascade
);

create table worker (
    project           text not null default 'default',
    owner             text not null,
    host              text not null,
    pid               integer not null,
    card              text,
    started_at        timestamptz not null default now(),
    seen_at           timestamptz not null default now(),
    stop_requested_at timestamptz,
    constraint worker_pkey primary key (project, owner)
);
