"""`modelwatch init LOG...`: a commented modelwatch.toml that reads the logs as `open` would."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from collectors.contract import Deployment
from collectors.propose import Proposal
from console.commands.files import new_file
from console.errors import UsageError
from console.messages import say
from console.opening import STDIN, logs_of, proposal_of
from console.toml import configuration_toml, quality_toml
from console.views.proposal import doubt_sentence, sentences

__all__ = ["run"]

_FIELDS = {
    "feature": "features",
    "segment": "segments",
    "target": "labels",
    "received": "labels",
    "attribution": "attributions",
    "class-score": "class_scores",
}
"""Fields of a deployment whose role has another name."""


def run(options: argparse.Namespace) -> int:
    """Print the configuration, or write it; 0. Raises UsageError with the flag to give."""
    if STDIN in options.log:
        raise UsageError("a configuration names files: give their paths")
    proposal = proposal_of(logs_of(options, options.log))
    if proposal.deployment is None:
        for line in sentences(proposal):
            say(line, sys.stderr)
        raise UsageError("\n".join(doubt_sentence(doubt) for doubt in proposal.doubts))
    target = Path(options.output) if options.output else None
    base = target.absolute().parent if target is not None else Path.cwd()
    written = _written(_relative(proposal.deployment, base), proposal)
    if target is None:
        print(written, end="")  # noqa: T201 - escaped by console.toml
        return 0
    with new_file(target, replace=options.force) as place:
        place.write_text(written, encoding="utf-8")
    say(f"wrote {target}; `modelwatch check --config {target}` looks at it", sys.stderr)
    return 0


def _written(d: Deployment, proposal: Proposal) -> str:
    comments: dict[str, list[str]] = {}
    head = [
        "How modelwatch reads these logs, as it was guessed; each guess with its reason.",
        "docs/configuration.md describes every key.",
        *(note for note in proposal.notes),
    ]
    for reason in proposal.reasons:
        if not reason.role:
            head.append(f"{reason.column}: {reason.why}")
            continue
        field = _FIELDS.get(reason.role, reason.role)
        comments.setdefault(field, []).append(f"{reason.column}: {reason.why}"[:300])
    head = [line[:300] for line in head]
    clock = {"clock": "latest"}  # exported logs have ended: now is their newest row
    written = configuration_toml(d, comments, head=head, console=clock)
    return written + "\n".join(_rules(proposal)) + "\n" if proposal.quality else written


def _rules(proposal: Proposal) -> list[str]:
    """Rules of data quality as comments: whoever knows the data takes the # away."""
    if proposal.quality is None:
        return []
    given = proposal.deployment is not None and proposal.deployment.reference
    source = "the reference suggests" if given else "the rows looked at suggest"
    said = [
        "",
        f"# Rules of data quality, as {source}; take the # away from those that hold.",
        '# What fails is flagged; with action = "quarantine" the record is set apart.',
    ]
    return said + [f"# {line}" if line else "#" for line in quality_toml(proposal.quality)]


def _relative(d: Deployment, base: Path) -> Deployment:
    """Paths as the file at `base` will name them."""

    def near(path: str) -> str:
        return os.path.relpath(path, base)

    def source(of: Any) -> Any:
        paths = [near(p) for p in of.paths]
        return of.model_copy(update={"path": paths[0] if len(paths) == 1 else tuple(paths)})

    changes: dict[str, Any] = {"predictions": source(d.predictions)}
    if d.labels is not None:
        changes["labels"] = d.labels.model_copy(update={"source": source(d.labels.source)})
    changes["reference"] = tuple(r.model_copy(update={"path": near(r.path)}) for r in d.reference)
    return d.model_copy(update=changes)
