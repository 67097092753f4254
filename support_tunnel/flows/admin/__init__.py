"""The admin's verbs: read an offer, launch, answer, reach the device, stop, sweep."""
