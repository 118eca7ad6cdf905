"""Target models trained here, with planted people, so that audits meet known truth."""
