import time, collections
from tests.end_to_end.test_daemon_among_others import *
def test_x(tmp_path, postgres_dsn):
    rows = "".join(f"| S{number} | not-started | Card of the service {number} | — | 0 | |\n" for number in range(20))
    here = desk(tmp_path / "shop", postgres_dsn, TABLE.replace("\nWords", f"{rows}\nWords"))
    here("run", "--once")
    begun = time.monotonic()
    editors = Editors(here.file, row, "\nWords")
    updates = kills = 0
    logs=[]
    try:
        while time.monotonic() - begun < 10:
            daemon, started = here.launch(), time.monotonic()
            logs.append(daemon)
            while time.monotonic() - started < KILL_EVERY_S:
                updates += 1
                here.sql("update backlog set priority = %s where id = %s", updates, f"S{updates % 20}")
                assert daemon.process.poll() is None, daemon.text
            daemon.ended(signal.SIGKILL)
            kills += 1
    finally:
        editors.close()
    print("rows", editors.rows, "updates", updates, "kills", kills, "stale", editors.stale_saves)
    with here.daemon() as d:
        time.sleep(12)
        print(d.text[-3000:])
        titles = [f"Row {number} of an editor" for number in range(editors.rows)]
        titles += [title for _, title in here.sql("select id, title from backlog where id ~ '^[AS]'")]
        f=collections.Counter(here.titles_in_file()); w=collections.Counter(titles); 
        s=collections.Counter(t for (t,) in here.sql("select title from backlog"))
        print("missing in file", w-f); print("extra in file", f-w)
        print("missing in store", w-s); print("extra in store", s-w)
        st=here.ask("status"); 
        print({k:(v if k!='drift' else v[:5]) for k,v in st.items()})
        print(here.text[-3000:])
    for l in logs[:4]: print(l.text[-1500:]); print('--')
    import shutil; shutil.copytree(tmp_path/"shop", "/tmp/dt/shop", dirs_exist_ok=True)
