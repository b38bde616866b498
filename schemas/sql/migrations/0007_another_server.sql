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
