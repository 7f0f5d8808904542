"""A refresh, step by step: what was written is prepared, trained, compared, and published or kept back."""

import logging
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import ValidationError

from rec_sys.bundle import Bundle, bundle_folders, find_by_identity, hash_code
from rec_sys.bundle_manifest import BundleManifest, bundle_identity, read_manifest
from rec_sys.console import say
from rec_sys.contracts import InputError, PreparedFile
from rec_sys.files import atomic_file
from rec_sys.publish import publish, register, roll_back
from rec_sys.refresh.settings import RefreshSettings
from rec_sys.refresh_history import RefreshOutcome, note_refresh
from rec_sys.settings import EngineSettings, Settings

if TYPE_CHECKING:
    from rec_sys.data.dataset import PreparedDataset
    from rec_sys.evaluation.bundle_scorer import BundleComparison
    from rec_sys.vector_database.publication import IndexPublisher

_LOG: Final = logging.getLogger(__name__)

KEPT: Final = 3  # exit code: the candidate is worse, and the served bundle stays
_HOME: Final = "refresh"  # in output_dir: the run, and its candidate until it goes live
_ACCEPTED: Final = "accepted.txt"  # in it, while a candidate that has passed is being published: its identity
# Those whose newest reviews are withheld from every model: others would ask the served one what it has learned.
_HONEST: Final = ("leave_last_out", "global_time", "time_folds", "next_days")


def run(settings: RefreshSettings) -> None:
    """Does what is asked; the last line printed says what is live."""
    from rec_sys.vector_database.opening import open_publisher

    publisher = open_publisher(settings.index)
    if settings.action == "rollback":
        version = roll_back(publisher, settings)
        register(version, publisher, settings)
        say(f"live: bundle {version.bundle}, index version {version.name}")
        return
    served = _served_bundle(publisher, settings.output_dir)
    if not _Refresh(settings, publisher, served).run():
        sys.exit(KEPT)


class _Refresh:
    """One refresh, in a folder that no other one works in at the same time."""

    def __init__(self, settings: RefreshSettings, publisher: "IndexPublisher", served: Bundle) -> None:
        self._settings, self._publisher, self._served = settings, publisher, served
        self._home = settings.output_dir / _HOME
        self._training = _training_settings(served, settings, self._home)

    def run(self) -> bool:
        """Whether what is served is as new as the store and no worse than it was."""
        from rec_sys.train.run_folder import RunFolder

        folder = RunFolder(self._training)
        with folder.locked():
            if (passed := self._passed()) is not None:
                _LOG.info("a candidate that has passed was not published yet")
                self._publish(passed, None)
                return True
            dataset = self._prepare()
            fingerprint = dataset.summary.fingerprint
            if fingerprint == self._served.manifest.data_fingerprint:
                self._note("nothing new")
                say(f"nothing was written since it was trained; live: bundle {self._served.identity}")
                return True
            if self._was_live(fingerprint):
                self._note("nothing new")
                say(f"nothing was written since the rollback; live: bundle {self._served.identity}")
                return True
            candidate = self._find_candidate(fingerprint) or self._train()
            comparison = self._compare(candidate, dataset)
            say(comparison)
            if comparison.is_worse:
                self._note("worse", candidate, comparison)
                say(f"worse, and not published: {candidate.folder}")
                say(f"live: bundle {self._served.identity}")
            else:
                self._publish(candidate, comparison)
            self._sweep({fingerprint, self._served.manifest.data_fingerprint})
            return not comparison.is_worse

    def _prepare(self) -> "PreparedDataset":
        from rec_sys.data.prepare import prepare, with_columns_found
        from rec_sys.data.written import WrittenData
        from rec_sys.store.store import Store

        with Store(self._settings.store, self._settings.output_dir) as store:
            self._written = WrittenData.of(store)
        place = self._written.place
        _LOG.info(f"store: {len(self._written.changes):,} entries up to {place.sequence:,}")
        return prepare(with_columns_found(self._training.data), self._settings.output_dir, self._written)

    def _train(self) -> Bundle:
        from rec_sys.train.run_folder import RunFolder
        from rec_sys.train.train import train

        for folder in bundle_folders(self._home):
            shutil.rmtree(folder)
        bundle = train(self._training, RunFolder(self._training), self._written)
        assert bundle is not None  # one process trains
        return Bundle(bundle)

    def _find_candidate(self, fingerprint: str) -> Bundle | None:
        """One that was trained of this data before the process ended, or before it was found to be worse."""
        for folder, manifest in _manifests(self._home):
            if manifest.data_fingerprint == fingerprint and manifest.code_version == hash_code():
                return Bundle(folder)
        return None

    def _was_live(self, fingerprint: str) -> bool:
        """Whether the bundle of this data was served, and gone back from."""
        return any(manifest.data_fingerprint == fingerprint for _, manifest in self._own_bundles())

    def _compare(self, candidate: Bundle, dataset: "PreparedDataset") -> "BundleComparison":
        """Both on the newest test questions, whose answers neither the candidate nor the served one has learned."""
        from rec_sys.contracts import ProductColumn
        from rec_sys.data.interactions import list_user_ids
        from rec_sys.data.splits import split_reviews
        from rec_sys.evaluation.bundle_scorer import BundleScorer, compare_bundles, newest_questions
        from rec_sys.graph.build import build_graph
        from rec_sys.inference.served_bundle import ServedBundle

        training = self._training
        asins = dataset.products()[ProductColumn.ASIN].to_list()
        user_ids = list_user_ids(dataset.scan_reviews()).to_list()
        scorers, queries = [], None
        for bundle in (candidate, self._served):
            graph, _ = build_graph(
                dataset, training.graph, bundle.text_settings(), training.seed, self._settings.output_dir
            )
            split = split_reviews(graph.interactions, training.evaluation, training.seed)
            queries = newest_questions(split.test, self._settings.questions)
            scorers.append(BundleScorer(ServedBundle(bundle), graph, asins, user_ids, split.text_visible, queries))
        assert queries is not None
        found = compare_bundles(scorers[0], scorers[1], queries)
        if found is None:
            raise InputError(
                "there is no question that both bundles can answer: they know no product in common",
                where=str(self._served.folder),
                remedy="look at the candidate, and publish it by hand with rec_sys.publish bundle=...",
            )
        return found

    def _note(
        self,
        outcome: Literal["published", "worse", "nothing new"],
        candidate: Bundle | None = None,
        comparison: "BundleComparison | None" = None,
    ) -> None:
        """For whoever looks later."""
        figures: dict[str, Any] = {}
        if comparison is not None:
            figures = {"candidate_ndcg": comparison.candidate, "served_ndcg": comparison.served}
            figures |= {"error": comparison.error, "num_questions": comparison.num_questions}
        identity = None if candidate is None else candidate.identity
        noted = RefreshOutcome(outcome=outcome, served=self._served.identity, candidate=identity, **figures)
        note_refresh(self._settings.output_dir, noted)

    def _publish(self, candidate: Bundle, comparison: "BundleComparison | None") -> None:
        bundles = self._settings.output_dir / "bundles"
        with atomic_file(self._home / _ACCEPTED) as unfinished:
            unfinished.write_text(candidate.identity)
        if candidate.folder.parent != bundles:
            candidate = Bundle(candidate.folder.rename(bundles / candidate.folder.name))
        version = publish(candidate, self._publisher, self._settings)
        register(version, self._publisher, self._settings)
        (self._home / _ACCEPTED).unlink()
        self._note("published", candidate, comparison)
        say(f"live: bundle {version.bundle}, index version {version.name}")

    def _passed(self) -> Bundle | None:
        """A candidate that has passed, and whose publication was interrupted."""
        path = self._home / _ACCEPTED
        if not path.is_file():
            return None
        identity = path.read_text()
        for place in (self._settings.output_dir, self._home):
            if (folder := find_by_identity(place, identity)) is not None:
                return Bundle(folder)
        path.unlink()
        return None

    def _own_bundles(self) -> list[tuple[Path, BundleManifest]]:
        """Bundles that were made from a store, but for the one that was served when this began."""
        found = _manifests(self._settings.output_dir)
        return [one for one in found if one[1].store_position and bundle_identity(one[0]) != self._served.identity]

    def _sweep(self, fingerprints: set[str]) -> None:
        """Removes what earlier refreshes have left and nothing is served from, nor can be gone back to.

        So nobody who is forgotten stays there longer than a rollback could bring them back.
        """
        from rec_sys.data.dataset import DatasetSummary

        status = self._publisher.status()
        needed = {self._publisher.describe(name).bundle for name in status.kept}
        needed |= set() if status.served is None else {status.served.bundle}
        for folder, _ in self._own_bundles():
            if bundle_identity(folder) not in needed:
                shutil.rmtree(folder)
        for path in (self._settings.output_dir / "data").glob(f"[!.]*/{PreparedFile.SUMMARY}"):
            summary = DatasetSummary.model_validate_json(path.read_text())
            if summary.store_position and summary.fingerprint not in fingerprints:
                shutil.rmtree(path.parent)


def _manifests(output_dir: Path) -> list[tuple[Path, BundleManifest]]:
    """Of bundles there; those that are damaged are left alone."""
    found = []
    for folder in bundle_folders(output_dir):
        with suppress(InputError):
            found.append((folder, read_manifest(folder)))
    return found


def _served_bundle(publisher: "IndexPublisher", output_dir: Path) -> Bundle:
    served = publisher.status().served
    if served is None:
        raise InputError(
            "nothing is served yet",
            where=publisher.place,
            remedy="train a bundle with rec_sys.train.train and publish it with rec_sys.publish",
        )
    folder = find_by_identity(output_dir, served.bundle)
    if folder is None:
        raise InputError(
            f"the served bundle {served.bundle} is not here",
            where=str((output_dir / "bundles").absolute()),
            remedy="copy it there, or set output_dir",
        )
    return Bundle(folder)


def _training_settings(served: Bundle, settings: RefreshSettings, home: Path) -> Settings:
    """The settings that the served bundle was trained by; its run is this command's own."""
    remedy = "train anew with rec_sys.train.train, and publish that bundle"
    try:
        training = Settings.model_validate(served.settings())
    except ValidationError as error:
        what = "the served bundle's settings are another version's"
        raise InputError(what, where=str(served.folder), remedy=remedy) from error
    if training.evaluation.protocol not in _HONEST:
        raise InputError(
            f"the split {training.evaluation.protocol} withholds no newest reviews to compare two models by",
            where=f"evaluation.protocol of {served.folder}",
            remedy=f"{remedy}, with one of {', '.join(_HONEST)}",
        )
    if training.text.source == "given":
        raise InputError(
            "the texts of the served bundle were embedded elsewhere, and new ones cannot be",
            where=str(served.folder),
            remedy=f"{remedy}, with a text encoder",
        )
    if not settings.store.enabled:
        raise InputError("there is no store to read", where="setting store=none", remedy="leave it out")
    here = EngineSettings()  # few texts are new, and the cluster of then may be gone
    own = {"output_dir": settings.output_dir, "run_dir": home, "tracking": settings.tracking, "engine": here}
    return training.model_copy(update=own)
