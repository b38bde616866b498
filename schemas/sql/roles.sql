-- Least privilege for a shared database: run by the owner of the tables, after 'syncd db migrate'; safe to repeat.
--
--   syncd_reader   reads the cards of its projects and their history
--   syncd_worker   and works on them: what a workspace, a daemon or a service needs
--   syncd_admin    and prunes, in every project; migrations stay with the tables' owner
--
-- They cannot log in.  Give one to a login, and a project to it or to any role that it is in:
--
--   create role shop_agent login password '…' in role syncd_worker;
--   insert into backlog_access (role, project) values ('shop_agent', 'shop');
--
-- Row level security holds for everybody but the tables' owner and superusers: a login that is given no
-- project sees no card.  Other clients of the table go on with the owner, or become a role with a project.

do $$
declare
    name text;
begin
    foreach name in array array['syncd_reader', 'syncd_worker', 'syncd_admin'] loop
        begin
            execute format('create role %I nologin', name);
        exception when duplicate_object or unique_violation then
            null;
        end;
        execute format('grant usage on schema %I to %I', current_schema(), name);
    end loop;
end
$$;

create table if not exists backlog_access (
    role    name not null,
    project text not null,
    constraint backlog_access_pkey primary key (role, project)
);

-- The projects of whoever asks.
create or replace function backlog_projects() returns setof text
language sql stable security definer set search_path from current as $$
    select project from backlog_access where pg_has_role(session_user, role, 'member')
$$;

grant select on backlog, backlog_edge, backlog_node, backlog_history, backlog_conflict, backlog_replica,
    backlog_commit, backlog_meta, backlog_id, backlog_migration, mission, milestone, mission_session,
    mission_history, worker to syncd_reader, syncd_worker, syncd_admin;

-- History is written by triggers in the name of whoever changes a card, and by nobody changed.
grant insert on backlog_history, mission_history to syncd_worker;
grant insert, update, delete on backlog, backlog_edge, backlog_node, backlog_conflict, backlog_replica,
    backlog_commit, backlog_meta, backlog_id, mission, milestone, mission_session, worker to syncd_worker;

grant insert, update, delete on backlog, backlog_edge, backlog_node, backlog_history, backlog_conflict,
    backlog_replica, backlog_commit, backlog_meta, backlog_id, mission, milestone, mission_session,
    mission_history, worker, backlog_access to syncd_admin;
grant select on backlog_access to syncd_admin;

-- Facts about the whole database (project '*') are everybody's to read and nobody's to write.
do $$
declare
    name text;
begin
    foreach name in array array['backlog', 'backlog_edge', 'backlog_node', 'backlog_history', 'backlog_conflict',
                                'backlog_replica', 'backlog_commit', 'backlog_meta', 'backlog_id', 'mission',
                                'milestone', 'mission_session', 'mission_history', 'worker'] loop
        execute format('alter table %I enable row level security', name);
        execute format('drop policy if exists syncd_project on %I', name);
        execute format('create policy syncd_project on %I to syncd_reader, syncd_worker'
                       ' using (project in (select backlog_projects()))', name);
        execute format('drop policy if exists syncd_everything on %I', name);
        execute format('create policy syncd_everything on %I to syncd_admin using (true)', name);
    end loop;
end
$$;
drop policy if exists syncd_facts on backlog_meta;
create policy syncd_facts on backlog_meta for select to syncd_reader, syncd_worker using (project = '*');
