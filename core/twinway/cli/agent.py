"""`twinway agent`."""

from __future__ import annotations

from twinway.cli.options import DEFAULT_CONFIG, ConfigOption, new_app

app = new_app()


@app.command()
def agent(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Serve this node until SIGTERM; traffic goes on without the agent."""
    from twinway import agent, log
    from twinway.plugins import read_config

    node = read_config(config)
    log.set_up(node.log)
    agent.run(node, str(config))
