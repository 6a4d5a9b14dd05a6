"""One module a room: how to obtain, as the seeded tenant's owner, an id for each path parameter of its routes.

The wall imports every module in this folder. A route whose parameter has no builder fails the test.
"""
