"""One client for OpenAI-compatible servers: `with connect(server) as client: chat(client, …)`.

Evaluation, data synthesis and judges ask through it; it knows nothing of what they ask.
"""

from prereq.clients.asking import Reply, chat, complete
from prereq.clients.jobs import Estimate, Parameters, estimate
from prereq.clients.server import Client, connect
from prereq.clients.usage import Usage, cost

__all__ = [
    "Client",
    "Estimate",
    "Parameters",
    "Reply",
    "Usage",
    "chat",
    "complete",
    "connect",
    "cost",
    "estimate",
]
