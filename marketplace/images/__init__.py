"""Container images as every side reads them: manifests, archives of them, and the registries that have them."""
