"""All mutants: what keeps data safe, one entry each."""

from __future__ import annotations

from typing import Final

from tests.mutants import in_core, in_engine, in_files, in_store
from tests.mutants.mutant import Mutant

MUTANTS: Final[tuple[Mutant, ...]] = (
    *in_core.GUARDS,
    *in_core.RULES,
    *in_engine.FACTS,
    *in_engine.STEPS,
    *in_files.FILES,
    *in_files.STATE,
    *in_store.COMMITS,
    *in_store.LEASES,
    *in_store.FEED,
)
