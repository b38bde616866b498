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
