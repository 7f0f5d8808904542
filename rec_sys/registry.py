"""Published bundles as versions of one registered model of MLflow, with the aliases `live` and `previous`."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from rec_sys.contracts import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SCHEME: Final = "models:/"
_IDENTITY: Final = "bundle"  # the tag that holds a bundle's identity


def folder_of(client: "MlflowClient", address: str) -> Path:
    """The folder of a bundle that is registered.

    Args:
        client: Of MLflow.
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        InputError: It is none of both, or the bundle is not on this machine.
    """
    name, _, alias = address.removeprefix(_SCHEME).partition("@")
    if alias:
        found = client.get_model_version_by_alias(name, alias)
    else:
        name, _, version = name.rpartition("/")
        if not (name and version.isdecimal()):
            raise InputError(
                "this names no version of a registered model",
                where=f"setting bundle: {address}",
                remedy="give models:/NAME@ALIAS or models:/NAME/VERSION",
            )
        found = client.get_model_version(name, version)
    folder = Path(str(found.source))
    if not folder.is_dir():
        raise InputError(
            f"the bundle of {address} is not here",
            where=str(folder),
            remedy="publish on the machine that has it, or copy it and give its folder",
        )
    return folder


def name_version(client: "MlflowClient", model: str, alias: str, identity: str | None, folder: Path | None) -> None:
    """Gives an alias to the version that a bundle is, registered first where it is not yet.

    Args:
        client: Of MLflow.
        model: The registered model; made where it is missing.
        alias: Taken from whichever version has it.
        identity: The bundle's; None: no version has the alias.
        folder: The bundle's; None where it is not known, and then only a registered one is named.
    """
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    version = None
    if identity is not None:
        known = client.search_model_versions(f"name = '{model}'")
        version = next((one.version for one in known if one.tags.get(_IDENTITY) == identity), None)
        if version is None and folder is not None:
            tags = {_IDENTITY: identity}
            version = client.create_model_version(model, source=str(folder.absolute()), tags=tags).version
    if version is None:
        client.delete_registered_model_alias(model, alias)
    else:
        client.set_registered_model_alias(model, alias, version)
