"""The bundled model and the catalogue of others."""
