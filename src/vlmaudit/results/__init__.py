"""What is written down: records, the block store, fingerprints."""
