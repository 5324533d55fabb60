"""Tables and chains of nftables in a network namespace, read from the kernel by pyroute2."""

from __future__ import annotations


def tables_and_chains() -> tuple[frozenset[str], frozenset[str]]:
    """
    Names of all tables and of all chains, in every family, iptables-nft's among them.

    Both are empty on a kernel without nftables and for a process that may not ask.
    """
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.nftables.main import NFTables

    try:
        with NFTables(nfgen_family=0) as netlink:
            tables, chains = tuple(netlink.get_tables()), tuple(netlink.get_chains())
    except (NetlinkError, OSError):
        return frozenset(), frozenset()
    return (
        frozenset(str(each.get("name")) for each in tables),
        frozenset(str(each.get("name")) for each in chains),
    )
