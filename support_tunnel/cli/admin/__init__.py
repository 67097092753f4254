"""What `fab` is: the admin's tasks, settings and wiring."""
