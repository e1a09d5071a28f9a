"""A trained skill as others take it: merged weights or an adapter, checked, with a model card."""
