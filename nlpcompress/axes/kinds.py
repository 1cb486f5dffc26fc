"""What kind of axis an atom is, from the roles it was seen in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nlpcompress.axes.atoms import Atom, leaves
from nlpcompress.axes.notes import MAKERS, Note, Role

# The first of these roles that an atom was seen in decides.
KINDS: dict[Role, str] = {
    Role.HEAD_DIM: "head_dim",
    Role.ROWS: "vocabulary",
    Role.GROUPS: "groups",
    Role.PARTS: "parts",
    Role.KERNEL: "kernel",
    Role.NORMALISED: "width",
    Role.EMBEDDING_OUT: "width",
    Role.CONV_OUT: "channels",
    Role.LINEAR_OUT: "neurons",
}
ROWS = {r"position|relative|rel_|wpe": "positions", r"token_type|segment": "token_types"}
OTHER = "other"


@dataclass
class Sighting:
    """All notes about one atom, in graph order."""

    notes: list[Note] = field(default_factory=list)
    attention: list[int] = field(default_factory=list)  # its place among the heads of each product

    @property
    def order(self) -> int:
        return min((note.order for note in self.notes), default=1 << 30)

    @property
    def roles(self) -> set[Role]:
        return {note.role for note in self.notes}

    @property
    def makers(self) -> list[str]:
        """Modules that make the axis."""
        return [note.where for note in self.notes if note.role in MAKERS]


def sightings(notes: Iterable[Note], known: Mapping[Atom, object]) -> dict[Atom, Sighting]:
    """The notes by atom, for atoms that lie in some parameter or buffer."""
    found: dict[Atom, Sighting] = {}
    for note in notes:
        atoms = [factor.atom for factor in leaves(note.dim) if factor.atom in known]
        for place, atom in enumerate(atoms):
            sighting = found.setdefault(atom, Sighting())
            sighting.notes.append(note)
            if note.role is Role.ATTENTION:
                sighting.attention.append(place if len(atoms) > 1 else -1)
    return found


def kind_of(sighting: Sighting) -> str:
    """The batch atoms of an attention are its heads; of two, the outer one are key-value heads.

    What an attention product sums over is a head size only if some layer makes it: a table of
    relative positions is multiplied in the same way.
    """
    if sighting.attention:
        return "kv_heads" if sighting.attention[0] == 0 else "heads"
    roles = sighting.roles if sighting.makers else sighting.roles - {Role.HEAD_DIM}
    role = next((role for role in KINDS if role in roles), None)
    if role is Role.ROWS:
        return _rows(sighting)
    if role is Role.LINEAR_OUT and Role.OUTPUT in sighting.roles:
        return "labels"
    return KINDS[role] if role else OTHER


def _rows(sighting: Sighting) -> str:
    where = next(note.where for note in sighting.notes if note.role is Role.ROWS)
    return next((kind for pattern, kind in ROWS.items() if re.search(pattern, where)), "vocabulary")
