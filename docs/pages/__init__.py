"""The pages that the build writes itself: gallery, audit, messages, all names; and the notebooks where Sphinx reads them."""
