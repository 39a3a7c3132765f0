"""Ways to log in. Each says who somebody is and what token they may have; the pipeline issues it, none mints one itself.

One folder each, with an `ENGINE`; `token_fields` has the `token_*` fields that the roles of all of them share.
"""
