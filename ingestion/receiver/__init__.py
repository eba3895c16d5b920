"""The receiver: the HTTP service that vendors send their events to (`c4 serve`)."""
