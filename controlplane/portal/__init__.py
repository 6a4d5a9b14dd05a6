"""The tenant's and the operator's pages: a client of the public API that answers in HTML."""
