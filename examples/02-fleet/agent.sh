#!/bin/sh
# An agent: does one card in a git worktree of its own and merges what it made into the main branch.
#
# `syncd work --worktree -- sh agent.sh MOOD` runs it with the card's id in SYNCD_CARD_ID, its worktree as the current
# folder, and the card as JSON on stdin (not read here: the id says it all). MOOD is how this worker's first part
# goes: well, crash, hang, or slow.
set -eu
mood=$1 id=$SYNCD_CARD_ID
part=${id#*-}

# What is merged already is not done a second time: an attempt may be cut off between the merge and its report.
if git -C "$SYNCD_WORKSPACE" log --format=%s | grep -qx "$id"; then
    exit 0
fi
case $id in
PART-*)
    if [ "$mood" != well ] && [ ! -e "$FLEET_MOODS/$mood.mood" ]; then
        touch "$FLEET_MOODS/$mood.mood"
        case $mood in
        crash) echo "the disk of this agent is on fire" >&2; kill -SEGV $$ ;;
        hang) sleep 1000 ;;
        slow) sleep 1000 & wait ;;
        esac
    fi
    ;;
esac
# Somebody else's parts may have been merged since this worktree was made.
git merge --quiet --ff-only "$(git -C "$SYNCD_WORKSPACE" rev-parse HEAD)"
case $id in
BASE)
    mkdir -p letters
    printf 'PARTS = {}\n' > letters/__init__.py
    ;;
PART-*)
    printf 'from letters import PARTS\nPARTS["%s"] = "%s"\n' "$part" "$part" > "letters/part_$part.py"
    ;;
TEST-*)
    python3 -c "import letters, letters.part_$part as each; assert letters.PARTS == {'$part': '$part'}"
    printf '%s holds\n' "$part" > "letters/$part.tested"
    ;;
BUILD)
    ls letters/*.tested | wc -l | tr -d ' ' > tested
    cat > letters/__main__.py <<'END'
import importlib, pkgutil
import letters
for each in sorted(module.name for module in pkgutil.iter_modules(letters.__path__)):
    if each != "__main__":
        importlib.import_module(f"letters.{each}")
print("".join(letters.PARTS[key] for key in sorted(letters.PARTS)))
END
    mkdir app
    cp -r letters app/
    printf 'import runpy\nrunpy.run_module("letters", run_name="__main__")\n' > app/__main__.py
    python3 -m zipapp app -o letters.pyz
    rm -r app
    ;;
SHIP)
    python3 letters.pyz > SAYS
    ;;
esac
find . -name __pycache__ -type d -prune -exec rm -r {} +
git add --all
git commit --quiet --message "$id"
# One merge at a time; each brings in the parts that others merged meanwhile.
exec 9> "$FLEET_MOODS/merge.lock"
flock 9
git merge --quiet --no-edit "$(git -C "$SYNCD_WORKSPACE" rev-parse HEAD)"
git -C "$SYNCD_WORKSPACE" merge --quiet --ff-only "$(git rev-parse HEAD)"
