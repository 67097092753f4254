"""Fakes of every port and fault wiring, public, for our tests and for users' own."""
