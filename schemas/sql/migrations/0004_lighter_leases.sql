-- A lease is the change that is made most often: what its triggers cost is what a claim costs.  The rules are
-- those of 0003; this says them with fewer statements.

-- Only triggers write history; what they write was looked at again for each row.
alter table backlog_history drop constraint backlog_history_op;

create or replace function backlog_before_update() returns trigger
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

-- A trigger's condition is read and planned anew for each statement: one call is quicker to read than what it says.
create function backlog_has_effect() returns boolean language plpgsql stable as $$
begin
    return coalesce(current_setting('syncd.effect', true), '') <> '';
end
$$;
drop trigger backlog_after_update on backlog;
create trigger backlog_after_update after update on backlog
    referencing old table as replaced new table as written
    for each statement when (backlog_has_effect()) execute function backlog_after_update();
