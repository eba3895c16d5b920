"""Every connector there is, found in `ingestion.vendors` by its folder. Nothing is listed by hand."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ingestion import vendors
from ingestion.core.config import Config
from ingestion.core.spec import Connector


@cache
def connectors() -> dict[str, Connector]:
    """Vendor name -> connector, in alphabetical order. Raises TypeError when a folder declares none."""
    found = {}
    for module in sorted(pkgutil.iter_modules(vendors.__path__), key=lambda module: module.name):
        if not module.ispkg:
            continue
        package = importlib.import_module(f"ingestion.vendors.{module.name}")
        connector = getattr(package, "CONNECTOR", None)
        if not isinstance(connector, Connector):
            raise TypeError(f"ingestion/vendors/{module.name}/__init__.py declares no CONNECTOR")
        if connector.slug != module.name:
            raise TypeError(f"the folder of {connector.name} must be called {connector.slug}")
        found[connector.name] = connector
    return found


def connectors_in_use(config: Config) -> list[Connector]:
    """The connectors of the company's accounts; all there are while it has configured none."""
    return [known for name, known in connectors().items() if not config.vendors or name in config.vendors]


def connector(vendor: str) -> Connector:
    """The connector of a vendor. Raises KeyError naming those there are."""
    try:
        return connectors()[vendor]
    except KeyError:
        raise KeyError(f"no connector for {vendor!r}; there are {', '.join(connectors())}") from None
