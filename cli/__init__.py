"""One module per command of ``slawatch``."""
