"""The API's tasks: those of its own host, and `fab api.deploy`, which puts it there."""
