"""`ptc lsp`: the checker, the formatter and the library, for editors that speak the Language Server Protocol."""
