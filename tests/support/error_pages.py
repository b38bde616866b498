"""The page on errors: for each exit code, error code and problem code its cause and its remedy.

The codes and their meaning come from the code; cause and remedy are written here, for people.  A test holds that
none is missing, and none is left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

EXIT_CODES: Mapping[int, str] = {
    0: "Done; also when there was nothing to do, nothing to claim, or it was so already.",
    1: "A check says no: `status --exit-code` with drift, `parse --check` with problems, `verify` with differences, "
    "`doctor` with something that does not work, `git merge-driver` with conflicts left. What was asked was done.",
    2: "The command was given wrongly. Nothing was done.",
    3: "What was named is not there. Nothing was done.",
    4: "Understood and refused: a rule, somebody's lease or a guard says no. Nothing was done.",
    5: "The store is away and the command needs it. Try again; edits in the files wait safely.",
    70: "A bug. The message names a file with the details, passwords taken out; please report it.",
    74: "The disk is full, a permission is missing, or a file cannot be read. Nothing was half written.",
    75: "Somebody else has what this needs. Try again later.",
    78: "The configuration, the credentials or the schema have to be mended first. Trying again does not help.",
    130: "You pressed Ctrl-C.",
    141: "The program that read the output has ended.",
}

ERRORS: Mapping[str, tuple[str, str]] = {
    "usage": (
        "An option or command that does not exist, a value that is missing, a question that nobody is there to answer.",
        "`syncd COMMAND --help` shows what there is, with an example. In scripts, `--yes` answers questions.",
    ),
    "bad-value": (
        "A field or option cannot hold this: a priority that is no number, an id with white space, a file of 20 MB.",
        "The message names the value and what would be right. `syncd schema card` has the shapes.",
    ),
    "not-found": (
        "No card, conflict, hold or file of this name; or the folder, and those above it, are no workspace.",
        "`syncd backlog list` shows the ids, compared exactly. `syncd init` makes a workspace; `-C DIR` names another.",
    ),
    "refused": (
        "A rule says no: others depend on the card, a mode or a place cannot do it, a trigger of the database objects.",
        "The message names the rule. `syncd backlog why ID` says what stands between a card and a claim.",
    ),
    "held": (
        "A guard took a change for a mishap, and keeps it back until a person has looked.",
        "`syncd held` shows why. `syncd accept ID` lets it through, `syncd reject ID` undoes it in the file.",
    ),
    "not-owner": (
        "The lease is somebody else's, or yours ended and the card was given out again, with a later attempt number.",
        "Stop working on that card. `syncd backlog show ID` says whose it is; claim another one.",
    ),
    "cycle": (
        "With this dependency the cards would wait for one another in a circle.",
        "The message prints the circle. Take one of its dependencies out: `syncd backlog unlink`.",
    ),
    "paused": (
        "Somebody stopped the queue with `syncd backlog pause`.",
        "`syncd backlog resume`, when the reason is over.",
    ),
    "stale-version": (
        "The card changed since you read it, so that your `--if-version` is no longer its version.",
        "Read it again, look whether your change still makes sense, and repeat it with the new version.",
    ),
    "already-exists": (
        "A card of this id exists in the project, perhaps deleted.",
        "Take another id, or `syncd restore ID`. To repeat a creation safely use `--idempotency-key`.",
    ),
    "store-unreachable": (
        "The database does not answer: it is down, the network is, or its host's name is not resolved.",
        "`syncd doctor` says which. The daemon tries again by itself; edits in the files wait.",
    ),
    "bug": (
        "The program came into a state that it believed impossible.",
        "Report it with the file that the message names. `--debug` shows more. Nothing that was durable is lost.",
    ),
    "io": (
        "No room on the disk, a permission that is missing, a file system that is read-only, too many open files.",
        "The message names the place. `syncd doctor` looks at room, modes and limits. Then run the command again.",
    ),
    "store-damaged": (
        "The manifest or its log was changed by hand or by a failing disk: a checksum does not fit.",
        "Both files are kept. Bring a whole copy back. Without one, move `.syncd/manifest.json` and "
        "`.syncd/manifest.log` away, then `syncd sync` and `syncd accept`: the task files make the cards anew.",
    ),
    "busy": (
        "Another daemon, another cycle, a script with the lock for editing, or another database session is at it.",
        "Try again in a moment. `syncd doctor` names who holds which lock.",
    ),
    "stopping": (
        "The daemon of the workspace begins, ends, or reads its settings anew, for longer than commands wait for it.",
        "Try again in a moment; nothing was begun.",
    ),
    "config": (
        "`syncd.yaml` has an unknown key or a wrong value, or an option of the database's URL is wrong.",
        "The message has file and line. `syncd config get` prints what is in force; the reference has every key.",
    ),
    "credentials": (
        "The server refused the user, the password or the certificate.",
        "Check the URL in the environment and `~/.pgpass`. After a new password run `syncd service install` "
        "again: the service keeps the URL in a file of its own.",
    ),
    "schema-version": (
        "The database has no schema of syncd's, an older or a newer one, or a `backlog` table of another program.",
        "Older or none: `syncd db migrate`. Newer: install that syncd. Another program's: `syncd db adopt --dry-run`.",
    ),
    "store-mismatch": (
        "The workspace was made with one store, and the environment of this shell names another.",
        "Unset or set the variable that the message names.",
    ),
}

PROBLEMS: Mapping[str, tuple[str, str]] = {
    "bad-front-matter": (
        "The block between the two `---` lines at the top is no YAML.",
        "Mend the line that the message names. The rest of the file is read as if the block said nothing.",
    ),
    "bad-id": (
        "An id cell holds white space, a control character, or more than 128 characters.",
        "Shorten it, or leave the cell empty: the row then gets the next free id.",
    ),
    "bad-mission-field": (
        "A value of `mission.json` has another type than its key takes, such as a number where a text belongs.",
        "Mend that value; the others are synced meanwhile.",
    ),
    "bad-priority": (
        "A priority that is neither a number nor one of the known words, or outside `priority_range`.",
        "Write a whole number; higher is sooner.",
    ),
    "bad-settings": (
        "The settings were edited while the daemon runs, and are wrong now: a key or a value that there is not, or "
        "another store. The daemon goes on with those that it read before.",
        "Mend the line; the daemon takes the settings up by itself. A daemon that starts now would refuse them.",
    ),
    "cannot-write": (
        "The folder is read-only, the disk is full, or the file belongs to somebody else.",
        "Make room or give the right. It is tried again every few seconds; until then the file lags behind the store.",
    ),
    "cycle": (
        "Cards depend on one another in a circle; no claim will ever get one of them.",
        "Take one of the dependencies out that the message lists.",
    ),
    "duplicate-id": (
        "A row was copied with its id. The first occurrence is the card; the others are left alone.",
        "Give the copy another id, or empty its id cell.",
    ),
    "invalid-json": (
        "`mission.json` is no JSON: half written, or a comma too many.",
        "Mend it at the place that is named. Until then it is neither read nor written.",
    ),
    "no-delimiter-row": (
        "The line of dashes below a table's header is missing, so it is no table.",
        "Put `|---|---|` below the header, one for each column.",
    ),
    "no-mission": (
        "The file names no mission.",
        "Give it a `mission_id`.",
    ),
    "no-task-table": (
        "The store has cards for a file in which nothing looks like a task list.",
        "Put a table with an id and a status column into it, or a checklist; or name another file in `tasks:`.",
    ),
    "hard-linked": (
        "The file has a second name (a hard link). A write makes a new file under the first one only.",
        "Make the other names symbolic links, or copies.",
    ),
    "not-configured": (
        "Cards stand in a file that `tasks:` does not name any more. They stay as they are.",
        "Name the file again, or move the rows to one that is named.",
    ),
    "not-utf8": (
        "The file is in another encoding, or damaged.",
        "Save it as UTF-8. Until then nothing is read from it and nothing written.",
    ),
    "nul-byte": (
        "The file holds a zero byte: often what a crash or a full disk leaves.",
        "Bring it back: `syncd undo FILE`, or from git. Until then it is left untouched.",
    ),
    "outside-workspace": (
        "A path in `mission.json` is absolute, has `..`, or leads out through a link.",
        "Write a path inside the workspace. The one that is there is not opened.",
    ),
    "refused": (
        "The database says no to a value: a constraint or a trigger of its own, or a character that it cannot hold.",
        "Change that value in the file, which keeps it until then. The other cards go on.",
    ),
    "self-dependency": (
        "A card lists itself among its dependencies.",
        "Take it out; that one is not read.",
    ),
    "state-lost": (
        "`.syncd/state.db` was damaged and put aside. Both sides are compared anew; nothing is deleted for it.",
        "Look through `syncd conflicts` once. The message ends by itself.",
    ),
    "too-few-cells": (
        "A row, or the line below the header, has fewer cells than the header; often a row that is being written.",
        "Complete the row. Missing cells at its end count as empty.",
    ),
    "too-large": (
        "The file is over `bytes_max` (16 MiB).",
        "Split it, or raise the limit: `syncd config set bytes_max 33554432`.",
    ),
    "too-many-cells": (
        "A row has more cells than the header: mostly a `|` in a text.",
        "Write it as `\\|`. Until then only the row's id is read.",
    ),
    "unknown-dependency": (
        "A card waits for one that is neither in a file nor in the store, and so waits for ever.",
        "Correct the id, or make the missing card.",
    ),
    "unknown-status": (
        "A status word that means none of the four states.",
        "Use a known word, or teach it: `syncd config set statuses '{parked: blocked}'`. The card's state stays.",
    ),
    "unplaceable": (
        "A card of the store has an id that no row can show, such as one with a `|`.",
        "It works in the queue all the same. To see it in a file make it anew with another id.",
    ),
    "unreadable": (
        "The file cannot be read: a permission, or it changes faster than it can be read.",
        "Give the right. One that keeps changing is read when it rests.",
    ),
}


def page(codes: Mapping[str, tuple[int, str]], problems: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        codes: each error code with its exit code and its meaning.
        problems: each problem code with its meaning.
    """
    return "\n".join([_HEAD, *_exits(), *_errors(codes), *_problems(problems)])


_HEAD = """\
# When something is wrong

Every failure has one line that says what, one that says what to do, and an exit code that scripts can rely on. With
`--json` it is one JSON object, the last line of stderr. There is never a traceback, and never a password. This page has
for each of them where it comes from and what helps. `syncd doctor` looks for most of it by itself.
"""


def _exits() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| exit | what happened |\n| --- | --- |"
    for code, text in EXIT_CODES.items():
        yield f"| {code} | {text} |"
    yield "\n`with-lock` and `work` end with the code of the command that they run.\n"


def _errors(codes: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    yield "## Errors\n"
    for code, (number, meaning) in codes.items():
        cause, remedy = ERRORS[code]
        yield f"### `{code}`\n\n{meaning} Exit code {number}.\n\n**Why:** {cause}\n\n**What helps:** {remedy}\n"


def _problems(problems: Mapping[str, str]) -> Iterator[str]:
    yield "## Problems in files\n"
    yield (
        "A problem never stops the rest of the file, never deletes anything, is shown by `syncd status`, and ends by\n"
        "itself when the file is mended.\n"
    )
    for code, meaning in sorted(problems.items()):
        cause, remedy = PROBLEMS[code]
        title = code if code not in ERRORS else f"{code} (problem)"
        yield f"### `{title}`\n\n{meaning}\n\n**Why:** {cause}\n\n**What helps:** {remedy}\n"
