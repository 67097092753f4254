"""Fakes of every port, a real sshd on loopback and fault wiring: public, shipped, for anybody's tests and rehearsals.

Nothing outside tests and rehearsals may import this package.
"""
