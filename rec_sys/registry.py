"""Published bundles as versions of one registered model of MLflow, with the aliases `live` and `previous`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.settings import TrackingSettings
from rec_sys.tracking import connected

_SCHEME: Final = "models:/"
_IDENTITY: Final = "bundle"  # the tag that holds a bundle's identity


def registered_folder(tracking: TrackingSettings, output_dir: Path, address: str) -> Path:
    """The folder of a bundle that is registered.

    Args:
        tracking: Which MLflow.
        output_dir: Where its database is kept unless the settings say otherwise.
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        InputError: It is none of both, MLflow does not know it, or the bundle is not on this machine.
    """
    name, _, alias = address.removeprefix(_SCHEME).partition("@")
    model, _, version = name.rpartition("/")
    if not alias and not (model and version.isdecimal()):
        raise InputError(
            "this names no version of a registered model",
            where=f"setting bundle: {address}",
            remedy="give models:/NAME@ALIAS or models:/NAME/VERSION",
        )
    with connected(tracking, output_dir) as client:
        found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(model, version)
    folder = Path(str(found.source))
    if not folder.is_dir():
        raise InputError(
            f"the bundle of {address} is not here",
            where=str(folder),
            remedy="publish on the machine that has it, or copy it and give its folder",
        )
    return folder


def name_versions(
    tracking: TrackingSettings, output_dir: Path, model: str, wanted: Mapping[str, tuple[str, Path | None] | None]
) -> None:
    """Gives aliases to the versions that bundles are; those that are not registered yet are.

    Args:
        tracking: Which MLflow.
        output_dir: Where its database is kept unless the settings say otherwise.
        model: The registered model; made where it is missing.
        wanted: By alias a bundle's identity and its folder, which is None where it is gone; None: nobody has the alias.

    Raises:
        InputError: MLflow cannot be used.
    """
    with connected(tracking, output_dir) as client:
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model)
        known = {one.tags.get(_IDENTITY): one.version for one in client.search_model_versions(f"name = '{model}'")}
        for alias, bundle in wanted.items():
            identity, folder = bundle or (None, None)
            if identity is not None and identity not in known and folder is not None:
                tags = {_IDENTITY: identity}
                made = client.create_model_version(model, source=str(folder.absolute()), tags=tags)
                known[identity] = made.version
            if identity is not None and identity in known:
                client.set_registered_model_alias(model, alias, known[identity])
            else:
                client.delete_registered_model_alias(model, alias)
