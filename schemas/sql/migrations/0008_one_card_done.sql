-- A card that was completed is the commonest change that concerns dependencies: alone in its statement it needs no
-- comparison of sets.  The rules are those of 0003.
create or replace function backlog_after_update() returns trigger
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
