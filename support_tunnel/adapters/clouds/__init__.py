"""One file a cloud: its row, and the few lines that put our words into its driver's. `adapters/cloud_table.py` gathers the rows.

No file here decides what a failure means or in which order a driver is called; that is `adapters/cloud_libcloud.py` and the files that it names, once.
"""
