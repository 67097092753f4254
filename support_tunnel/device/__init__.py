"""For programs on a device, an appliance's own page for one: what `inv` does, as methods. Root only, as `inv` is.

    from support_tunnel.device import Device

    device = Device()
    asked = device.request(ttl=1800)            # show asked.code once; whoever has it can ask to be let in
    device.status()                             # "answered": somebody has
    device.connect(asked.tunnel, owner=page)    # asks through `page` (see Owner), opens; blocks meanwhile, so in a thread
    device.stop()

A program can put the questions where the owner is; it cannot answer for them by a flag. What needs nobody is what they
approved in advance on a terminal (`inv request --approve-in-advance`) or root's policy file.
"""

from support_tunnel.device.entry import Device, Introduction, Owner, Question, WaitingRequest

__all__ = ["Device", "Introduction", "Owner", "Question", "WaitingRequest"]
