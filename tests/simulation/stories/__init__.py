"""What people and workers do in worlds with absences: one module for each kind of work, with the laws that it keeps.

A field, a row, a lease has one writer at a time, so whatever clashes is nobody's will.
"""

from tests.simulation.stories.fields import Fields
from tests.simulation.stories.leases import Leases
from tests.simulation.stories.missions import Missions
from tests.simulation.stories.rows import Rows

STORIES = (Fields, Leases, Rows, Missions)
