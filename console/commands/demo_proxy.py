"""`modelwatch demo --with-proxy`: the sample's models really served, split, broken and mended."""

from __future__ import annotations

import argparse
import os
import sys

from console.commands.demo import sample_folder
from console.errors import UsageError
from console.messages import say

__all__ = ["run"]

_WELCOME = """\
Two versions of the sample's model and a heuristic are served here, behind an
Envoy of their own. {rate:g} requests a second come in, and their labels {delay:g} s later;
v1 answers all of them. Traffic ends by itself after {minutes:g} minutes, and everything
is gone when you quit.

In the console 5 is the Traffic pane, ? shows all keys. In a second terminal:

  export MODELWATCH_CONFIG={config}
  modelwatch traffic ramp v2 --reason "beats v1 offline"
  modelwatch demo --break errors       (or latency, feature, down; off mends it)
  modelwatch demo --break v1=errors    (v1 too: a rule falls back to the heuristic)
  modelwatch fallback off              (when v1 is mended: back to what was before)

The Overview is red before anything is broken: v1 was trained on January and is
asked about May and June.
"""

_HINT = "in another terminal: modelwatch demo --break errors (latency, feature, down, off)"


def run(options: argparse.Namespace) -> int:
    """On the screen, or headless as a script that proves itself: 0, or 1 when it did not go so."""
    if getattr(options, "break"):
        from console.demo.breaking import break_demo  # noqa: PLC0415

        say(break_demo(getattr(options, "break"), os.environ))
        return 0
    for flag in ("speed", "start", "as_of", "store"):
        if getattr(options, flag):
            raise UsageError(f"--{flag.replace('_', '-')} is of the replay, not of --with-proxy")
    from console.demo.host import world  # noqa: PLC0415
    from console.demo.proxy import find_envoy  # noqa: PLC0415
    from console.demo.settings import Settings  # noqa: PLC0415

    find_envoy()  # told before anything is started
    settings = Settings(sample=str(sample_folder(options.sample)), rate=_rate(options.rate))
    if options.headless or not (sys.stdin.isatty() and sys.stderr.isatty()):
        from console.demo.story import tell  # noqa: PLC0415

        return tell(settings, say)
    from console.commands.screen import run as screen  # noqa: PLC0415

    say("starting model servers, Envoy and a recorder", sys.stderr)
    with world(settings) as demo:
        welcome = _WELCOME.format(
            rate=settings.rate,
            delay=settings.label_delay_s,
            minutes=settings.minutes,
            config=demo.config,
        )
        say(f"\n{welcome}\nPress Enter for the console.", sys.stderr)
        sys.stdin.readline()
        of_console = argparse.Namespace(
            **{**vars(options), "config": demo.config, "store": demo.store, "deployment": None},
            write=True,
            hint=_HINT,
        )
        return screen(of_console)


def _rate(text: str | None) -> float:
    if text is None:
        return 100.0
    try:
        rate = float(text)
    except ValueError as error:
        raise UsageError(f"--rate takes requests a second, not {text!r:.80}") from error
    if not 1 <= rate <= 500:
        raise UsageError("--rate takes 1 to 500 requests a second")
    return rate
