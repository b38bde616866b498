-- The schema as it is after every migration, in one piece: what to read, and what a test compares the
-- migrations against.  Databases are made by the migrations.

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
    after   jsonb
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
    project            text not null default 'default',
    owner              text not null,
    name               text not null default '',
    host               text not null,
    machine            text not null default '',
    pid                integer not null,
    concurrency        integer not null default 1,
    ttl_seconds        integer not null default 900,
    takes_assigned     boolean not null default false,
    cards              jsonb not null default '[]',
    started_at         timestamptz not null default now(),
    seen_at            timestamptz not null default now(),
    drain_requested_at timestamptz,
    kill_requested_at  timestamptz,
    requested_by       text,
    constraint worker_pkey primary key (project, owner)
);

-- What holds for every writer of backlog, whether it knows of syncd or not.
--
-- A card's dependency is met when that card is done and not deleted.  backlog.unmet counts those that
-- are not.  The count stays right when writers race because of three rules:
--   1. whoever adds a dependency holds its node row (shared) before and while counting;
--   2. whoever changes whether a card is met holds its node row (alone), and looks for dependents in a
--      later statement, whose snapshot sees every edge committed meanwhile;
--   3. dependents are locked in id order before they are counted down, again in a later statement.
-- Functions that name tables pin the schema they were made in: a writer's search_path may differ.

-- The ids in a depends_on list; anything that is not a list of text has none.
create function backlog_dependencies(depends_on jsonb) returns setof text
language sql immutable parallel safe as $$
    select distinct each #>> '{}'
    from jsonb_array_elements(case jsonb_typeof(depends_on) when 'array' then depends_on else '[]' end) each
    where jsonb_typeof(each) = 'string'
$$;

create function backlog_is_met(status backlog_status, deleted_at timestamptz) returns boolean
language sql immutable parallel safe as $$
    select coalesce(status = 'done' and deleted_at is null, false)
$$;

-- A whole row as history keeps it: without its key and what syncd counts itself.  Columns that most cards
-- leave empty are there only where one of them is not: making a hundred thousand cards is felt here.
create function backlog_record(card backlog) returns jsonb
language sql stable parallel safe as $$
    select case
        when coalesce(card.body, card.phase, card.claim_owner, card.idempotency_key, card.last_error) is null
             and coalesce(card.claimed_at, card.run_after, card.archived_at, card.deleted_at) is null
             and card.attempts = 0 and card.failures = 0 and card.acceptance is null and card.max_retries is null
        then jsonb_build_object('title', card.title, 'priority', card.priority, 'status', card.status,
                                'depends_on', card.depends_on, 'extra', card.extra, 'path', card.path,
                                'created_at', card.created_at)
        else to_jsonb(card) - '{project,id,version,changed_xid,unmet,updated_at}'::text[]
    end
$$;

-- The same for the commonest case, one id that became met (-1) or ceased to be (+1): its statements take
-- plain values, so that their plans are kept, and can only be index look-ups.
create function backlog_settle_one(of_project text, of_id text, delta integer)
returns void language plpgsql set search_path from current
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
    insert into backlog_node values (of_project, of_id) on conflict do nothing;
    if not found then
        perform from backlog_node where project = of_project and id = of_id for no key update;
    end if;
    perform from backlog_edge e join backlog b on b.project = e.project and b.id = e.card
    where e.dependency = of_id and e.project = of_project order by b.id for no key update of b;
    if found then
        update backlog b set unmet = b.unmet + delta from backlog_edge e
        where e.dependency = of_id and e.project = of_project and b.project = e.project and b.id = e.card;
    end if;
end
$$;

-- Brings edges and unmet counts in line with what one statement changed: ids that became met or
-- ceased to be, edges that it added or removed.
create function backlog_settle(met backlog_node[], lost backlog_node[], added backlog_edge[], removed backlog_edge[])
returns void language plpgsql set search_path from current set enable_seqscan = off set jit = off as $$
declare
    changed backlog_node[] := coalesce(met, '{}') || coalesce(lost, '{}');
    nodes   backlog_node[];
    inserted integer;
begin
    if cardinality(changed) = 1 and added is null and removed is null then
        perform backlog_settle_one(changed[1].project, changed[1].id, case when lost is null then -1 else 1 end);
        return;
    end if;
    select array_agg((project, id)::backlog_node order by project, id) into nodes
    from (select project, id from unnest(changed)
          union select project, dependency from unnest(added)) each;
    insert into backlog_node select project, id from unnest(nodes) on conflict do nothing;
    get diagnostics inserted = row_count;
    -- A row that is new is ours.  The others are locked in one strength and one order for the whole
    -- statement: two such statements cannot deadlock here.
    if inserted < cardinality(nodes) then
        if changed <> '{}' then
            perform from backlog_node n join unnest(nodes) k on n.project = k.project and n.id = k.id
            order by n.project, n.id for no key update of n;
        else
            perform from backlog_node n join unnest(nodes) k on n.project = k.project and n.id = k.id
            order by n.project, n.id for share of n;
        end if;
    end if;

    if changed <> '{}' then
        perform from backlog b
        join (select distinct e.project, e.card
              from unnest(changed) k join backlog_edge e on e.project = k.project and e.dependency = k.id) d
          on b.project = d.project and b.id = d.card
        order by b.project, b.id for no key update of b;
        if found then
            update backlog b set unmet = b.unmet + d.delta
            from (select e.project, e.card, sum(k.delta)::integer as delta
                  from (select project, id, -1 as delta from unnest(met)
                        union all select project, id, 1 from unnest(lost)) k
                  join backlog_edge e on e.project = k.project and e.dependency = k.id
                  group by e.project, e.card) d
            where b.project = d.project and b.id = d.card and d.delta <> 0;
        end if;
    end if;

    if removed is not null then
        delete from backlog_edge e using unnest(removed) r
        where e.project = r.project and e.dependency = r.dependency and e.card = r.card;
    end if;
    if added is not null then
        insert into backlog_edge select * from unnest(added) on conflict do nothing;
    end if;
    if added is not null or removed is not null then
        update backlog b set unmet = n.unmet
        from (select c.project, c.card, count(e.dependency) filter (where not backlog_is_met(d.status, d.deleted_at)) as unmet
              from (select project, card from unnest(added) union select project, card from unnest(removed)) c
              left join backlog_edge e on e.project = c.project and e.card = c.card
              left join backlog d on d.project = e.project and d.id = e.dependency
              group by c.project, c.card) n
        where b.project = n.project and b.id = n.card and b.unmet <> n.unmet;
    end if;
end
$$;

-- Tells listeners that something changed, once a transaction.  A transaction that notifies has a lock of the
-- whole server from before its commit is written to disk until after, so that notifiers commit one by one.
-- Many short ones (leases, each a transaction of one statement) therefore let one of them speak for those
-- that are under way with it: whoever hears it looks again when all that were under way have ended.
create function backlog_notify() returns void language plpgsql as $$
begin
    if coalesce(current_setting('syncd.notify', true), '') <> 'shared'
       or pg_try_advisory_xact_lock(hashtext('syncd.notify'), 0) then
        perform pg_notify('syncd', '');
    end if;
end
$$;

-- History of an update that changed more than the lease.  A row whose key changed is one that went and one
-- that came.  (Comparing columns by name is ten times cheaper than comparing the rows as jsonb.)
create function backlog_record_change(old backlog, new backlog) returns void language plpgsql as $$
declare
    replaced jsonb := to_jsonb(old);
    written  jsonb := to_jsonb(new);
    before   jsonb := '{}';
    after    jsonb := '{}';
    name     text;
begin
    if new.project <> old.project or new.id <> old.id then
        insert into backlog_history (project, id, version, op, before)
        values (old.project, old.id, old.version + 1, 'delete', backlog_record(old));
        insert into backlog_history (project, id, version, op, after)
        values (new.project, new.id, new.version, 'insert', backlog_record(new));
        return;
    end if;
    foreach name in array array_remove(array[
        case when new.title is distinct from old.title then 'title' end,
        case when new.body is distinct from old.body then 'body' end,
        case when new.phase is distinct from old.phase then 'phase' end,
        case when new.priority is distinct from old.priority then 'priority' end,
        case when new.status is distinct from old.status then 'status' end,
        case when new.depends_on is distinct from old.depends_on then 'depends_on' end,
        case when new.claim_owner is distinct from old.claim_owner then 'claim_owner' end,
        case when new.claim_ttl_seconds is distinct from old.claim_ttl_seconds then 'claim_ttl_seconds' end,
        case when new.claimed_at is distinct from old.claimed_at then 'claimed_at' end,
        case when new.attempts is distinct from old.attempts then 'attempts' end,
        case when new.idempotency_key is distinct from old.idempotency_key then 'idempotency_key' end,
        case when new.acceptance is distinct from old.acceptance then 'acceptance' end,
        case when new.created_at is distinct from old.created_at then 'created_at' end,
        case when new.failures is distinct from old.failures then 'failures' end,
        case when new.max_retries is distinct from old.max_retries then 'max_retries' end,
        case when new.run_after is distinct from old.run_after then 'run_after' end,
        case when new.last_error is distinct from old.last_error then 'last_error' end,
        case when new.path is distinct from old.path then 'path' end,
        case when new.extra is distinct from old.extra then 'extra' end,
        case when new.archived_at is distinct from old.archived_at then 'archived_at' end,
        case when new.deleted_at is distinct from old.deleted_at then 'deleted_at' end
    ], null) loop
        before := before || jsonb_build_object(name, replaced -> name);
        after := after || jsonb_build_object(name, written -> name);
    end loop;
    if after <> '{}' then
        insert into backlog_history (project, id, version, op, before, after)
        values (new.project, new.id, new.version, 'update', before, after);
    end if;
end
$$;

-- The last to run before an update (triggers go by name): the lease follows the status for writers who leave
-- its columns alone; version, changed_xid and updated_at move when anything but themselves and unmet does,
-- and then history is written and listeners are told.  A claim pays for every statement here: what changes
-- nothing but the lease is recorded without looking at the other columns.
create function backlog_before_update() returns trigger
language plpgsql set search_path from current as $$
declare
    kept     backlog := new;
    is_lease boolean;
    nothing  text;
begin
    if new.status <> old.status or new.claim_owner is distinct from old.claim_owner then
        if old.status = 'claimed' and new.status <> 'claimed' then
            if new.claim_owner is not distinct from old.claim_owner then
                new.claim_owner := null;
            end if;
            if new.claim_ttl_seconds is not distinct from old.claim_ttl_seconds then
                new.claim_ttl_seconds := null;
            end if;
            if new.claimed_at is not distinct from old.claimed_at then
                new.claimed_at := null;
            end if;
        elsif new.status = 'claimed' then
            if new.attempts = old.attempts then
                new.attempts := old.attempts + 1;
            end if;
            if new.claimed_at is not distinct from old.claimed_at then
                new.claimed_at := now();
            end if;
        end if;
    end if;

    -- What is left when the lease and what is counted here are put aside.
    kept.status := old.status;
    kept.claim_owner := old.claim_owner;
    kept.claim_ttl_seconds := old.claim_ttl_seconds;
    kept.claimed_at := old.claimed_at;
    kept.attempts := old.attempts;
    kept.unmet := old.unmet;
    kept.version := old.version;
    kept.changed_xid := old.changed_xid;
    kept.updated_at := old.updated_at;
    is_lease := kept *= old;
    if is_lease and new.status = old.status and new.attempts = old.attempts
       and new.claim_owner is not distinct from old.claim_owner
       and new.claimed_at is not distinct from old.claimed_at
       and new.claim_ttl_seconds is not distinct from old.claim_ttl_seconds then
        new.version := greatest(old.version, new.version);
        new.changed_xid := case when new.version > old.version then pg_current_xact_id() else old.changed_xid end;
        return new;
    end if;

    new.version := greatest(old.version + 1, new.version);
    new.changed_xid := pg_current_xact_id();
    if new.updated_at = old.updated_at then
        new.updated_at := now();
    end if;
    if is_lease then
        insert into backlog_history (project, id, version, op, before, after) values (
            new.project, new.id, new.version, 'update',
            jsonb_build_object('status', old.status, 'claim_owner', old.claim_owner, 'claimed_at', old.claimed_at,
                               'claim_ttl_seconds', old.claim_ttl_seconds, 'attempts', old.attempts),
            jsonb_build_object('status', new.status, 'claim_owner', new.claim_owner, 'claimed_at', new.claimed_at,
                               'claim_ttl_seconds', new.claim_ttl_seconds, 'attempts', new.attempts));
    else
        perform backlog_record_change(old, new);
    end if;

    -- What the statement's end has to look at; rows of one statement add up.  An assignment is computed on the
    -- spot, where PERFORM would run a query.
    if not is_lease and (new.depends_on <> old.depends_on or new.id <> old.id or new.project <> old.project) then
        nothing := set_config('syncd.effect', 'edges', true);
    elsif (new.status = 'done' and new.deleted_at is null) <> (old.status = 'done' and old.deleted_at is null) then
        if coalesce(current_setting('syncd.effect', true), '') <> 'edges' then
            nothing := set_config('syncd.effect', 'met', true);
        end if;
    elsif coalesce(current_setting('syncd.notify', true), '') <> 'shared'
          or pg_try_advisory_xact_lock(hashtext('syncd.notify'), 0) then
        nothing := pg_notify('syncd', '');
    end if;
    return new;
end
$$;

-- Before an insert by a writer that knows no tombstones: the id is free again.  Planned anew for each
-- row: a plan made for an empty table would be kept while one statement fills it.
create function backlog_replace_tombstone() returns trigger
language plpgsql set search_path from current as $$
begin
    execute 'delete from backlog where project = $1 and id = $2 and deleted_at is not null'
        using new.project, new.id;
    return new;
end
$$;

create function backlog_after_insert() returns trigger
language plpgsql set search_path from current set enable_nestloop = off set jit = off as $$
declare
    projects text[];
    ids      text[];
    versions bigint[];
    met   backlog_node[];
    added backlog_edge[];
begin
    -- A row that comes back goes on where its id left off, so that a version never means two things.
    if exists (select from backlog_history where op in ('delete', 'truncate')) then
        select array_agg(n.project), array_agg(n.id), array_agg(gone.version + 1) into projects, ids, versions
        from inserted n, lateral (
            select max(h.version) as version from backlog_history h
            where h.project = n.project and h.id = n.id and h.op in ('delete', 'truncate')) gone
        where gone.version is not null;
        update backlog b set version = back.version
        from unnest(projects, ids, versions) back (project, id, version)
        where b.project = back.project and b.id = back.id;
    end if;
    insert into backlog_history (project, id, version, op, after)
    select n.project, n.id, coalesce(back.version, n.version), 'insert',
           backlog_record(n)
    from inserted n
    left join unnest(projects, ids, versions) back (project, id, version)
      on back.project = n.project and back.id = n.id;
    select array_agg((n.project, n.id)::backlog_node) into met from inserted n where backlog_is_met(n.status, n.deleted_at);
    select array_agg((n.project, d, n.id)::backlog_edge) into added
    from inserted n, backlog_dependencies(n.depends_on) d where n.depends_on <> '[]';
    if met is not null or added is not null then
        perform backlog_settle(met, null, added, null);
    end if;
    perform backlog_notify();
    return null;
end
$$;

-- After an update that concerns dependencies (the trigger asks before it calls): the rows of the statement are
-- compared, as sets: a join's plan, kept from a statement of one row, would be quadratic for many.
create function backlog_after_update() returns trigger
language plpgsql set search_path from current as $$
declare
    effect  text := current_setting('syncd.effect', true);
    moved   record;
    met     backlog_node[];
    lost    backlog_node[];
    added   backlog_edge[];
    removed backlog_edge[];
begin
    perform set_config('syncd.effect', '', true);
    -- One card that was done, or opened again, is what most such statements are about.
    if effect = 'met' and (select count(*) from written) = 1 then
        select w.project, w.id, case when backlog_is_met(w.status, w.deleted_at) then -1 else 1 end as delta into moved
        from written w, replaced r
        where backlog_is_met(w.status, w.deleted_at) <> backlog_is_met(r.status, r.deleted_at);
        if found then
            perform backlog_settle_one(moved.project, moved.id, moved.delta);
        end if;
        perform backlog_notify();
        return null;
    end if;
    select array_agg((project, id)::backlog_node) into met from (
        select project, id from written where backlog_is_met(status, deleted_at)
        except select project, id from replaced where backlog_is_met(status, deleted_at)) each;
    select array_agg((project, id)::backlog_node) into lost from (
        select project, id from replaced where backlog_is_met(status, deleted_at)
        except select project, id from written where backlog_is_met(status, deleted_at)) each;
    if effect = 'edges' then
        select array_agg((project, d, id)::backlog_edge) into added from (
            select n.project, d, n.id from written n, backlog_dependencies(n.depends_on) d
            except select o.project, d, o.id from replaced o, backlog_dependencies(o.depends_on) d) each;
        select array_agg((project, d, id)::backlog_edge) into removed from (
            select o.project, d, o.id from replaced o, backlog_dependencies(o.depends_on) d
            except select n.project, d, n.id from written n, backlog_dependencies(n.depends_on) d) each;
    end if;
    if met is not null or lost is not null or added is not null or removed is not null then
        perform backlog_settle(met, lost, added, removed);
    end if;
    perform backlog_notify();
    return null;
end
$$;

create function backlog_after_delete() returns trigger
language plpgsql set search_path from current as $$
declare
    lost    backlog_node[];
    removed backlog_edge[];
begin
    insert into backlog_history (project, id, version, op, before)
    select o.project, o.id, o.version + 1, 'delete',
           backlog_record(o)
    from replaced o;
    if not found then
        return null;
    end if;
    select array_agg((o.project, o.id)::backlog_node) into lost from replaced o where backlog_is_met(o.status, o.deleted_at);
    select array_agg((o.project, d, o.id)::backlog_edge) into removed
    from replaced o, backlog_dependencies(o.depends_on) d where o.depends_on <> '[]';
    if lost is not null or removed is not null then
        perform backlog_settle(null, lost, null, removed);
    end if;
    perform backlog_notify();
    return null;
end
$$;

-- TRUNCATE shows its rows to no trigger after it: they are recorded before.
create function backlog_before_truncate() returns trigger
language plpgsql set search_path from current as $$
begin
    insert into backlog_history (project, id, version, op, before)
    select b.project, b.id, b.version + 1, 'truncate',
           backlog_record(b)
    from backlog b;
    delete from backlog_edge;
    perform backlog_notify();
    return null;
end
$$;

-- Makes edges and counts anew from the cards of a project; returns the ids whose count was wrong.
-- It reads everything, so it joins by hashing: statistics may be missing when it is needed most.
create function backlog_mend(of_project text) returns setof text
language plpgsql set search_path from current set enable_nestloop = off set jit = off as $$
begin
    perform from backlog where project = of_project order by id for no key update;
    insert into backlog_node
    select distinct b.project, d from backlog b, backlog_dependencies(b.depends_on) d
    where b.project = of_project order by 1, 2 on conflict do nothing;
    perform from backlog_node where project = of_project order by id for no key update;
    delete from backlog_edge where project = of_project and (dependency, card) not in (
        select d, b.id from backlog b, backlog_dependencies(b.depends_on) d where b.project = of_project);
    insert into backlog_edge
    select b.project, d, b.id from backlog b, backlog_dependencies(b.depends_on) d
    where b.project = of_project on conflict do nothing;
    return query
    with counted as materialized (
        select c.id, count(e.dependency) filter (where not backlog_is_met(d.status, d.deleted_at)) as unmet
        from backlog c
        left join backlog_edge e on e.project = of_project and e.card = c.id
        left join backlog d on d.project = of_project and d.id = e.dependency
        where c.project = of_project group by c.id
    )
    update backlog b set unmet = n.unmet from counted n
    where b.project = of_project and b.id = n.id and b.unmet <> n.unmet
    returning b.id;
end
$$;

-- Names this very history of this database: it differs after a failover, a restored backup, a new table.
create function backlog_epoch() returns text
language plpgsql stable set search_path from current as $$
declare
    place text;
begin
    begin
        select system_identifier || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
        into place from pg_control_system();
    exception when insufficient_privilege or object_not_in_prerequisite_state or undefined_function
                   or feature_not_supported then
        select oid::text into place from pg_database where datname = current_database();
    end;
    return place || '.' || 'backlog'::regclass::oid || '.'
           || (select value from backlog_meta where project = '*' and key = 'epoch');
end
$$;

-- A trigger's condition is read and planned anew for each statement: one call is quicker to read than what it says.
create function backlog_has_effect() returns boolean language plpgsql stable as $$
begin
    return coalesce(current_setting('syncd.effect', true), '') <> '';
end
$$;

create trigger zz_backlog_before_update before update on backlog
    for each row execute function backlog_before_update();
create trigger backlog_replace_tombstone before insert on backlog
    for each row when (coalesce(current_setting('syncd.face', true), '') = '')
    execute function backlog_replace_tombstone();
create trigger backlog_after_insert after insert on backlog
    referencing new table as inserted for each statement execute function backlog_after_insert();
create trigger backlog_after_update after update on backlog
    referencing old table as replaced new table as written
    for each statement when (backlog_has_effect()) execute function backlog_after_update();
create trigger backlog_after_delete after delete on backlog
    referencing old table as replaced for each statement execute function backlog_after_delete();
create trigger backlog_before_truncate before truncate on backlog
    for each statement execute function backlog_before_truncate();

-- Missions for every writer: versions that move with a real change, an audit trail, one number that tells
-- whether anything changed, and what a session shows of the process that it is.

-- host, boot, process_started (clock ticks after boot) and pid name one process for good: a pid alone is given
-- to somebody else in time.  has_lock: the process holds a lock of its own for as long as it lives.
alter table mission_session
    add column host text,
    add column boot text,
    add column process_started bigint,
    add column has_lock boolean not null default false,
    add column seen_at timestamptz not null default now(),
    add column version bigint not null default 1,
    add column updated_at timestamptz not null default now();

-- id is the record's: mission:M, mission:M/MILESTONE, mission:M/session/S.
create table mission_history (
    seq     bigint generated always as identity constraint mission_history_pkey primary key,
    project text not null,
    mission text not null,
    id      text not null,
    version bigint not null,
    op      text not null,
    actor   text not null default coalesce(nullif(current_setting('syncd.actor', true), ''), session_user),
    face    text not null default coalesce(nullif(current_setting('syncd.face', true), ''),
                                           current_setting('application_name')),
    at      timestamptz not null default now(),
    before  jsonb,
    after   jsonb,
    constraint mission_history_op check (op in ('insert', 'update', 'delete'))
);
create index mission_history_mission on mission_history (project, mission, seq);

create function mission_record_id(kind text, record jsonb) returns text
language sql immutable parallel safe as $$
    select 'mission:' || case kind
        when 'mission' then record ->> 'id'
        when 'milestone' then (record ->> 'mission') || '/' || (record ->> 'id')
        else (record ->> 'mission') || '/session/' || (record ->> 'session_id')
    end
$$;

-- Before an update: a version moves with a real change only; a heartbeat is none.
create function mission_before_update() returns trigger
language plpgsql set search_path from current as $$
declare
    kept text[] := '{version,updated_at,seen_at}';
begin
    if to_jsonb(new) - kept = to_jsonb(old) - kept then
        new.version := old.version;
        new.updated_at := old.updated_at;
        return new;
    end if;
    new.version := greatest(new.version, old.version + 1);
    new.updated_at := now();
    return new;
end
$$;

-- A row that comes back goes on where its id left off, so that a version never means two things.
create function mission_before_insert() returns trigger
language plpgsql set search_path from current as $$
begin
    new.version := greatest(new.version, 1 + coalesce((
        select max(h.version) from mission_history h
        where h.project = new.project and h.mission = coalesce(to_jsonb(new) ->> 'mission', to_jsonb(new) ->> 'id')
          and h.id = mission_record_id(tg_table_name, to_jsonb(new)) and h.op = 'delete'), 0));
    return new;
end
$$;

-- After a change: history, the project's number, a notification.  The number is one row that a writer holds to
-- its end, so it rises in the order of commits and a reader who knows it has missed nothing below.
create function mission_after_change() returns trigger
language plpgsql set search_path from current as $$
declare
    hidden  text[] := '{project,mission,version,updated_at,seen_at}';
    was     jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
    is_now  jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
    record  jsonb := coalesce(is_now, was);
begin
    if tg_op = 'UPDATE' and (was ->> 'version') = (is_now ->> 'version') then
        return null;
    end if;
    insert into mission_history (project, mission, id, version, op, before, after)
    select record ->> 'project', coalesce(record ->> 'mission', record ->> 'id'),
           mission_record_id(tg_table_name, record),
           (record ->> 'version')::bigint + case when tg_op = 'DELETE' then 1 else 0 end, lower(tg_op),
           (select jsonb_object_agg(key, value) from jsonb_each(was - hidden)
            where tg_op = 'DELETE' or value is distinct from is_now -> key),
           (select jsonb_object_agg(key, value) from jsonb_each(is_now - hidden)
            where tg_op = 'INSERT' or value is distinct from was -> key);
    insert into backlog_meta as m (project, key, value) values (record ->> 'project', 'missions', '1')
    on conflict (project, key) do update set value = (m.value::bigint + 1)::text;
    perform pg_notify('syncd', '');
    return null;
end
$$;

create trigger mission_before_insert before insert on mission
    for each row execute function mission_before_insert();
create trigger mission_before_update before update on mission
    for each row execute function mission_before_update();
create trigger mission_after_change after insert or update or delete on mission
    for each row execute function mission_after_change();
create trigger mission_before_insert before insert on milestone
    for each row execute function mission_before_insert();
create trigger mission_before_update before update on milestone
    for each row execute function mission_before_update();
create trigger mission_after_change after insert or update or delete on milestone
    for each row execute function mission_after_change();
create trigger mission_before_insert before insert on mission_session
    for each row execute function mission_before_insert();
create trigger mission_before_update before update on mission_session
    for each row execute function mission_before_update();
create trigger mission_after_change after insert or update or delete on mission_session
    for each row execute function mission_after_change();

-- Transaction ids belong to one server.  Rows that a dump brought from another one may carry ids that this one
-- has yet to give: the feed would tell of them again and again, and events would wait for transactions that no
-- longer run.  They get the id of the transaction that calls this; returns whether there were any.
create function backlog_arrive() returns boolean
language plpgsql set search_path from current as $$
begin
    if not exists (select from backlog where changed_xid >= pg_snapshot_xmax(pg_current_snapshot()))
       and not exists (select from backlog_history where xid >= pg_snapshot_xmax(pg_current_snapshot())) then
        return false;
    end if;
    alter table backlog disable trigger user;
    update backlog set changed_xid = pg_current_xact_id();
    alter table backlog enable trigger user;
    update backlog_history set xid = pg_current_xact_id();
    update backlog_meta set value = gen_random_uuid()::text where project = '*' and key = 'epoch';
    return true;
end
$$;
