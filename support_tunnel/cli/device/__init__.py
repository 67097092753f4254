"""What `inv` is: the device's tasks, settings and wiring."""
