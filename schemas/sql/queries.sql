-- The queries of the store, each under its name.  {card} stands for a card's columns, in the order in
-- which rows.py reads them; {last} for the newest transaction that wrote a card, of any project; {listed} for
-- what a list's filter asks of a row; %(name)s for a parameter.

-- name: connected
select value::integer from backlog_meta where project = '*' and key = 'schema_version'

-- name: dismiss
-- What a connection left behind on the server that was given up ends, and what it has not begun is never done.  Its
-- number may be another's by now, who is younger.
select pg_terminate_backend(pid, 1000)
from pg_stat_activity
where pid = %(pid)s and usename = current_user
  and backend_start <= clock_timestamp() - make_interval(secs => %(age_s)s)

-- name: found
select to_regclass('backlog') is not null,
       to_regclass('backlog_meta') is not null,
       exists (select from pg_attribute
               where attrelid = to_regclass('backlog') and attname = 'changed_xid' and not attisdropped)

-- name: server
select current_setting('server_version')

-- name: feed
select place.xmin::text, coalesce(place.last::text, '0'), place.epoch, place.now, {card}
from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now,
             {last} as last) place
left join backlog b on b.project = %(project)s and b.changed_xid >= %(xmin)s::xid8

-- name: feed_full
select place.xmin::text, coalesce(place.last::text, '0'), place.epoch, place.now, {card}
from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now,
             {last} as last) place
left join backlog b on b.project = %(project)s

-- name: feed_gone
select distinct h.id from backlog_history h
where h.project = %(project)s and h.xid >= %(xmin)s::xid8 and h.op in ('delete', 'truncate')
  and not exists (select from backlog b where b.project = h.project and b.id = h.id)

-- name: lock_edges
select pg_advisory_xact_lock(hashtext('syncd.edges'), hashtext(%(project)s))

-- name: lock_cards
select now(), {card} from backlog b
where b.project = %(project)s and b.id = any(%(ids)s) order by b.id for no key update

-- name: now
select now()

-- name: cards
select {card} from backlog b where b.project = %(project)s and b.id = any(%(ids)s)

-- As if no dependency were met: what the trigger finds otherwise it corrects, and most often that is nothing.
-- name: insert_cards
insert into backlog (project, id, title, body, phase, priority, status, depends_on, claim_owner,
                     claim_ttl_seconds, claimed_at, attempts, idempotency_key, acceptance, max_retries, extra,
                     path, created_at, updated_at, run_after, failures, last_error, unmet)
select %(project)s, c.id, c.title, c.body, c.phase, c.priority, c.status, c.depends_on, c.claim_owner,
       c.claim_ttl_seconds, c.claimed_at, c.attempts, c.idempotency_key, c.acceptance, c.max_retries, c.extra,
       c.path, c.created_at, now(), c.run_after, c.failures, c.last_error, jsonb_array_length(c.depends_on)
from json_to_recordset(%(cards)s::json)
     c (id text, title text, body text, phase text, priority integer, status backlog_status, depends_on jsonb,
        claim_owner text, claim_ttl_seconds integer, claimed_at timestamptz, attempts integer,
        idempotency_key text, acceptance jsonb, max_retries integer, extra jsonb, path text, created_at timestamptz,
        run_after timestamptz, failures integer, last_error text)
on conflict do nothing
returning id

-- The ids are named twice: the planner takes any JSON for a hundred cards, and would read the whole table for one.
-- name: update_cards
update backlog b set
    title = c.title, body = c.body, phase = c.phase, priority = c.priority, status = c.status,
    depends_on = coalesce(c.depends_on, b.depends_on), claim_owner = c.claim_owner,
    claim_ttl_seconds = c.claim_ttl_seconds, claimed_at = c.claimed_at, attempts = c.attempts,
    failures = c.failures, last_error = c.last_error, run_after = c.run_after,
    acceptance = c.acceptance, extra = coalesce(c.extra, b.extra), path = c.path,
    archived_at = c.archived_at, deleted_at = c.deleted_at
from json_to_recordset(%(cards)s::json)
     c (id text, title text, body text, phase text, priority integer, status backlog_status, depends_on jsonb,
        claim_owner text, claim_ttl_seconds integer, claimed_at timestamptz, attempts integer, failures integer,
        last_error text, run_after timestamptz, acceptance jsonb, extra jsonb, path text, archived_at timestamptz,
        deleted_at timestamptz)
where b.project = %(project)s and b.id = c.id and b.id = any(%(ids)s)
returning b.id

-- name: forget_tombstones
delete from backlog
where project = %(project)s and deleted_at is not null and (id = any(%(ids)s) or idempotency_key = any(%(keys)s))

-- name: cards_by_key
select {card} from backlog b where b.project = %(project)s and b.idempotency_key = any(%(keys)s)

-- name: reach
with recursive reach (id) as (
    select unnest(%(ids)s::text[])
    union
    select e.dependency from reach r join backlog_edge e on e.project = %(project)s and e.card = r.id
)
select e.card, e.dependency from reach r join backlog_edge e on e.project = %(project)s and e.card = r.id

-- name: dependents
select e.card from backlog_edge e
join backlog b on b.project = e.project and b.id = e.card
where e.project = %(project)s and e.dependency = %(id)s and e.card <> e.dependency
  and b.deleted_at is null and b.archived_at is null
order by e.card

-- name: new_commit
insert into backlog_commit (project, id, replica) values (%(project)s, %(id)s, %(replica)s)
on conflict do nothing returning true

-- name: leave_out
update backlog_commit set left_out = %(ids)s where project = %(project)s and id = %(id)s

-- name: left_out
select left_out from backlog_commit where project = %(project)s and id = %(id)s

-- name: record_conflicts
insert into backlog_conflict (project, id, field, base, local, remote, winner, replica, digest)
select %(project)s, c.id, c.field, c.base, c.local, c.remote, c.winner, %(replica)s, c.digest
from unnest(%(id)s::text[], %(field)s::text[], %(base)s::text[], %(local)s::text[], %(remote)s::text[],
            %(winner)s::text[], %(digest)s::text[])
     with ordinality c (id, field, base, local, remote, winner, digest, place)
order by c.place
on conflict do nothing

-- name: conflicts
select seq, id, field, base, local, remote, winner, replica, at, settled, settled_at
from backlog_conflict
where project = %(project)s and (%(settled)s or settled is null) order by seq

-- name: settle
update backlog_conflict set settled = %(how)s, settled_at = now()
where project = %(project)s and seq = %(seq)s returning seq

-- name: touch_replica
insert into backlog_replica as r (project, replica, host, path)
values (%(project)s, %(replica)s, %(host)s, %(path)s)
on conflict (project, replica) do update
set host = excluded.host, path = excluded.path, seen_at = now()
where r.seen_at < now() - interval '1 minute' or r.host <> excluded.host or r.path <> excluded.path
returning replica

-- name: replicas
select replica, host, path, seen_at from backlog_replica
where project = %(project)s order by seen_at desc, replica

-- name: project_users
select project, host, path from backlog_replica

-- name: reserve_ids
insert into backlog_id as n (project, prefix, next)
values (%(project)s, %(prefix)s, %(floor)s::bigint + 1 + %(count)s::bigint)
on conflict (project, prefix) do update
set next = greatest(n.next, %(floor)s::bigint + 1) + %(count)s::bigint
returning next - %(count)s::bigint

-- name: history
select place.xmin::text, h.seq, h.at, h.id, h.version, h.op, h.actor, h.face, h.before, h.after
from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin) place
left join (select * from backlog_history
           where project = %(project)s and (%(id)s::text is null or id = %(id)s)
           order by seq desc limit %(limit)s) h on true
order by h.seq

-- name: history_since
-- What changed since is found through the feed's indexes, its entries through the history's own.
select place.xmin::text, h.seq, h.at, h.id, h.version, h.op, h.actor, h.face, h.before, h.after
from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin) place
left join (
    select h.* from (
        select b.id from backlog b where b.project = %(project)s and b.changed_xid >= %(xmin)s::xid8
        union
        select g.id from backlog_history g
        where g.project = %(project)s and g.xid >= %(xmin)s::xid8 and g.op in ('delete', 'truncate')) touched
    join backlog_history h on h.project = %(project)s and h.id = touched.id and h.xid >= %(xmin)s::xid8
    where %(id)s::text is null or h.id = %(id)s) h on true
order by h.seq

-- Transactions below xmin have all ended: what they wrote, ordered by them, can get no entry in between any more.
-- name: trail
select exists (select from backlog_history h where h.project = %(project)s and h.xid >= place.xmin), h.*
from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin) place
left join lateral (
    select h.seq, h.at, h.id, h.version, h.op, h.actor, h.face, h.before, h.after
    from backlog_history h
    where h.project = %(project)s and h.xid < place.xmin
      and (%(after)s::bigint is null
           or (h.xid, h.seq) > ((select last.xid from backlog_history last where last.seq <= %(after)s
                                 order by last.seq desc limit 1), %(after)s::bigint))
    order by h.xid, h.seq limit %(limit)s) h on true

-- name: prune_history
delete from backlog_history h
where h.project = %(project)s and h.at < now() - make_interval(secs => %(age)s)
  and (h.op not in ('delete', 'truncate')
       or exists (select from backlog_history later
                  where later.project = h.project and later.id = h.id and later.seq > h.seq
                    and later.op in ('delete', 'truncate')))

-- name: prune_commits
delete from backlog_commit where project = %(project)s and at < now() - make_interval(secs => %(age)s)

-- name: prune_replicas
delete from backlog_replica where project = %(project)s and seen_at < now() - make_interval(secs => %(age)s)

-- name: list
select {card} from backlog b where {listed} order by b.priority desc, b.created_at, b.id

-- A page is chosen by ids alone: sorting whole rows to find it would take twice as long.
-- name: list_page
select {card} from backlog b
where b.project = %(project)s and b.id = any(array(
    select b.id from backlog b where {listed} order by b.priority desc, b.created_at, b.id limit %(limit)s))
order by b.priority desc, b.created_at, b.id

-- name: mission_cards
select b.id, b.path, b.phase, b.status from backlog b
where b.project = %(project)s and b.deleted_at is null and b.archived_at is null

-- Leases are transactions of their own, of one statement: one of those under way notifies for all (backlog_notify).
-- name: claim
update backlog b set status = 'claimed', claim_owner = %(owner)s, claim_ttl_seconds = %(ttl)s,
                     claimed_at = now(), attempts = b.attempts + 1
where set_config('syncd.notify', 'shared', true) is not null
  and b.project = %(project)s and b.id = (
    select id from backlog
    where project = %(project)s and status = 'ready' and unmet = 0
      and deleted_at is null and archived_at is null and (run_after is null or run_after <= now())
      and not exists (select from backlog_meta where project = %(project)s and key = 'paused')
    order by priority desc, created_at, id
    limit 1 for no key update skip locked)
returning {card}

-- A limit that is a parameter is planned anew each time: the common claim of one card has its own text.
-- name: claim_many
with chosen as materialized (
    select project, id from backlog
    where project = %(project)s and status = 'ready' and unmet = 0
      and deleted_at is null and archived_at is null and (run_after is null or run_after <= now())
      and not exists (select from backlog_meta where project = %(project)s and key = 'paused')
    order by priority desc, created_at, id
    limit %(count)s for no key update skip locked
)
update backlog b set status = 'claimed', claim_owner = %(owner)s, claim_ttl_seconds = %(ttl)s,
                     claimed_at = now(), attempts = b.attempts + 1
from chosen where b.project = chosen.project and b.id = chosen.id
returning {card}

-- name: claim_id
update backlog b set status = 'claimed', claim_owner = %(owner)s, claim_ttl_seconds = %(ttl)s,
                     claimed_at = now(), attempts = b.attempts + 1
where set_config('syncd.notify', 'shared', true) is not null
  and b.project = %(project)s and b.id = %(id)s and b.unmet = 0
  and b.deleted_at is null and b.archived_at is null
  and (b.status = 'ready' and (b.run_after is null or b.run_after <= now())
       or b.status = 'claimed' and b.claimed_at + make_interval(secs => b.claim_ttl_seconds) <= now())
  and not exists (select from backlog_meta where project = %(project)s and key = 'paused')
returning {card}

-- name: paused
select exists (select from backlog_meta where project = %(project)s and key = 'paused')

-- Who waits for a card is told that there may be one again.
-- name: resume
with gone as (delete from backlog_meta where project = %(project)s and key = 'paused' returning 1)
select pg_notify('syncd', '') from gone

-- name: pause
insert into backlog_meta (project, key, value) values (%(project)s, 'paused', now()::text)
on conflict do nothing returning key

-- name: standing
select now(), exists (select from backlog_meta where project = %(project)s and key = 'paused'), b.id = %(id)s, {card}
from backlog b
where b.project = %(project)s and b.deleted_at is null
  and (b.id = %(id)s or b.id in (select dependency from backlog_edge where project = %(project)s and card = %(id)s))

-- name: next_due
select extract(epoch from least(
    (select min(run_after) from backlog
     where project = %(project)s and status = 'ready' and run_after > now() and unmet = 0
       and deleted_at is null and archived_at is null),
    (select min(claimed_at + make_interval(secs => claim_ttl_seconds)) from backlog
     where project = %(project)s and status = 'claimed' and deleted_at is null
       and claimed_at + make_interval(secs => claim_ttl_seconds) > now())) - now())::float8

-- name: renew
update backlog b set claimed_at = now(), claim_ttl_seconds = coalesce(%(ttl)s, b.claim_ttl_seconds)
where set_config('syncd.notify', 'shared', true) is not null
  and b.project = %(project)s and b.id = %(id)s and b.deleted_at is null
  and b.status = 'claimed' and b.claim_owner = %(owner)s
  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)
  and (b.claim_ttl_seconds is null or b.claimed_at is null
       or b.claimed_at + make_interval(secs => b.claim_ttl_seconds) > now())
returning {card}

-- name: release
update backlog b set status = 'ready', claim_owner = null, claim_ttl_seconds = null, claimed_at = null
where set_config('syncd.notify', 'shared', true) is not null
  and b.project = %(project)s and b.id = %(id)s and b.deleted_at is null
  and b.status = 'claimed' and b.claim_owner = %(owner)s
  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)
returning {card}

-- name: complete
update backlog b set status = 'done', claim_owner = null, claim_ttl_seconds = null, claimed_at = null,
                     run_after = null, last_error = null, failures = 0
where set_config('syncd.notify', 'shared', true) is not null
  and b.project = %(project)s and b.id = %(id)s and b.deleted_at is null and b.status <> 'done'
  and (%(owner)s::text is null or (b.status = 'claimed' and b.claim_owner = %(owner)s))
  and (%(attempt)s::integer is null or (b.status = 'claimed' and b.attempts = %(attempt)s))
returning {card}

-- name: finisher
-- Who held a done card when it was finished, as far as the audit trail tells.
select before->>'claim_owner' from backlog_history
where project = %(project)s and id = %(id)s and after->>'status' = 'done' and before->>'status' is distinct from 'done'
order by seq desc limit 1

-- name: fail
update backlog b set
    status = case when %(delay)s::float8 is null then 'blocked' else 'ready' end::backlog_status,
    claim_owner = null, claim_ttl_seconds = null, claimed_at = null, failures = b.failures + 1,
    run_after = now() + make_interval(secs => %(delay)s), last_error = %(error)s
where b.project = %(project)s and b.id = %(id)s
returning {card}

-- name: retry
update backlog b set status = 'ready', run_after = null, last_error = null, failures = 0
where b.project = %(project)s and b.id = %(id)s and b.deleted_at is null and b.status in ('ready', 'blocked')
returning {card}

-- name: block
update backlog b set status = 'blocked', claim_owner = null, claim_ttl_seconds = null, claimed_at = null,
                     last_error = coalesce(%(reason)s, b.last_error)
where b.project = %(project)s and b.id = %(id)s and b.deleted_at is null
  and (%(attempt)s::integer is null or (b.attempts = %(attempt)s and b.status = 'claimed'))
returning {card}

-- name: unblock
update backlog b set status = 'ready', run_after = null, last_error = null, failures = 0
where b.project = %(project)s and b.id = %(id)s and b.deleted_at is null and b.status = 'blocked'
returning {card}

-- name: reclaim
with expired as materialized (
    select project, id from backlog
    where project = %(project)s and status = 'claimed' and deleted_at is null
      and claimed_at + make_interval(secs => claim_ttl_seconds) <= now()
    order by id for no key update skip locked
)
update backlog b set status = 'ready', claim_owner = null, claim_ttl_seconds = null, claimed_at = null
from expired where b.project = expired.project and b.id = expired.id
returning b.id

-- name: reclaim_id
update backlog b set status = 'ready', claim_owner = null, claim_ttl_seconds = null, claimed_at = null
where b.project = %(project)s and b.id = %(id)s and b.status = 'claimed' and b.deleted_at is null
returning b.id

-- name: counts
select b.status::text, count(*),
       count(*) filter (where b.status = 'ready' and b.run_after > now()),
       count(*) filter (where b.status = 'blocked' and b.last_error is not null),
       count(*) filter (where b.status = 'claimed'
                        and b.claimed_at + make_interval(secs => b.claim_ttl_seconds) <= now()),
       extract(epoch from now() - min(b.created_at) filter (where b.status = 'ready'))::float8
from backlog b
where b.project = %(project)s and b.deleted_at is null and b.archived_at is null
group by b.status

-- A transaction of its own: every one that was under way before has a lower id.
-- name: next_transaction
select pg_current_xact_id()::text

-- name: oldest_transaction
select pg_snapshot_xmin(pg_current_snapshot())::text

-- name: poll
select {last}::text

-- name: missions_place
select coalesce((select value::bigint from backlog_meta where project = %(project)s and key = 'missions'), 0)

-- One statement, one snapshot: what changed while it was read shows in the next place.
-- name: missions
select coalesce((select value::bigint from backlog_meta where project = %(project)s and key = 'missions'), 0),
       backlog_epoch(),
       (select jsonb_agg(to_jsonb(m)) from mission m where m.project = %(project)s),
       (select jsonb_agg(to_jsonb(m)) from milestone m where m.project = %(project)s),
       (select jsonb_agg(to_jsonb(s)) from mission_session s where s.project = %(project)s)

-- A record's fields come as JSON; what they leave out has its column's default, or stays.
-- name: create_mission
insert into mission (project, id, name, description, status, project_path, tasks_file, manifest_file,
                     quality_gates, created_at, path)
select %(project)s, %(mission)s, coalesce(r.name, %(mission)s), r.description, coalesce(r.status, 'active'),
       r.project_path, r.tasks_file, r.manifest_file, r.quality_gates, coalesce(r.created_at, now()), r.path
from jsonb_populate_record(null::mission, %(fields)s::jsonb) r
on conflict do nothing returning id

-- name: update_mission
update mission m set (name, description, status, project_path, tasks_file, manifest_file, quality_gates,
                      created_at, path) = (
    select coalesce(r.name, m.id), r.description, coalesce(r.status, 'active'), r.project_path, r.tasks_file,
           r.manifest_file, r.quality_gates, coalesce(r.created_at, m.created_at), r.path
    from jsonb_populate_record(m, %(fields)s::jsonb) r)
where m.project = %(project)s and m.id = %(mission)s and (%(version)s::bigint is null or m.version = %(version)s)
returning id

-- name: remove_mission
delete from mission m
where m.project = %(project)s and m.id = %(mission)s and (%(version)s::bigint is null or m.version = %(version)s)
returning id

-- Without a place of its own a milestone comes last.
-- name: create_milestone
insert into milestone (project, mission, id, position, name, status, branch, issue, started_at, completed_at)
select %(project)s, %(mission)s, %(id)s,
       coalesce(r.position, (select max(position) + 1 from milestone
                             where project = %(project)s and mission = %(mission)s), 0),
       coalesce(r.name, %(id)s), coalesce(r.status, 'pending'), r.branch, r.issue, r.started_at, r.completed_at
from jsonb_populate_record(null::milestone, %(fields)s::jsonb) r
on conflict do nothing returning id

-- name: update_milestone
update milestone m set (position, name, status, branch, issue, started_at, completed_at) = (
    select coalesce(r.position, m.position), coalesce(r.name, m.id), coalesce(r.status, 'pending'), r.branch,
           r.issue, r.started_at, r.completed_at
    from jsonb_populate_record(m, %(fields)s::jsonb) r)
where m.project = %(project)s and m.mission = %(mission)s and m.id = %(id)s
  and (%(version)s::bigint is null or m.version = %(version)s)
returning id

-- name: remove_milestone
delete from milestone m
where m.project = %(project)s and m.mission = %(mission)s and m.id = %(id)s
  and (%(version)s::bigint is null or m.version = %(version)s)
returning id

-- A session that a file tells of was last heard of when it was written there.
-- name: create_session
insert into mission_session (project, mission, session_id, runtime, pid, milestone_id, last_task_id, started_at,
                             ended_at, ended_reason, host, boot, process_started, has_lock, seen_at)
select %(project)s, %(mission)s, %(id)s, r.runtime, r.pid, r.milestone_id, r.last_task_id,
       coalesce(r.started_at, now()), r.ended_at, r.ended_reason, r.host, r.boot, r.process_started,
       coalesce(r.has_lock, false), coalesce(r.seen_at, r.started_at, now())
from jsonb_populate_record(null::mission_session, %(fields)s::jsonb) r
on conflict do nothing returning session_id

-- name: update_session
update mission_session s set (runtime, pid, milestone_id, last_task_id, started_at, ended_at, ended_reason) = (
    select r.runtime, r.pid, r.milestone_id, r.last_task_id, coalesce(r.started_at, s.started_at), r.ended_at,
           r.ended_reason
    from jsonb_populate_record(s, %(fields)s::jsonb) r)
where s.project = %(project)s and s.mission = %(mission)s and s.session_id = %(id)s
  and (%(version)s::bigint is null or s.version = %(version)s)
returning session_id

-- name: remove_session
delete from mission_session s
where s.project = %(project)s and s.mission = %(mission)s and s.session_id = %(id)s
  and (%(version)s::bigint is null or s.version = %(version)s)
returning session_id

-- Whoever starts a session alone holds the mission's row while he looks whether anybody else is there.
-- name: lock_mission
select id from mission where project = %(project)s and id = %(mission)s for no key update

-- name: sessions
select now(), to_jsonb(s) from mission_session s
where s.project = %(project)s and (%(mission)s::text is null or s.mission = %(mission)s)
order by s.started_at, s.session_id

-- name: beat
update mission_session s set seen_at = now(),
    milestone_id = coalesce(%(milestone)s::text, s.milestone_id), last_task_id = coalesce(%(card)s::text, s.last_task_id)
where s.project = %(project)s and s.mission = %(mission)s and s.session_id = %(id)s and s.ended_at is null
returning session_id

-- name: mission_history
select h.seq, h.at, h.id, h.version, h.op, h.actor, h.face, h.before, h.after
from mission_history h
where h.project = %(project)s and (%(mission)s::text is null or h.mission = %(mission)s)
order by h.seq desc limit %(limit)s

-- Workers that were not heard of for a day are forgotten by whoever comes next.  Listeners are woken: whoever assigns
-- cards has somebody to give them to.
-- name: join_worker
with forgotten as (
    delete from worker where project = %(project)s and seen_at < now() - interval '1 day' and owner <> %(owner)s
)
insert into worker (project, owner, name, host, machine, pid, concurrency, ttl_seconds, takes_assigned)
values (%(project)s, %(owner)s, %(base)s, %(host)s, %(machine)s, %(pid)s, %(concurrency)s, %(ttl)s, %(assigned)s)
on conflict do nothing
returning owner, pg_notify('syncd', '')

-- name: beat_worker
update worker set seen_at = now(), cards = %(cards)s::jsonb
where project = %(project)s and owner = %(owner)s returning owner

-- name: leave_worker
delete from worker where project = %(project)s and owner = %(owner)s returning owner

-- name: workers
select owner, name, host, machine, pid, concurrency, ttl_seconds, takes_assigned, cards, started_at, seen_at,
       extract(epoch from now() - seen_at)::float8, drain_requested_at, kill_requested_at, requested_by
from worker where project = %(project)s order by name, started_at, owner

-- One row for each lease that the worker holds, or one row without; none for a worker that is not known.
-- name: worker_orders
select w.drain_requested_at is not null, w.kill_requested_at is not null, w.requested_by, b.id, b.attempts
from worker w
left join backlog b on b.project = w.project and b.claim_owner = w.owner and b.status = 'claimed'
                   and b.deleted_at is null
where w.project = %(project)s and w.owner = %(owner)s

-- Listeners are woken, and the workers that are meant find the order.
-- name: order_drain
with told as (
    update worker set drain_requested_at = coalesce(drain_requested_at, now()), requested_by = %(by)s
    where project = %(project)s and owner = any(%(owners)s) returning owner
)
select owner, pg_notify('syncd', '') from told

-- name: order_kill
with told as (
    update worker set kill_requested_at = coalesce(kill_requested_at, now()), requested_by = %(by)s
    where project = %(project)s and owner = any(%(owners)s) returning owner
)
select owner, pg_notify('syncd', '') from told

-- name: examine_triggers
select t.tgname::text, c.relname::text, t.tgenabled::text
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where not t.tgisinternal and c.relnamespace = current_schema()::regnamespace

-- name: examine_indexes
select c.relname::text, i.indisvalid and i.indisready
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
where c.relnamespace = current_schema()::regnamespace
  and (t.relname like 'backlog%' or t.relname in ('mission', 'milestone', 'mission_session', 'mission_history', 'worker'))

-- name: examine_counts
select b.id
from backlog b
left join backlog_edge e on e.project = b.project and e.card = b.id
left join backlog d on d.project = e.project and d.id = e.dependency
where b.project = %(project)s
group by b.project, b.id, b.unmet
having b.unmet <> count(e.dependency) filter (where not backlog_is_met(d.status, d.deleted_at))
order by b.id
limit 100

-- name: examine_snapshots
select coalesce(extract(epoch from now() - min(xact_start)), 0)::float8,
       (array_agg(format('process %s of %s (%s)', pid, coalesce(nullif(application_name, ''), usename::text), state)
                  order by xact_start))[1]
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and backend_xmin is not null

-- name: examine_rows
select coalesce(sum(n_live_tup), 0)::int8, coalesce(sum(n_dead_tup), 0)::int8
from pg_stat_user_tables where schemaname = current_schema() and relname like 'backlog%'

-- name: examine_connections
select (select count(*) from pg_stat_activity where backend_type = 'client backend')::int,
       current_setting('max_connections')::int

-- Restoring: the rows of a backup stand in the temporary table restored.
-- name: live_cards
select count(*) from backlog where project = %(project)s and deleted_at is null

-- name: restore_history
insert into backlog_history (project, id, version, op, actor, face, at, before, after)
select %(project)s, h.id, h.version, h.op, h.actor, h.face, h.at, h.before, h.after
from restored r, jsonb_populate_record(null::backlog_history, r.row) h
where r.kind = 'backlog_history' and not exists (select from backlog_history where project = %(project)s)
order by h.seq

-- name: restore_removed
update backlog b set deleted_at = now(), idempotency_key = null,
                     status = case b.status when 'claimed' then 'ready' else b.status end
where b.project = %(project)s and b.deleted_at is null
  and not exists (select from restored r where r.kind = 'backlog' and r.row ->> 'id' = b.id)

-- A lease is not brought back, and no attempt number is given twice.
-- name: restore_changed
update backlog b set
    title = s.title, body = s.body, phase = s.phase, priority = s.priority, depends_on = s.depends_on,
    status = case s.status when 'claimed' then 'ready' else s.status end,
    claim_owner = null, claim_ttl_seconds = null, claimed_at = null, attempts = greatest(b.attempts, s.attempts),
    idempotency_key = s.idempotency_key, acceptance = s.acceptance, created_at = s.created_at, failures = s.failures,
    max_retries = s.max_retries, run_after = s.run_after, last_error = s.last_error, path = s.path, extra = s.extra,
    archived_at = s.archived_at, deleted_at = s.deleted_at, version = greatest(b.version, s.version)
from restored r, jsonb_populate_record(null::backlog, r.row) s
where r.kind = 'backlog' and b.project = %(project)s and b.id = s.id
  and (b.title, b.body, b.phase, b.priority, b.depends_on, b.status, b.idempotency_key, b.acceptance, b.created_at,
       b.failures, b.max_retries, b.run_after, b.last_error, b.path, b.extra, b.archived_at, b.deleted_at)
      is distinct from
      (s.title, s.body, s.phase, s.priority, s.depends_on, case s.status when 'claimed' then 'ready' else s.status end,
       s.idempotency_key, s.acceptance, s.created_at, s.failures, s.max_retries, s.run_after, s.last_error, s.path,
       s.extra, s.archived_at, s.deleted_at)

-- name: restore_added
insert into backlog (project, id, title, body, phase, priority, status, depends_on, attempts, idempotency_key,
                     acceptance, created_at, updated_at, version, failures, max_retries, run_after, last_error, path,
                     extra, archived_at, deleted_at)
select %(project)s, s.id, s.title, s.body, s.phase, s.priority,
       case s.status when 'claimed' then 'ready' else s.status end, s.depends_on, s.attempts, s.idempotency_key,
       s.acceptance, s.created_at, s.updated_at, s.version, s.failures, s.max_retries, s.run_after, s.last_error,
       s.path, s.extra, s.archived_at, s.deleted_at
from restored r, jsonb_populate_record(null::backlog, r.row) s
where r.kind = 'backlog' and not exists (select from backlog b where b.project = %(project)s and b.id = s.id)
order by s.id

-- name: restore_conflicts
insert into backlog_conflict (project, id, field, base, local, remote, winner, replica, at, digest, settled, settled_at)
select %(project)s, c.id, c.field, c.base, c.local, c.remote, c.winner, c.replica, c.at, c.digest, c.settled,
       c.settled_at
from restored r, jsonb_populate_record(null::backlog_conflict, r.row) c
where r.kind = 'backlog_conflict' and not exists (
    select from backlog_conflict o where o.project = %(project)s and o.digest = c.digest and o.at = c.at)
order by c.seq
on conflict do nothing

-- name: restore_meta
insert into backlog_meta (project, key, value)
select %(project)s, 'paused', r.row ->> 'value' from restored r
where r.kind = 'backlog_meta' and r.row ->> 'key' = 'paused'
on conflict do nothing

-- name: restore_ids
insert into backlog_id as n (project, prefix, next)
select %(project)s, s.prefix, s.next
from restored r, jsonb_populate_record(null::backlog_id, r.row) s where r.kind = 'backlog_id'
on conflict (project, prefix) do update set next = greatest(n.next, excluded.next)

-- name: restore_missions
insert into mission (project, id, name, description, status, project_path, tasks_file, manifest_file, quality_gates,
                     path, extra, version, created_at)
select %(project)s, m.id, m.name, m.description, m.status, m.project_path, m.tasks_file, m.manifest_file,
       m.quality_gates, m.path, m.extra, m.version, m.created_at
from restored r, jsonb_populate_record(null::mission, r.row) m where r.kind = 'mission'
on conflict (project, id) do update set
    name = excluded.name, description = excluded.description, status = excluded.status,
    project_path = excluded.project_path, tasks_file = excluded.tasks_file, manifest_file = excluded.manifest_file,
    quality_gates = excluded.quality_gates, path = excluded.path, extra = excluded.extra

-- name: restore_milestones
insert into milestone (project, mission, id, position, name, status, branch, issue, started_at, completed_at, extra,
                       version)
select %(project)s, m.mission, m.id, m.position, m.name, m.status, m.branch, m.issue, m.started_at, m.completed_at,
       m.extra, m.version
from restored r, jsonb_populate_record(null::milestone, r.row) m where r.kind = 'milestone'
on conflict (project, mission, id) do update set
    position = excluded.position, name = excluded.name, status = excluded.status, branch = excluded.branch,
    issue = excluded.issue, started_at = excluded.started_at, completed_at = excluded.completed_at,
    extra = excluded.extra

-- A session that ran then does not run now.
-- name: restore_sessions
insert into mission_session (project, mission, session_id, runtime, pid, milestone_id, last_task_id, started_at,
                             ended_at, ended_reason)
select %(project)s, m.mission, m.session_id, m.runtime, m.pid, m.milestone_id, m.last_task_id, m.started_at,
       coalesce(m.ended_at, now()), coalesce(m.ended_reason, 'restored')
from restored r, jsonb_populate_record(null::mission_session, r.row) m where r.kind = 'mission_session'
on conflict do nothing
