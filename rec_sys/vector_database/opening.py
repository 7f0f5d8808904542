"""The index that the settings ask for; what the other backend needs is not imported."""

from rec_sys.settings import EdgeIndex, IndexSettings
from rec_sys.vector_database.contract import ProductIndex
from rec_sys.vector_database.publication import IndexPublisher


def open_index(settings: IndexSettings) -> ProductIndex:
    """An index to ask. Nothing is opened before the first question."""
    if isinstance(settings, EdgeIndex):
        from rec_sys.vector_database.edge_index import EdgeProductIndex

        return EdgeProductIndex(settings)
    from rec_sys.vector_database.server_index import ServerProductIndex
    from rec_sys.vector_database.server_version import connect

    return ServerProductIndex(settings, connect(settings))


def open_publisher(settings: IndexSettings) -> IndexPublisher:
    """Whoever writes the index."""
    if isinstance(settings, EdgeIndex):
        from rec_sys.vector_database.edge_index import EdgePublisher

        return EdgePublisher(settings)
    from rec_sys.vector_database.server_publisher import ServerPublisher
    from rec_sys.vector_database.server_version import connect

    return ServerPublisher(settings, connect(settings))
