"""Files of public shops, generated: believable, small, in exactly the schemas that the real ones have, traps included.

Real files cannot always be had, and what breaks a reader is seldom in a clean one. A schema is a module that turns the
people and purchases of the built-in sample into files; adding one is a module and a line of `SCHEMAS`.
"""

from typing import Final

from rec_sys.data.generated import goodreads, hm, kion, shop_events
from rec_sys.data.generated.shop import Schema

SCHEMAS: Final[dict[str, Schema]] = {
    "shop_events": shop_events.SCHEMA,
    "kion": kion.SCHEMA,
    "goodreads": goodreads.SCHEMA,
    "hm": hm.SCHEMA,
}
