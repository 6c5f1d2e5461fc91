"""Puts the dashboard into a wheel; an editable install has it beside the package, where it lies."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Dashboard(BuildHookInterface):
    """Adds to a wheel what `neuronlab.cli.app` looks for in an installed package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds."""
        if version != "editable":
            build_data["force_include"] |= {
                name: f"neuronlab/_app/{name}"
                for name in ("app.py", "dashboard.py", "pages", ".streamlit/config.toml")
            }
