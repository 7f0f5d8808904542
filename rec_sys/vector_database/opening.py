"""The index that the settings ask for; what the other back end needs is not imported."""

from collections.abc import Callable

from rec_sys.settings import EdgeIndex, IndexSettings
from rec_sys.vector_database.contract import ProductIndex
from rec_sys.vector_database.publication import IndexPublisher


def open_index(settings: IndexSettings) -> ProductIndex:
    """An index to ask. Nothing is opened before the first question."""
    if isinstance(settings, EdgeIndex):
        from rec_sys.vector_database.edge_index import EdgeProductIndex

        return EdgeProductIndex(settings)
    from rec_sys.vector_database.server_connection import connect
    from rec_sys.vector_database.server_index import ServerProductIndex

    return ServerProductIndex(settings, connect(settings))


def open_publisher(settings: IndexSettings, say: Callable[[str], None]) -> IndexPublisher:
    """Whoever writes the index.

    Args:
        settings: The index.
        say: Tells the user.
    """
    if isinstance(settings, EdgeIndex):
        from rec_sys.vector_database.edge_index import EdgePublisher

        return EdgePublisher(settings, say)
    from rec_sys.vector_database.server_connection import connect
    from rec_sys.vector_database.server_publisher import ServerPublisher

    return ServerPublisher(settings, connect(settings), say)
