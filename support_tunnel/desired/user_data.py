"""The cloud-init document a tunnel server starts with. Must hold no secret that is worth anything after the first login."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from support_tunnel.core.secret import Secret
from support_tunnel.desired.templating import environment

__all__ = ["render_user_data"]


def render_user_data(
    templates: Path,
    *,
    host_key_private: Secret[str],
    host_key_public: str,
    login_user: str,
    login_key: str,
    expires: datetime,
) -> str:
    """Render `cloud_init.yml.j2` of the folder `templates`.

    The host key in it is known to whoever can read user-data: it only vouches for the first contact, which replaces it.
    """
    template = environment([templates]).get_template("cloud_init.yml.j2")
    return template.render(
        host_key_private=host_key_private.reveal(),
        host_key_public=host_key_public,
        login_user=login_user,
        login_key=login_key,
        expires_epoch=int(expires.timestamp()),
    )
