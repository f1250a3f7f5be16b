"""The pages that the build writes itself: the gallery, the audit, the messages, and the notebooks where Sphinx can read them."""
