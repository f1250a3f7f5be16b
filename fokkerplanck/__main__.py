"""``python -m fokkerplanck``."""

from .cli import main

main()
