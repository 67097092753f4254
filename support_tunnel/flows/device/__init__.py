"""The owner's verbs: request, admit, open, keep, end, clean up."""
