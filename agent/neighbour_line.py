"""How one gateway shares files with the others of its site.

Owns putting the parts together; a module of its own because an agent that shares nothing must not
pay for it: `agent.line` loads it when it is allowed.
"""

from functools import partial

from agent.services.artifacts import Artifacts
from agent.services.lan import lan_networks
from agent.services.neighbourhood import Household, Neighbourhood
from agent.services.sharing import Sharing
from agent.services.site_mdns import SiteMdns
from agent.store.artifacts import Shelf
from shared.clock import Clock, Entropy


def share(
    artifacts: Artifacts,
    shelf: Shelf,
    *,
    fleet: bytes,
    site: str,
    metered: bool,
    interfaces: tuple[str, ...],
    clock: Clock,
    entropy: Entropy,
) -> Sharing:
    """Let `artifacts` have files from neighbours; return the service that offers them to these.

    Args:
        artifacts: what fetches files.
        shelf: where they are.
        fleet: only its gateways are neighbours,
        site: and of these those of one site.
        metered: this gateway's link is; others with a free one pull first.
        interfaces: names or addresses that may be used; none: all that are private.
        clock: the present.
        entropy: of waits and nonces.
    """
    household = Household(fleet=fleet, site=site, id=entropy.token(8).hex(), metered=metered)
    sharing = Sharing(
        household,
        shelf,
        SiteMdns(household),
        networks=partial(lan_networks, interfaces),
        clock=clock,
        entropy=entropy,
    )
    artifacts.neighbours = Neighbourhood(household, sharing, clock=clock, entropy=entropy)
    sharing.says, sharing.found = artifacts.says, artifacts.wake
    return sharing
